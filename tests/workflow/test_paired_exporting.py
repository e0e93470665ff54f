"""`seedbed export` and `seedbed compress --floor` of an encoder-decoder: from a run to answers by other runtimes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_tables import use_tiny
from test_workflow_tune import QUICK, write

from seedbed.cli import main
from seedbed.engines.paired import OnnxPaired, PairedWriter
from seedbed.engines.writer import Writer
from seedbed.errors import QualityFloor
from seedbed.evaluate.costs import Pace
from seedbed.evaluate.figures import TuneResult
from seedbed.evaluate.frontier import Point
from seedbed.export.manifest import Manifest
from seedbed.export.writer_engine import TRIAL, open_author
from seedbed.progress import SILENT
from seedbed.settings import settings
from seedbed.workflow import TuneConfig, finetune
from seedbed.workflow.writer_forms import WriterSubject

for name in ("onnxruntime", "onnxscript"):
    pytest.importorskip(name, reason="ONNX Runtime is not installed: pip install 'seedbed[onnx]'")
for name in ("openvino", "nncf"):
    pytest.importorskip(name, reason="OpenVINO needs seedbed[openvino]")
ASKED = "the box and the slow came 901"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Path:
    """A run of a tiny FLAN-T5 with 37 test rows."""
    place = tmp_path_factory.mktemp("paired")
    with pytest.MonkeyPatch.context() as patch:
        use_tiny(patch, place / "home", tiny_models)
        finetune(write(place / "asked.jsonl", 400), TuneConfig(model="tiny-t5"), QUICK, out=place / "out")
    settings.cache_clear()
    return place / "out"


@pytest.fixture
def run(tuned: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(tuned, tmp_path / "out"))


@pytest.mark.slow
def test_a_run_is_exported_proven_and_answers(run: Path, tiny_ladder: Path, capsys: pytest.CaptureFixture[str],
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["export", str(run), "--edge", str(run / "device"), "--quiet"]) == 0
    told = capsys.readouterr().out
    assert "onnx-int8" in told and "onnx-int8 with a runner" in told
    made = Manifest.open(run / "bundle").engines[1]
    assert made.name == "onnx-int8" and set(made.tools) >= {"onnx", "onnxscript", "onnxruntime"}
    assert "onnxruntime_genai" not in made.tools  # it has no part in this
    proof = made.certificate
    assert proof and proof.rise and proof.pace and proof.reference_pace
    assert proof.checks[-1].name.startswith("rise of the loss") and proof.checks[-1].n > 30
    assert 0 < abs(proof.checks[-1].found) < 0.05

    said = {}
    for engine in ("reference", "onnx-int8"):
        words = ["generate", str(run), ASKED, "--max-tokens", "12", "--engine", engine, "--quiet"]
        assert main(words) == 0
        said[engine] = capsys.readouterr().out
    assert said["reference"] == said["onnx-int8"] != "\n"
    alone = [sys.executable, run / "device" / "generate.py", ASKED, "--max-tokens", "12"]
    assert subprocess.run(alone, capture_output=True, text=True).stdout == said["onnx-int8"]
    assert main(["generate", str(run), ASKED, "--max-tokens", "2"]) == 0
    assert "onnx-int8 answers." in capsys.readouterr().err
    author, _ = open_author(str(run), "auto", SILENT)
    assert isinstance(author, PairedWriter) and isinstance(author.runtime, OnnxPaired)
    assert main(["verify", str(run / "bundle"), "--quiet"]) == 0
    assert "onnx-int8" in capsys.readouterr().out

    trial = run / "bundle" / "onnx-int8" / TRIAL
    told = json.loads(trial.read_text())
    assert told["source"] == 64 and len(told["ids"]) == 128
    told["ids"][3] += 1  # as a machine that computes something else would answer
    trial.write_text(json.dumps(told))
    monkeypatch.setattr("seedbed.export.manifest.BundleFile.check", lambda *a, **k: None)
    monkeypatch.setattr("seedbed.export.writer_engine.APART", 0.0)
    with pytest.raises(QualityFloor, match="onnx-int8 answers otherwise on this machine than certified"):
        open_author(str(run), "onnx-int8", SILENT)
    assert isinstance(open_author(str(run), "auto", SILENT)[0], Writer)


@pytest.mark.slow
def test_the_fastest_proven_form_joins_the_bundle(run: Path, tiny_ladder: Path, monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    """As if the model itself took a second for ten tokens: which of two tiny ones is faster is chance."""
    right = WriterSubject.original

    def slow(self: WriterSubject) -> Point:
        return right(self).model_copy(update={"pace": Pace(reads=10, writes=10)})
    monkeypatch.setattr(WriterSubject, "original", slow)
    words = ["compress", str(run), "--floor", "0.05", "--to", "gguf:q8_0,openvino:int8", "--prefer", "speed",
             "--quiet"]
    assert main(words) == 0
    assert "openvino-int8" in capsys.readouterr().out
    found = TuneResult.model_validate_json((run / "result.json").read_text()).frontier
    assert found and found.chosen == "openvino-int8"
    first, refused, taken = found.points
    assert refused.status == "refused" and "family t5 that write are not exported to GGUF" in refused.reason
    assert first.pace and taken.pace and taken.pace.writes > 10
    assert taken.passed and taken.loss is not None and taken.bound is not None and taken.loss < taken.bound <= 0.05
    assert main(["generate", str(run), ASKED, "--engine", "openvino-int8", "--max-tokens", "4", "--quiet"]) == 0
    assert capsys.readouterr().out.strip()
