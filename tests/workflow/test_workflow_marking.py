"""`seedbed train --task entities`, from a file to a tagger that answers."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import tiny

from seedbed.cli import main
from seedbed.data.spans import read_spans, spans_of
from seedbed.errors import DataError, Interrupted, UserError
from seedbed.evaluate.figures import TuneResult
from seedbed.train.boundary import Boundary
from seedbed.train.config import TextConfig
from seedbed.workflow import TuneConfig, finetune
from seedbed.workflow.config import check
from seedbed.workflow.tune import resume

FLAGS = ["--task", "entities", "--model", "tiny-llama", "--epochs", "6", "--train-layers", "4", "--rank", "8",
         "--batch-texts", "4", "--learning-rate", "0.01", "--max-tokens", "32", "--checkpoint-seconds", "0"]


def write(path: Path, rows: int = 60) -> Path:
    """As doccano exports it; no two texts alike, and one row that cannot be used."""
    pick, out = random.Random(3), list[dict[str, Any]]()
    for i in range(rows):
        words, marks, at = [*pick.choices(tiny.OTHER, k=9), str(i)], [], 0
        for place in pick.sample(range(9), 3):
            words[place] = pick.choice(("great", "slow"))
        for word in words:
            if word in ("great", "slow"):
                marks.append([at, at + len(word), "GOOD" if word == "great" else "BAD"])
            at += len(word) + 1
        out.append({"text": " ".join(words), "label": marks})
    out.append({"text": "short", "label": [[0, 50, "GOOD"]]})
    path.write_text("".join(json.dumps(row) + "\n" for row in out))
    return path


def test_it_learns_says_so_and_answers(tiny_ladder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["train", str(write(tmp_path / "a.jsonl")), *FLAGS, "--out", str(out)]) == 0
    said = capsys.readouterr()
    result = TuneResult.model_validate_json((out / "result.json").read_text())
    lead = result.figures[0]
    assert (lead.name, result.task, result.form) == ("micro_f1", "entities", "doccano")
    assert lead.baseline and lead.gain and lead.after.n == result.judged == result.rows["test"] > 8
    assert lead.after.value > 0.6
    assert lead.gain.value == pytest.approx(lead.after.value - lead.before.value)
    assert {one.name for one in result.figures} == {
        "micro_f1", "macro_f1", "partial_f1", "precision", "recall", "f1:BAD", "f1:GOOD"}
    assert sum(result.rows.values()) == 60 and result.skipped == {"span_outside": 1}
    assert result.predicted_memory and result.tokens["cut"] == 0
    assert f"seedbed predict {out}" in said.out and result.verdict in said.out
    assert "1 row had a span that ends beyond the text" in said.err
    assert result.samples and "[" in result.samples[0].reference

    assert main(["predict", str(out), "the box was great and the paper", "--json"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert ("GOOD", "great", 12) in [(one["label"], one["text"], one["start"]) for one in line["entities"]]
    assert main(["predict", str(out), "the box was great and the paper"]) == 0
    assert "great" in capsys.readouterr().out
    (tmp_path / "new.csv").write_text("text\nthe box came on monday and was slow\n")
    assert main(["predict", str(out), "--file", str(tmp_path / "new.csv"), "--out", str(tmp_path / "new.jsonl")]) == 0
    again = read_spans(tmp_path / "new.jsonl")  # what was found can be corrected and learned from
    assert (31, "BAD") in [(one.start, one.label) for one in spans_of(again.dataset)[0]]
    pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install 'seedbed[openvino]'")
    capsys.readouterr()
    assert main(["export", str(out), "--to", "openvino:fp32", "--floor", "0.5", "--json", "--quiet"]) == 0
    loss = json.loads(capsys.readouterr().out)["added"][0]["certificate"]["loss"]
    assert loss["n"] == result.rows["test"] + result.rows["validation"] and loss["before"] == loss["after"] > 0.6
    assert main(["predict", str(out), "the box was great and the paper", "--json", "--engine", "openvino-fp32"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert [(one["label"], one["start"]) for one in again["entities"]] == [
        (one["label"], one["start"]) for one in line["entities"]]
    assert main(["predict", str(out), "great", "--engine", "onnx-int8"]) == 2
    assert "holds no engine 'onnx-int8'" in capsys.readouterr().err
    assert main(["predict", str(out), "great", "--threshold", "0.5"]) == 2
    assert "--threshold is for labels of whole texts" in capsys.readouterr().err


def test_stopped_it_goes_on(tiny_ladder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TuneConfig(task="entities", model="tiny-llama")
    quick = TextConfig(epochs=2, train_layers=2, rank=4, batch_texts=16, learning_rate=1e-2, checkpoint_seconds=0)
    file = write(tmp_path / "a.jsonl")
    straight = finetune(file, config, quick, out=tmp_path / "straight")
    calls, real = [0], Boundary.pass_through

    def stopping(self: Boundary, *more: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == 9:
            raise KeyboardInterrupt
        return real(self, *more, **named)
    with monkeypatch.context() as patch:
        patch.setattr(Boundary, "pass_through", stopping)
        with pytest.raises(Interrupted):
            finetune(file, config, quick, out=tmp_path / "stopped")
    assert (tmp_path / "stopped" / "training" / "checkpoint").is_dir()
    done = resume(tmp_path / "stopped")
    assert done.result.figures == straight.result.figures
    weights = [(tmp_path / name / "bundle" / "model" / "model.safetensors").read_bytes()
               for name in ("straight", "stopped")]
    assert weights[0] == weights[1]


def test_what_cannot_be_meant_is_refused(tiny_ladder: Path, tmp_path: Path) -> None:
    assert check(TuneConfig(task="entities"), TextConfig())[0].model == "all-minilm-l6-v2"
    assert check(TuneConfig(), TextConfig())[0].model == "smollm2-135m-instruct"
    (tmp_path / "few.jsonl").write_text('{"text": "a", "label": [[0, 1, "P"]]}\n' * 2)
    with pytest.raises(UserError, match="not trained on weights at 4 bits"):
        finetune(write(tmp_path / "a.jsonl"), TuneConfig(task="entities", model="tiny-llama", method="qlora"),
                 out=tmp_path / "out")
    with pytest.raises(DataError):
        finetune(tmp_path / "few.jsonl", TuneConfig(task="entities", model="tiny-llama"), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
