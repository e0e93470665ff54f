from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_bundle import linear

from seedbed import __version__
from seedbed.engines.constant import Constant
from seedbed.engines.linear import LinearText
from seedbed.errors import CorruptFile, DataError, NoResources, NotFound, QualityFloor, UserError
from seedbed.evaluate.result import Abstention
from seedbed.export.bundle import Bundle, open_bundle
from seedbed.export.manifest import FORMAT, Manifest
from seedbed.tasks.classify import Classify

Make = Callable[..., Bundle]


def test_write_open_and_answer(make_bundle: Make, tmp_path: Path) -> None:
    written = make_bundle()
    again = open_bundle(tmp_path / "bundle", verify=True)
    assert again.manifest == written.manifest
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()) == [
        "bundle/README.md", "bundle/bundle.json", "bundle/model/engine.json", "bundle/model/vocabulary-0.json",
        "bundle/model/weights.safetensors"]
    first = again.manifest
    assert (first.format, first.seedbed, first.name) == (FORMAT, __version__, "reviews-1")
    assert first.task["labels"] == ["negative", "neutral", "positive"]
    assert first.scores["macro_f1"].low == 0.85
    engine = first.engines[0]
    assert (engine.kind, engine.folder, engine.parity.n, engine.parity.agreement) == ("linear", "model", 20, 1.0)
    assert engine.parity.max_difference == 0.0
    assert {f.path: f.size for f in engine.files} == {
        p.relative_to(again.folder).as_posix(): p.stat().st_size for p in (again.folder / "model").iterdir()}
    answers = again.predict(["the broken awful thing", "the great lovely thing", ""])
    assert [a.label for a in answers[:2]] == ["negative", "positive"]
    assert [a.sure for a in answers] == [True, True, False]
    for answer in answers:
        assert sum(answer.scores.values()) == pytest.approx(1, abs=1e-5)
        assert answer.confidence == max(answer.scores.values())
    assert (tmp_path / "bundle" / "README.md").read_text() == "# A card\n"


def test_confidence_is_calibrated_by_the_temperature(make_bundle: Make) -> None:
    bundle = make_bundle(temperature=4.0)
    text = "the broken thing"
    logits = bundle.classifier.logits([text])
    assert bundle.predict([text])[0].confidence == pytest.approx(float(bundle.task.probabilities(logits, 4.0).max()))


def test_multi_label_answers_with_lists(make_bundle: Make) -> None:
    bundle = make_bundle(multi_label=True)
    both, none = bundle.predict(["the broken awful great lovely thing", "unknown"])
    assert isinstance(both.label, list)
    assert isinstance(none.label, list)
    assert set(both.label) >= {"negative", "positive"} or both.confidence < 0.9
    assert bundle.predict(["the broken awful thing"])[0].label == ["negative"]


def test_sure_needs_a_threshold_that_is_known(make_bundle: Make, tmp_path: Path) -> None:
    texts = ["the broken awful thing", "thing"]
    for abstention in (None, Abstention(target_error=0.01, threshold=None, coverage=None, error=None)):
        bundle = make_bundle(abstention=abstention, replace=True)
        assert [a.sure for a in bundle.predict(texts)] == [False, False]
        assert [a.sure for a in bundle.predict(texts, threshold=0.0)] == [True, True]
        assert [a.sure for a in bundle.predict(texts, threshold=1.0)] == [False, False]


@pytest.mark.parametrize(("texts", "threshold", "kind", "words"), [
    ("one text", None, DataError, "takes a list"), (["a", None], None, DataError, "Item 1 of the texts is NoneType"),
    (["a", 3.5], None, DataError, "Item 1"), (["a"], 1.5, UserError, "not between 0 and 1"),
    (["a"], float("nan"), UserError, "not between 0 and 1")])
def test_misuse_of_predict(shared_bundle: Bundle, texts: Any, threshold: float | None, kind: type[UserError],
                           words: str) -> None:
    with pytest.raises(kind, match=words):
        shared_bundle.predict(texts, threshold=threshold)


def test_no_texts_no_answers(shared_bundle: Bundle) -> None:
    assert shared_bundle.predict([]) == []


