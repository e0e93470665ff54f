"""`seedbed compress RUN --how ... --search`: plans are followed, proven together, and the smallest is written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from made_tables import QUICK, table, use_tiny
from test_workflow_tune import CONFIG
from test_workflow_tune import QUICK as SHORT
from test_workflow_tune import write as write_rows

import seedbed
from seedbed.cli import main
from seedbed.evaluate.figures import TuneResult
from seedbed.evaluate.frontier import Frontier
from seedbed.evaluate.result import Result
from seedbed.export.bundle import open_bundle
from seedbed.export.manifest import Manifest, sha256
from seedbed.settings import settings
from seedbed.workflow import RunConfig, finetune, run

pytest.importorskip("onnxruntime", reason="needs the extra: pip install seedbed[onnx]")
pytest.importorskip("xllamacpp", reason="GGUF needs seedbed[gguf]")


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Path:
    """A run whose winner is the tiny encoder, tuned."""
    place = tmp_path_factory.mktemp("plans")
    with pytest.MonkeyPatch.context() as patch:
        use_tiny(patch, place / "home", tiny_models)
        config = RunConfig(text="text", label="label", candidates=("embedding",), learning_curve=False)
        run(table(place / "tickets.csv", 600, noise=0.0), config, QUICK, out=place / "out")
    settings.cache_clear()
    return place / "out"


@pytest.fixture(scope="module")
def writes(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Path:
    """A run of a tiny model that writes, with 40 test rows."""
    place = tmp_path_factory.mktemp("plans")
    with pytest.MonkeyPatch.context() as patch:
        use_tiny(patch, place / "home", tiny_models)
        finetune(write_rows(place / "asked.jsonl", 400), CONFIG, SHORT, out=place / "out")
    settings.cache_clear()
    return place / "out"


def searched(folder: Path, out: Path, capsys: pytest.CaptureFixture[str], *more: str) -> Frontier:
    words = ["compress", str(folder), "--search", "--out", str(out), "--json", "--quiet", *more]
    assert main(words) == 0
    return Frontier.model_validate_json(capsys.readouterr().out)


def content(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): sha256(file) for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.mark.slow
def test_plans_of_a_classifier(labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, out = content(labels / "bundle"), tmp_path / "small"
    found = searched(labels, out, capsys, "--how", "vocabulary,mlp", "--keep", "0.5", "--to", "onnx:fp32",
                     "--floor", "0.2")
    names = [one.name for one in found.points]
    # a half is the least that can go of 64 units: of 0.9 to 0.5 the first that takes it is tried
    assert names == ["original", "onnx-fp32", "vocabulary, onnx-fp32", "vocabulary, mlp 0.7, onnx-fp32"]
    assert all(one.apart is not None and one.level == 0.95 for one in found.points if one.bound is not None)
    trimmed = found.point("vocabulary, onnx-fp32")
    assert trimmed.loss == 0 and trimmed.apart is not None and trimmed.apart < 1e-3  # no text needed what is gone
    assert trimmed.size < found.point("onnx-fp32").size
    assert found.chosen == names[-1]  # all that is written beside the weights makes the others larger than these few
    best = found.point(found.chosen)
    assert best.passed and best.bound is not None and best.bound <= 0.2
    assert best.size == min(one.size for one in found.points if one.passed)

    assert found.folder == str(out) and content(labels / "bundle") == before
    assert Result.model_validate_json((labels / "result.json").read_text()).frontier == found
    assert "vocabulary, mlp 0.7, onnx-fp32" in (labels / "report.html").read_text()
    small = open_bundle(out, verify=True)
    assert [one.name for one in small.manifest.engines] == ["reference", "onnx-fp32"]
    entry = small.manifest.engines[1]
    assert entry.size == best.size and entry.certificate is not None and entry.certificate.passed
    loss = entry.certificate.loss
    assert loss is not None and loss.bound == pytest.approx(best.bound) and loss.floor == 0.2
    first = open_bundle(labels / "bundle")
    assert small.manifest.reference.size < first.manifest.reference.size
    assert main(["verify", str(out), "--quiet"]) == 0
    assert seedbed.load(out, engine="onnx-fp32").predict(["a great parcel"])[0].label in ("good", "bad")
    assert not list(tmp_path.glob(".*")) and not list((labels / "bundle").glob(".*")) and not list(out.glob(".*"))


def test_plans_of_a_model_that_writes(writes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "small"
    found = searched(writes, out, capsys, "--how", "vocabulary,layers", "--keep", "0.4", "--to", "gguf:f16",
                     "--floor", "0.05")
    names = [one.name for one in found.points]
    assert names[:3] == ["original", "gguf-f16", "vocabulary, gguf-f16"]
    trimmed = found.point("vocabulary, gguf-f16")
    assert trimmed.loss is not None and trimmed.loss < 0.05  # fewer words share the probability
    assert trimmed.size < found.point("gguf-f16").size
    refused = {one.name: one.reason for one in found.points if one.status == "refused"}
    assert found.writes and found.chosen == "vocabulary, gguf-f16" and found.folder == str(out), refused
    manifest = Manifest.open(out)
    assert [one.name for one in manifest.engines] == ["reference", "gguf-f16"] and manifest.task["task"] == "chat"
    proof = manifest.engines[1].certificate
    assert proof is not None and proof.rise is not None and proof.rise.bound == pytest.approx(
        found.point(found.chosen).bound)
    assert TuneResult.model_validate_json((writes / "result.json").read_text()).frontier == found
    assert main(["verify", str(out), "--quiet"]) == 0
    assert main(["generate", str(out), "what is seven?", "--engine", "gguf-f16", "--max-tokens", "4", "--quiet"]) == 0
    assert not list(tmp_path.glob(".*")) and not list((writes / "bundle").glob(".*"))


@pytest.mark.slow
def test_where_nothing_is_proven_nothing_is_written(writes: Path, tmp_path: Path,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(shutil.copytree(writes, tmp_path / "run"))
    before = content(folder / "bundle")
    words = ["compress", str(folder), "--how", "mlp", "--keep", "0.5", "--search", "--floor", "0.0001", "--to",
             "gguf:q4_k_m", "--out", str(tmp_path / "small"), "--json", "--quiet"]
    assert main(words) == 3
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["chosen"] is None and found["folder"] is None
    assert [one["name"] for one in found["points"]][:2] == ["original", "gguf-q4_k_m"]
    reasons = {one["name"]: one["reason"] for one in found["points"]}
    assert any(name.startswith("mlp 0.") and "it loses" in reason for name, reason in reasons.items()), reasons
    assert content(folder / "bundle") == before and not (tmp_path / "small").exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(("words", "said"), [
    (["--search", "--out", "small"], "--how names nothing"),
    (["--search", "--how", "mlp"], "no folder is named"),
    (["--search", "--how", "mlp", "--out", "small", "--texts", "some.csv"], "--texts names others")])
def test_what_makes_no_sense_is_told_before_the_work(words: list[str], said: str, tmp_path: Path,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compress", str(tmp_path / "run"), *words]) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.strip().splitlines()) == 2
