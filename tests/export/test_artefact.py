"""Artefacts are proven by their own runtime; broken ones are told by what differs first, and never added."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
from sample_export import fitted, made

from seedbed.engines.base import load_classifier
from seedbed.engines.exported import TOKENIZER, Exported
from seedbed.errors import QualityFloor
from seedbed.export.artefact import Source, add
from seedbed.export.bundle import Bundle, open_bundle
from seedbed.export.certificate import Held
from seedbed.export.manifest import Manifest
from seedbed.export.probes import FILE, KINDS, Probes

TEXTS = [*tiny.TEXTS, *tiny.sentences(30, 9)[0]]


def test_artefacts_are_in_the_manifest_with_their_proof(openvino_bundle: Bundle) -> None:
    manifest = openvino_bundle.manifest
    reference, exact, small = manifest.engines
    assert [one.name for one in manifest.engines] == ["reference", "openvino-fp32", "openvino-int8"]
    assert (exact.kind, exact.folder, exact.made_from) == ("openvino", "openvino-fp32", reference.digest)
    assert {Path(file.path).name for file in exact.files} == {
        "model.xml", "model.bin", "tokenizer.json", "engine.json"}
    assert set(exact.tools) == {"torch", "transformers", "openvino", "nncf"}
    bins = [next(f.size for f in one.files if f.path.endswith(".bin")) for one in (exact, small)]
    assert bins[1] < 0.4 * bins[0]
    for one, most in ((exact, 1e-5), (small, 0.05)):
        certificate = one.certificate
        assert certificate is not None and certificate.passed and certificate.loss is None
        assert 0 < (certificate.figure("probability") or 0) < most
        assert certificate.faster > 0
        names = [check.name for check in certificate.checks]
        assert names == ["texts with other tokens", *[f"probability, texts {kind}" for kind in KINDS],
                         "probability, padded texts", "answers that the mask changes", "divergence"]
    probes = Probes.open(openvino_bundle.folder / FILE)
    longest = max(map(len, probes.tokens))
    assert [len(probes.tokens[i]) == longest == 24 for i in probes.of("at the limit")] == [True] * 3
    assert np.allclose(fitted().logits(probes.texts), probes.scores, atol=1e-5)


def test_any_batch_gets_the_answers_of_the_reference(openvino_bundle: Bundle) -> None:
    expected = load_classifier(openvino_bundle.folder / "model").logits(TEXTS)
    for name, off in (("openvino-fp32", 1e-5), ("openvino-int8", 0.1)):
        opened = load_classifier(openvino_bundle.folder / name)
        assert isinstance(opened, Exported)
        assert np.abs(opened.logits(TEXTS) - expected).max() < off
        assert np.abs(np.concatenate([opened.logits([text]) for text in TEXTS]) - expected).max() < off
        assert opened.logits([]).shape == (0, 2)


def test_it_is_saved_again_as_it_is(openvino_bundle: Bundle, tmp_path: Path) -> None:
    opened = load_classifier(openvino_bundle.folder / "openvino-int8")
    opened.save(tmp_path)
    assert np.array_equal(load_classifier(tmp_path).logits(TEXTS), opened.logits(TEXTS))
    assert opened.size == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_a_fresh_process_answers_without_torch_and_transformers(openvino_bundle: Bundle) -> None:
    code = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('torch', 'transformers', 'peft', 'nncf', 'sklearn', 'sqlalchemy'):
            raise ImportError(f'{name} is not installed here')
sys.meta_path.insert(0, Blocked())
from seedbed.export.bundle import open_bundle
bundle = open_bundle(sys.argv[1], engine='openvino-int8')
print(bundle.engine, [one.label for one in bundle.predict(['great lovely box', 'broken awful box'])])
"""
    done = subprocess.run([sys.executable, "-c", code, str(openvino_bundle.folder)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("openvino-int8 ['good', 'bad']\n", "")


class Broken:
    """A target that writes a good artefact and then spoils it."""

    name, precisions, packages = "openvino", ("fp32",), ()

    def __init__(self, good: Path, spoil: Callable[[Path], None]) -> None:
        self.good, self.spoil = good, spoil

    def refuse(self, model: object, precision: str) -> None: ...

    def write(self, model: object, folder: Path, precision: str) -> None:
        shutil.copytree(self.good, folder, dirs_exist_ok=True)
        self.spoil(folder)


def edited(change: Callable[[object], None]) -> Callable[[Path], None]:
    """Spoil the graph itself."""
    def spoil(folder: Path) -> None:
        import openvino

        model = openvino.Core().read_model(folder / "model.xml")
        change(model)
        openvino.save_model(model, folder / "fresh.xml", compress_to_fp16=False)
        for kind in ("xml", "bin"):
            (folder / f"fresh.{kind}").replace(folder / f"model.{kind}")
    return spoil


def _swap(model: object) -> None:
    """The labels change places."""
    from openvino import opset13

    result = model.outputs[0].get_node()  # type: ignore[attr-defined]
    swapped = opset13.gather(result.input_value(0), opset13.constant(np.array([1, 0])), opset13.constant(1))
    result.input(0).replace_source_output(swapped.output(0))


def _unmask(model: object) -> None:
    """As if the exporter had taken the mask for a constant."""
    from openvino import opset13

    mask = next(one for one in model.inputs if "mask" in one.names)  # type: ignore[attr-defined]
    ones = opset13.broadcast(opset13.constant(np.array(1, np.int64)), opset13.shape_of(mask))
    for place in list(mask.get_target_inputs()):
        if place.get_node() is not ones.input(1).get_source_output().get_node() and \
                place.get_node().get_type_name() != "ShapeOf":
            place.replace_source_output(ones.output(0))


def _fix(model: object) -> None:
    """The length of the sample."""
    model.reshape({"ids": [-1, 5], "mask": [-1, 5]})  # type: ignore[attr-defined]


def _cut(folder: Path) -> None:
    os.truncate(folder / "model.bin", 1000)


def _cased(folder: Path) -> None:
    values = json.loads((folder / TOKENIZER).read_text())
    assert values["normalizer"]["lowercase"] is True
    values["normalizer"]["lowercase"] = False
    (folder / TOKENIZER).write_text(json.dumps(values))


@pytest.mark.parametrize(("spoil", "first"), [
    (edited(_swap), "probability, texts short"), (edited(_unmask), "probability, padded texts"),
    (edited(_fix), "probability, texts short"), (_cut, "cannot be opened"), (_cased, "texts with other tokens")],
    ids=["labels swapped", "mask pruned", "length fixed", "file cut", "no lowercasing"])
def test_a_broken_artefact_is_told_and_not_added(openvino_bundle: Bundle, tmp_path: Path,
                                                 spoil: Callable[[Path], None], first: str) -> None:
    folder = tmp_path / "bundle"
    made(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    source = Source(open_bundle(folder, engine="reference"), None)
    with pytest.raises(QualityFloor, match=first) as told:
        add(source, Broken(openvino_bundle.folder / "openvino-fp32", spoil), "fp32", {})  # type: ignore[arg-type]
    assert told.value.exit_code == 3
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    add(source, Broken(openvino_bundle.folder / "openvino-fp32", lambda folder: None), "fp32", {})  # type: ignore[arg-type]
    assert [one.name for one in Manifest.open(folder).engines] == ["reference", "openvino-fp32"]


def test_a_loss_that_is_not_excluded_is_told(openvino_bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    made(folder)
    texts, targets = tiny.sentences(50, 3)
    good = Broken(openvino_bundle.folder / "openvino-fp32", lambda folder: None)
    bundle = open_bundle(folder, engine="reference")
    with pytest.raises(QualityFloor, match=r"loss of accuracy, at 95%: 0\.05816, at most 0\.05") as told:
        add(Source(bundle, Held(texts, targets, 0.05, 0.95)), good, "fp32", {})  # type: ignore[arg-type]
    assert "50 held-out rows can prove no less than 0.058" in told.value.hint
    assert "--floor 0.059" in told.value.hint
    entry = add(Source(bundle, Held(texts, targets, 0.06, 0.95)), good, "fp32", {})  # type: ignore[arg-type]
    assert entry.certificate is not None and entry.certificate.loss is not None
    loss = entry.certificate.loss
    assert (loss.n, loss.before - loss.after) == (50, 0)
    assert loss.bound == pytest.approx(1 - 0.05 ** (1 / 50))


def test_exporting_tells_nobody(openvino_bundle: Bundle, tmp_path: Path) -> None:
    """In a fresh process, for NNCF is silent where pytest is loaded."""
    code = f"""
import socket, sys
def refuse(*a, **k): print("CONNECTS", a[:1]); raise OSError("no network")
socket.getaddrinfo = socket.create_connection = refuse
from pathlib import Path
from seedbed.engines.transformer import TransformerHead
from seedbed.export.targets.openvino import OpenVinoTarget
model = TransformerHead.load(Path({str(openvino_bundle.folder / "model")!r}), exactly=True)
OpenVinoTarget().write(model, Path({str(tmp_path)!r}), "int8")
import nncf.telemetry
print(type(nncf.telemetry.telemetry).__name__, sys.modules["openvino_telemetry"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["MagicMock", "None"], done.stdout
