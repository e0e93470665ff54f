"""An embedding run as a file of another runtime, from the run folder to a vector."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from test_workflow_embed import CONFIG, QUICK, write

import seedbed
from seedbed.cli import main
from seedbed.data.freeze import open_splits
from seedbed.errors import QualityFloor
from seedbed.export import artefact
from seedbed.export.bundle import open_bundle
from seedbed.export.manifest import sha256
from seedbed.export.verify import verify
from seedbed.models.backbone import Backbone
from seedbed.store import open_store
from seedbed.workflow import finetune
from seedbed.workflow.exporting import ExportConfig, export

pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install 'seedbed[openvino]'")
TEXTS = ["great the box", "", "naïve 好"]


def test_from_a_run_to_a_vector(tiny_ladder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(artefact, "SPEED_SECONDS", 0.05)
    run = tmp_path / "out"
    done = finetune(write(tmp_path / "asked.jsonl"), CONFIG, QUICK, out=run)
    rows = open_splits(run)
    asked = len(rows.part("validation")) + len(rows.part("test"))

    before = (run / "bundle" / "bundle.json").read_bytes()
    with pytest.raises(QualityFloor, match=r"loss of nDCG@10, at 95%: 0\.\d+, at most 0\.01") as told:
        export(run, ExportConfig(to=("openvino:fp32",), floor=0.01))
    assert "questions can prove no less than 0." in told.value.hint
    assert (run / "bundle" / "bundle.json").read_bytes() == before

    assert main(["export", str(run), "--to", "openvino:fp32", "--floor", "0.25", "--quiet"]) == 0
    assert "cosine to it, at least" in capsys.readouterr().out
    bundle = seedbed.load(run / "bundle", engine="openvino-fp32")
    entry = bundle.manifest.engines[1]
    assert entry.certificate is not None and entry.certificate.loss is not None
    loss = entry.certificate.loss
    assert 8 < loss.n <= asked and loss.before == loss.after and 0.05 < loss.bound < loss.floor == 0.25
    assert set(loss.scores) == {one.name for one in done.result.figures}
    with open_store() as store:
        assert store.run("out").bundles[0].hash == sha256(run / "bundle" / "bundle.json")
    assert not verify(run / "bundle").failed
    expected = Backbone.open(run / "bundle" / "model").embed(TEXTS).numpy()
    assert np.allclose(bundle.embed(TEXTS), expected, atol=2e-2)  # bf16 where the machine has it

    assert main(["predict", str(run), *TEXTS, "--engine", "openvino-fp32", "--quiet"]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["text"] for one in said] == TEXTS
    assert np.array_equal(np.array([one["vector"] for one in said], np.float32), bundle.embed(TEXTS))
    (tmp_path / "new.csv").write_text("text,n\ngreat the box,1\nslow,2\n")
    assert main(["predict", str(run / "bundle"), "--file", str(tmp_path / "new.csv"), "--out",
                 str(tmp_path / "new.jsonl")]) == 0
    assert "Written to" in capsys.readouterr().out
    lines = [json.loads(line) for line in (tmp_path / "new.jsonl").read_text().splitlines()]
    assert [(one["text"], len(one["vector"])) for one in lines] == [("great the box", 32), ("slow", 32)]
    monkeypatch.setattr("sys.stdin", io.StringIO("great\n\nslow\n"))
    assert main(["predict", str(run)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["predict", str(run), "great", "--threshold", "0.5"]) == 2
    assert "a model that embeds gives vectors" in capsys.readouterr().err
    assert main(["predict", str(run), "great", "--engine", "onnx-int8"]) == 2
    assert "holds no engine 'onnx-int8'" in capsys.readouterr().err
    assert main(["serve", str(run / "bundle")]) == 2
    assert "which gives no labels of texts" in capsys.readouterr().err
    assert open_bundle(run / "bundle", verify=True).name == "out"
