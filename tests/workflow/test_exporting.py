"""A run's model as a file of another runtime, from the run folder to an answer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_tables import QUICK, table, use_tiny

from seedbed.cli import main
from seedbed.errors import MissingExtra, NotFound, QualityFloor, UserError
from seedbed.export import artefact
from seedbed.export.bundle import open_bundle
from seedbed.export.manifest import sha256
from seedbed.settings import settings
from seedbed.store import open_store
from seedbed.workflow import Finished, RunConfig, run
from seedbed.workflow.exporting import ExportConfig, export

pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install 'seedbed[openvino]'")
TEXTS = ["the box was great and lovely", "the box was broken and awful"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Iterator[Finished]:
    """A run whose winner is a frozen encoder with a head. 420 rows: 63 validation, 63 test."""
    place = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        use_tiny(patch, place / "home", tiny_models)
        patch.setattr(artefact, "SPEED_SECONDS", 0.05)
        data = table(place / "tickets.csv", 420, noise=0.0)
        config = RunConfig(text="text", label="label", candidates=("embedding",), learning_curve=False)
        yield run(data, config, QUICK, out=place / "out")
    settings.cache_clear()


def test_from_a_run_to_an_answer(done: Finished, tiny_models: Path, monkeypatch: pytest.MonkeyPatch,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    use_tiny(monkeypatch, done.folder.path.parent / "home", tiny_models)
    assert main(["export", str(done.folder.path), "--to", "openvino:fp32", "--json", "--quiet"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["note"] == "126 rows that the model has not learned from are answered by both."
    entry = open_bundle(done.bundle, verify=True).manifest.engines[1]
    assert [one["name"] for one in told["added"]] == [entry.name] == ["openvino-fp32"]
    assert entry.certificate is not None and entry.certificate.loss is not None
    loss = entry.certificate.loss
    assert loss.n == 126 and 0.7 < loss.before < 0.8 and loss.before == loss.after
    assert 0.023 < loss.bound < loss.floor == 0.05
    with open_store() as store:
        known = store.run(str(done.folder.path)).bundles[0]
    assert known.hash == sha256(done.bundle / "bundle.json")
    f1 = loss.scores["macro_f1"]
    assert f1[0].n == f1[1].n == 126
    said = []
    for engine in ("reference", "openvino-fp32"):
        assert main(["predict", str(done.bundle), *TEXTS, "--engine", engine, "--json", "--quiet"]) == 0
        said.append(json.loads(capsys.readouterr().out))
    assert [one["label"] for one in said[0]] == [one["label"] for one in said[1]]
    off = [abs(one["confidence"] - other["confidence"]) for one, other in zip(*said, strict=True)]
    assert max(off) < 1e-5
    assert main(["predict", str(done.bundle), *TEXTS, "--engine", "onnx-int8"]) == 2
    refused = capsys.readouterr().err
    assert "holds no engine 'onnx-int8'" in refused and "openvino-fp32" in refused


def test_what_cannot_be_proven_is_exit_code_3(done: Finished, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(done.folder.path, tmp_path / "run"))
    shutil.rmtree(folder / "bundle" / "openvino-fp32", ignore_errors=True)
    before = (folder / "bundle" / "bundle.json").read_bytes()
    with pytest.raises(QualityFloor, match="openvino-bf16 answers otherwise") as told:
        export(folder, ExportConfig(to=("openvino-bf16",), floor=0.01))
    assert told.value.exit_code == 3
    assert "126 held-out rows can prove no less than 0.023" in told.value.hint
    assert (folder / "bundle" / "bundle.json").read_bytes() == before
    assert not (folder / "bundle" / "openvino-bf16").exists()


def test_what_is_asked_is_checked_before_anything_is_done(done: Finished, tmp_path: Path,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    for words, message in ((("tensorflow",), "are not exported to 'tensorflow'"),
                           (("onnx", "safetensors"), "needs no export: the folder model/"),
                           (("peft",), "the folder adapter/ of a run"),
                           (("openvino:int2",), "does not write the precision 'int2'")):
        with pytest.raises(UserError, match=message):
            export(done.folder.path, ExportConfig(to=words))
    with pytest.raises(NotFound, match="There is no bundle"):
        export(tmp_path / "nowhere")
    with pytest.raises(UserError, match="out of bounds"):
        export(done.folder.path, ExportConfig(floor=0.0))
    with pytest.raises(UserError, match="is there already"):
        export(done.folder.path, ExportConfig(edge=done.folder.path))
    monkeypatch.setattr("seedbed.export.targets.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="Export to openvino") as told:
        export(done.folder.path, ExportConfig(to=("openvino",)))
    assert told.value.hint == "Install it with: pip install 'seedbed[openvino]'"


def test_a_linear_model_needs_no_export(tmp_path: Path, tiny_ladder: Path) -> None:
    data = table(tmp_path / "data.csv", 220)
    linear = run(data, RunConfig(text="text", label="label", candidates=("tfidf",), learning_curve=False), QUICK,
                 out=tmp_path / "out")
    with pytest.raises(UserError, match="kind linear needs no export to openvino"):
        export(linear.folder.path, ExportConfig(to=("openvino",)))