def test_a_fresh_process_without_training_extras(shared_bundle: Bundle) -> None:
    code = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('torch', 'transformers', 'peft', 'fastapi', 'sqlalchemy', 'altair', 'cleanlab'):
            raise ImportError(f'{name} is not installed here')
sys.meta_path.insert(0, Blocked())
from pathlib import Path
from seedbed.export.bundle import open_bundle
print(open_bundle(Path(sys.argv[1])).predict(['the broken awful thing'])[0].label)
"""
    done = subprocess.run([sys.executable, "-c", code, str(shared_bundle.folder)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("negative\n", "")


@pytest.mark.parametrize(("damage", "words"), [
    (lambda f: (f / "model" / "weights.safetensors").unlink(), r"weights\.safetensors is missing"),
    (lambda f: os.truncate(f / "model" / "weights.safetensors", 100), r"weights\.safetensors has 100 bytes where"),
    (lambda f: (f / "bundle.json").write_text('{"format": 1, "na'), r"bundle\.json cannot be read"),
    (lambda f: (f / "bundle.json").write_bytes(b"\xff\xfe\x00"), r"bundle\.json cannot be read"),
    (lambda f: (f / "bundle.json").write_text("[]"), "does not say which format"),
    (lambda f: (f / "bundle.json").write_text('{"format": 1}'), r"cannot be read: seedbed: Field required"),
])
def test_damage_is_named(make_bundle: Make, damage: Callable[[Path], Any], words: str) -> None:
    folder = make_bundle().folder
    damage(folder)
    with pytest.raises(CorruptFile, match=words) as caught:
        open_bundle(folder)
    assert len(str(caught.value).splitlines()) == 2


def test_a_changed_file_of_the_same_size_needs_verify(make_bundle: Make) -> None:
    folder = make_bundle().folder
    path = folder / "model" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    open_bundle(folder)
    with pytest.raises(CorruptFile, match=r"weights\.safetensors was changed"):
        open_bundle(folder, verify=True)


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_newer_format_names_the_upgrade(make_bundle: Make) -> None:
    folder = make_bundle().folder
    edit(folder, format=FORMAT + 1, something_new=1)
    with pytest.raises(UserError, match=f"has format {FORMAT + 1}; this Seedbed reads up to {FORMAT}") as caught:
        open_bundle(folder)
    assert caught.value.hint == "Upgrade with: pip install --upgrade seedbed"


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "model/../../x", "..\\x", "C:/x", ""])
def test_a_manifest_cannot_lead_out_of_the_bundle(make_bundle: Make, path: str) -> None:
    folder = make_bundle().folder
    engines = json.loads((folder / "bundle.json").read_text())["engines"]
    engines[0]["folder"] = path
    edit(folder, engines=engines)
    with pytest.raises(CorruptFile, match="leads out of the bundle"):
        open_bundle(folder)


def test_not_a_bundle(make_bundle: Make, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="There is no bundle"):
        open_bundle(tmp_path / "nowhere")
    make_bundle()
    with pytest.raises(NotFound, match="is not a bundle") as caught:
        open_bundle(tmp_path)
    assert caught.value.hint == f"It holds one: name {tmp_path / 'bundle'}."
    with pytest.raises(NotFound) as caught:
        open_bundle(tmp_path / "bundle" / "bundle.json")
    assert caught.value.hint == f"Name the bundle's folder: {tmp_path / 'bundle'}."
    with pytest.raises(NotFound, match=r"bundle\.json is missing"):
        open_bundle(tmp_path / "bundle" / "model")


def test_a_taken_folder_is_kept_unless_a_bundle_is_replaced(make_bundle: Make, tmp_path: Path) -> None:
    make_bundle(name="first")
    with pytest.raises(UserError, match="is there already"):
        make_bundle(name="second")
    assert open_bundle(tmp_path / "bundle").name == "first"
    assert make_bundle(name="second", replace=True).name == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]
    (tmp_path / "bundle" / "bundle.json").unlink()
    with pytest.raises(UserError, match="is there already and is not a bundle"):
        make_bundle(replace=True)


class Forgetful(Constant):
    """Saves other scores than it has."""

    def save(self, folder: Path) -> None:
        Constant([5.0, 0.0, 0.0]).save(folder)


def test_a_model_that_comes_back_different_is_refused(make_bundle: Make, tmp_path: Path) -> None:
    with pytest.raises(QualityFloor, match="20 of 20 decisions differ"):
        make_bundle(classifier=Forgetful([0.0, 0.0, 5.0]))
    assert list(tmp_path.iterdir()) == []


class NotNumbers(Constant):
    def logits(self, texts: Any) -> Any:
        return np.full((len(texts), 3), np.nan, np.float32)


def test_a_model_that_gives_no_numbers_is_refused(make_bundle: Make, tmp_path: Path) -> None:
    with pytest.raises(QualityFloor):
        make_bundle(classifier=NotNumbers([0.0, 0.0, 5.0]))
    assert list(tmp_path.iterdir()) == []


def test_programming_errors_are_not_user_errors(make_bundle: Make, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="parity needs sample texts"):
        make_bundle(sample_texts=[])
    with pytest.raises(ValueError, match="3 scores a text for 2 labels"):
        make_bundle(task=Classify(("a", "b")))
    assert list(tmp_path.iterdir()) == []


class Full(LinearText):
    def save(self, folder: Path) -> None:
        (folder / "half").write_text("half")
        raise OSError(28, "No space left on device")


class FullInRust(Constant):
    def save(self, folder: Path) -> None:
        from safetensors import SafetensorError

        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize("kind", [Full, FullInRust])
def test_a_full_disk_leaves_nothing(make_bundle: Make, tmp_path: Path, kind: type) -> None:
    classifier = kind.__new__(kind)
    classifier.__dict__ = Constant([1.0, 2.0, 3.0]).__dict__
    with pytest.raises(NoResources, match="disk is full"):
        make_bundle(classifier=classifier)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full of Linux")
def test_a_really_full_device(make_bundle: Make, tmp_path: Path) -> None:
    class OnFull(Constant):
        def save(self, folder: Path) -> None:
            super().save(folder)
            (folder / "weights").symlink_to("/dev/full")
            (folder / "weights").write_bytes(b"x")

    with pytest.raises(NoResources):
        make_bundle(classifier=OnFull([1.0, 2.0, 3.0]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_while_writing_leaves_no_half_bundle(tmp_path: Path, how: signal.Signals) -> None:
    code = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from sample_bundle import make
from seedbed.engines.constant import Constant
class Slow(Constant):
    def save(self, folder):
        super().save(folder)
        print("half", flush=True)
        time.sleep(60)
make(Path(sys.argv[1]), classifier=Slow([1.0, 2.0, 3.0]))
"""
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "bundle"), str(Path(__file__).parent)],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdout is not None
    assert child.stdout.readline() == b"half\n"
    child.send_signal(how)
    child.communicate(timeout=30)
    assert not (tmp_path / "bundle").exists()
    if how == signal.SIGINT:
        assert list(tmp_path.iterdir()) == []


def test_two_writers_at_once_leave_one_whole_bundle(make_bundle: Make, tmp_path: Path) -> None:
    problems: list[BaseException] = []
    model = linear()

    def one(name: str) -> None:
        try:
            make_bundle(name=name, classifier=model)
        except (UserError, OSError) as problem:
            problems.append(problem)

    threads = [threading.Thread(target=one, args=(f"n{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(problems) == 3
    assert all(isinstance(p, UserError) for p in problems), problems
    assert open_bundle(tmp_path / "bundle", verify=True).name.startswith("n")
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_opening_does_not_load_the_model(shared_bundle: Bundle) -> None:
    bundle = open_bundle(shared_bundle.folder)
    assert "classifier" not in vars(bundle)
    bundle.warm()
    assert "classifier" in vars(bundle)


def test_the_manifest_survives_a_round_trip(shared_bundle: Bundle, tmp_path: Path) -> None:
    shared_bundle.manifest.write(tmp_path)
    assert Manifest.open(tmp_path) == shared_bundle.manifest
    assert time.strptime(shared_bundle.manifest.created, "%Y-%m-%dT%H:%M:%S+00:00")
