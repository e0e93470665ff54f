"""`seedbed compress RUN --floor` of a model that writes: all forms are held against the floor, one is taken."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
from made_tables import use_tiny
from test_workflow_tune import CONFIG, QUICK, write

from seedbed.cli import main
from seedbed.errors import DataError, NoResources
from seedbed.evaluate.figures import TuneResult
from seedbed.evaluate.frontier import Frontier
from seedbed.export.manifest import Manifest, sha256
from seedbed.export.targets.gguf import GgufTarget
from seedbed.export.targets.openvino_writer import OpenVinoWriterTarget
from seedbed.settings import settings
from seedbed.store import open_store
from seedbed.workflow import finetune
from seedbed.workflow.smaller import FloorConfig, smaller

pytest.importorskip("xllamacpp", reason="GGUF needs seedbed[gguf]")
pytest.importorskip("openvino_genai", reason="needs the extra: pip install seedbed[openvino]")
Write = Callable[..., None]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Path:
    """A run of a tiny model with 40 test rows."""
    place = tmp_path_factory.mktemp("floor")
    with pytest.MonkeyPatch.context() as patch:
        use_tiny(patch, place / "home", tiny_models)
        finetune(write(place / "asked.jsonl", 400), CONFIG, QUICK, out=place / "out")
    settings.cache_clear()
    return place / "out"


@pytest.fixture
def run(tuned: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(tuned, tmp_path / "out"))


def content(folder: Path) -> dict[str, str]:
    """Hash of every file in a folder, hidden ones too."""
    return {str(file.relative_to(folder)): sha256(file) for file in sorted(folder.rglob("*")) if file.is_file()}


def broken(write: Write, bits: str) -> Write:
    """Writes the base in the place of the tuned model, in one precision."""
    def instead(self: GgufTarget, model: Path, folder: Path, precision: str, facts: Mapping[str, str],
                reference: object = None) -> None:
        if precision == bits:
            model = Path(shutil.copytree(model, folder.parent / "wrong"))
            shutil.copyfile(tiny.model("llama") / "model.safetensors", model / "model.safetensors")
        write(self, model, folder, precision, facts, reference)
    return instead


@pytest.mark.slow
def test_the_smallest_proven_form_of_all_joins_the_bundle(
        run: Path, tiny_ladder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One passes in each runtime, one is broken and one loses too much."""
    monkeypatch.setattr(GgufTarget, "write", broken(GgufTarget.write, "q8_0"))
    assert main(["compress", str(run), "--floor", "0.05", "--to", "gguf,openvino:int8", "--quiet"]) == 0
    said = capsys.readouterr().out
    result = TuneResult.model_validate_json((run / "result.json").read_text())
    found, loss = result.frontier, result.figure("loss").after
    names = ["original", "gguf-f16", "gguf-q8_0", "gguf-q4_k_m", "openvino-int8"]
    assert found and [one.name for one in found.points] == names
    assert (found.metric, found.floor, found.n) == ("loss", 0.05, loss.n) and loss.n > 30
    first, exact, bad, rough, other = found.points
    assert first.score and first.score.value == pytest.approx(loss.value, rel=1e-3)
    assert first.size and first.memory and first.load and first.pace and first.loss is None
    for one in (exact, rough, other):
        assert one.size and one.memory and one.load and one.pace and one.score and one.level == 0.975
        assert one.loss is not None and one.bound is not None and one.loss < one.bound
        assert one.loss == pytest.approx(one.score.value - first.score.value, abs=1e-9)
        assert one.passed == (one.bound <= 0.05)
    assert exact.passed and exact.loss and abs(exact.loss) < 1e-3 and other.passed
    assert (bad.status, bad.passed, bad.bound) == ("refused", False, None)
    assert "It answers otherwise than the original: divergence, " in bad.reason
    assert not rough.passed and rough.reason == "may lose more than the floor"
    best = min(exact, other, key=lambda one: one.size)
    assert found.chosen == best.name and best.size < first.size

    manifest = Manifest.open(run / "bundle")
    assert [one.name for one in manifest.engines] == ["reference", best.name]
    proof = manifest.engines[1].certificate
    assert manifest.engines[1].size == best.size and proof and proof.rise and not proof.failed
    assert (proof.rise.floor, proof.rise.confidence) == (0.05, 0.975) and proof.rise.bound == best.bound
    assert proof.checks[-1].name == "rise of the loss, nats a token, at 97.5%" and proof.checks[-1].limit == 0.05
    assert proof.pace == best.pace and proof.reference_pace == first.pace
    assert not list((run / "bundle").glob(".*")), "nothing half-made is left"

    page = (run / "report.html").read_text()
    assert "What size costs" in page and all(f"frontier-{what}" in page for what in ("size", "speed", "memory"))
    assert all(f"<bdi>{name}</bdi>" in page and name in said for name in names)
    assert "raises the loss by at most" in said and f"seedbed generate {run} --engine {best.name}" in said
    assert main(["generate", str(run), "the box and the slow came 901", "--max-tokens", "4", "--engine", best.name,
                 "--quiet"]) == 0
    assert capsys.readouterr().out.strip()
    assert main(["verify", str(run / "bundle"), "--quiet"]) == 0


