"""`seedbed train --task embed`: from pairs to a model that others open, whole, killed and refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from children import Children
from tiny import GOOD, OTHER

from seedbed.cli import main
from seedbed.data.freeze import open_splits
from seedbed.errors import DataError, UserError
from seedbed.models.backbone import Backbone
from seedbed.store import open_store
from seedbed.train.config import TextConfig
from seedbed.workflow import TuneConfig, finetune

CONFIG = TuneConfig(task="embed", model="tiny-bert", method="full")
QUICK = TextConfig(epochs=2, train_layers=2, batch_pairs=8, learning_rate=1e-3, max_tokens=32, checkpoint_seconds=0)
WORDS = [*GOOD, *OTHER[:9]]
FLAGS = ["--task", "embed", "--model", "tiny-bert", "--method", "full", "--epochs", "3", "--train-layers", "2",
         "--batch-pairs", "4", "--learning-rate", "1e-3", "--max-tokens", "32", "--checkpoint-seconds", "0",
         "--quiet"]
OTHERS = """
import json, sys, torch
from pathlib import Path
from transformers import AutoModel, AutoTokenizer
folder = Path(sys.argv[1])
kinds = [one["type"].rsplit(".")[-1] for one in json.loads((folder / "modules.json").read_text())]
assert kinds == ["Transformer", "Pooling", "Normalize"] and "seedbed" not in sys.modules
assert json.loads((folder / "1_Pooling" / "config.json").read_text())["pooling_mode_mean_tokens"]
model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
given = tokenizer(sys.argv[2:], padding=True, return_tensors="pt")
with torch.no_grad():
    hidden, mask = model(**given).last_hidden_state, given["attention_mask"][..., None]
print(json.dumps(torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1).tolist()))
"""


def write(path: Path, rows: int = 91) -> Path:
    """A question of two words, a document with both, no two alike."""
    two = [(a, b) for i, a in enumerate(WORDS) for b in WORDS[:i]][:rows]
    path.write_text("".join(json.dumps({"question": f"{a} {b}", "answer": f"inside was a {b} paper, {a}"}) + "\n"
                            for a, b in two))
    return path


def test_folder_store_and_result_say_the_same_and_transformers_gives_the_same_vectors(
        tiny_ladder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = finetune(write(tmp_path / "asked.jsonl"), CONFIG, QUICK, out=tmp_path / "out")
    result, rows = done.result, open_splits(tmp_path / "out")
    assert (result.task, result.form, result.judged) == ("embed", "question and answer", result.rows["test"])
    assert sum(result.rows.values()) == len(rows) == 91 and "among 91 documents" in result.verdict
    assert [one.name for one in result.figures] == [
        "ndcg_at_10", "recall_at_1", "recall_at_5", "recall_at_10", "mrr_at_10"]
    for one in result.figures:
        assert one.gain and one.baseline and one.baseline.n == one.after.n == one.gain.n <= result.judged  # by unit
        assert one.gain.value == pytest.approx(one.after.value - one.before.value)
    assert result.figure("recall_at_10").baseline.value > 0.8          # type: ignore[union-attr]  # by words it is easy
    assert result.predicted_memory and len(result.history) == 2 and len(result.samples) == 5
    with open_store() as store:
        kept = store.run("out")
    assert (kept.state, kept.task, kept.metric) == ("finished", "embed", "ndcg_at_10")
    assert {s.candidate for s in kept.scores} == {"base", "tuned", "baseline"}
    texts = ["great the box", "a"]
    child = subprocess.run([sys.executable, "-c", OTHERS, str(done.folder.model), *texts], capture_output=True,
                           text=True, check=True, cwd=tmp_path)
    assert np.allclose(json.loads(child.stdout), Backbone.open(done.folder.model).embed(texts), atol=2e-2)  # bf16
    assert main(["runs"]) == 0
    assert "embed" in capsys.readouterr().out


@pytest.mark.slow
def test_killed_it_ends_as_an_undisturbed_run(tmp_path: Path, tiny_models: Path) -> None:
    children = Children(tmp_path, tiny_models)
    write(tmp_path / "asked.jsonl")
    children.run("train", "asked.jsonl", *FLAGS, "--out", "straight")
    children.stop(["train", "asked.jsonl", *FLAGS, "--out", "killed"],
                  children.past("killed/training/checkpoint"))
    children.run("train", "--resume", "killed", "--quiet")
    assert children.result("killed") == children.result("straight")
    assert children.weights("killed") == children.weights("straight")


def test_what_is_wrong_is_told_before_anything_is_written(tiny_ladder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="6 pairs to learn from and 2 to judge by are too few"):
        finetune(write(tmp_path / "few.jsonl", 9), CONFIG, QUICK, out=tmp_path / "out")
    with pytest.raises(UserError, match="out of bounds"):
        finetune(write(tmp_path / "asked.jsonl"), CONFIG, TextConfig(hard_margin=2), out=tmp_path / "out")
    (tmp_path / "t.csv").write_text("text,label\na,b\n")
    assert main(["train", str(tmp_path / "t.csv"), "--task", "embed"]) != 0
    assert not (tmp_path / "out").exists()