@pytest.mark.slow
def test_where_nothing_meets_the_floor_the_bundle_stays_as_it_was(run: Path, tiny_ladder: Path,
                                                                  capsys: pytest.CaptureFixture[str]) -> None:
    before = content(run / "bundle")
    assert main(["compress", str(run), "--floor", "0.0001", "--to", "gguf:q4_k_m", "--json", "--quiet"]) == 3
    out = capsys.readouterr()
    found = Frontier.model_validate_json(out.out)
    assert found.chosen is None and [one.name for one in found.points] == ["original", "gguf-q4_k_m"]
    assert not found.points[1].passed and found.points[1].level == 0.95  # one sequence has it alone
    told = out.err.replace("\u202f", " ")
    assert "No smaller form is proven to raise the loss by at most 0.0001 nats a token." in told
    assert "The closest is gguf-q4_k_m: it may raise it by" in told and "95 % sure, " in told
    assert content(run / "bundle") == before
    kept = json.loads((run / "result.json").read_text())["frontier"]
    assert kept["chosen"] is None and "No smaller form is proven" in (run / "report.html").read_text()


@pytest.mark.slow
def test_what_needs_the_least_memory_is_taken(run: Path, tiny_ladder: Path) -> None:
    found = smaller(run, FloorConfig(floor=0.05, prefer="memory", to=("gguf:q8_0", "openvino:int8")))
    leanest = min((one for one in found.points if one is found.points[0] or one.passed), key=lambda one: one.memory)
    assert sum(one.passed for one in found.points) == 2 and all(one.memory > 1e7 for one in found.points)
    assert found.chosen == (None if leanest.name == "original" else leanest.name)
    with open_store() as store:  # the home is another one, which knows nothing of the run, and is left alone
        assert store.runs() == []


def stopped(problem: BaseException) -> Write:
    """A disk that is full, or Ctrl-C, in the middle of a file."""
    def instead(self: OpenVinoWriterTarget, model: Path, folder: Path, *rest: object) -> None:
        (folder / "half").write_bytes(b"x" * 100)
        raise problem
    return instead


@pytest.mark.slow
@pytest.mark.parametrize("problem", [
    OSError(28, "No space left on device"), pytest.param(KeyboardInterrupt(), marks=pytest.mark.slow)])
def test_stopped_in_the_middle_the_bundle_is_as_it_was(run: Path, tiny_ladder: Path, problem: BaseException,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(run)
    monkeypatch.setattr(OpenVinoWriterTarget, "write", stopped(problem))
    with pytest.raises(NoResources if isinstance(problem, OSError) else KeyboardInterrupt):
        smaller(run, FloorConfig(to=("openvino",)))
    assert content(run) == before


@pytest.mark.slow
def test_rows_of_a_document_stand_together_and_too_few_prove_nothing(tiny_ladder: Path, tmp_path: Path) -> None:
    """Some 36 test rows would do, but they are of four documents."""
    rows = [json.loads(line) for line in write(tmp_path / "asked.jsonl", 360).read_text().splitlines()]
    (tmp_path / "asked.jsonl").write_text("".join(
        json.dumps({**row, "document": f"d{at // 9}"}) + "\n" for at, row in enumerate(rows)))
    finetune(tmp_path / "asked.jsonl", replace(CONFIG, group="document"), QUICK, out=tmp_path / "of")
    with pytest.raises(DataError, match=r"^[3-6] independent test rows are compared, and fewer than 30 prove"):
        smaller(tmp_path / "of")
    (tmp_path / "of" / "bundle").rename(tmp_path / "alone")
    with pytest.raises(DataError, match="Nothing tells what a smaller form loses"):
        smaller(tmp_path / "alone")
