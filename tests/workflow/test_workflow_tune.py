"""`seedbed train`: from conversations to a model that writes, whole, stopped and refused."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from children import Children

from seedbed.catalog.fetch import writer_folder
from seedbed.cli import main
from seedbed.data.freeze import open_splits
from seedbed.errors import CorruptFile, DataError, NoResources, UserError
from seedbed.export.bundle import open_bundle
from seedbed.export.manifest import Manifest
from seedbed.settings import settings
from seedbed.store import open_store
from seedbed.train.config import TextConfig
from seedbed.workflow import TuneConfig, finetune, resume
from seedbed.workflow.tune import resume as resume_tuning
from seedbed.workflow.view import view

CONFIG = TuneConfig(model="tiny-llama")
QUICK = TextConfig(epochs=3, train_layers=2, rank=4, batch_texts=16, learning_rate=1e-2, max_tokens=48,
                   checkpoint_seconds=0)
THINGS = ("box", "paper", "label", "great", "fast", "broken", "slow", "monday")
FLAGS = ["--model", "tiny-llama", "--epochs", "6", "--patience", "9", "--train-layers", "4", "--rank", "32",
         "--batch-texts", "4", "--max-tokens", "48", "--checkpoint-seconds", "0", "--quiet"]


def write(path: Path, rows: int = 120) -> Path:
    """Questions whose answer repeats a word of theirs, no two alike."""
    lines = [{"prompt": f"the {THINGS[i % 8]} and the {THINGS[i // 8 % 8]} came {i}",
              "completion": f"the {THINGS[i % 8]} it was"} for i in range(rows)]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return path


def test_it_learns_and_the_folder_the_store_and_the_words_say_the_same(tiny_ladder: Path, tmp_path: Path) -> None:
    done = finetune(write(tmp_path / "asked.jsonl"), CONFIG, QUICK, out=tmp_path / "out")
    result, rows = done.result, open_splits(tmp_path / "out")
    loss = result.figure("loss")
    assert loss is result.figures[0] and loss.gain
    assert result.form == "prompt and completion"
    assert sum(result.rows.values()) == len(rows) == 120
    assert result.judged == result.rows["test"] == loss.after.n == 12
    assert result.data_hash == rows.hash
    assert loss.after.high < loss.before.value and loss.gain.low > 0
    assert loss.gain.value == pytest.approx(loss.before.value - loss.after.value)
    assert result.verdict.startswith("It has learned")
    assert result.predicted_memory and result.peak_memory and result.predicted_seconds > 0
    assert 0 < result.tokens["learned"] < result.tokens["all"] and result.tokens["cut"] == 0
    assert json.loads(done.folder.result.read_text()) == result.model_dump(mode="json")
    with open_store() as store:
        kept = store.run("out")
    assert (kept.state, kept.task, kept.result) == ("finished", "chat", result.model_dump(mode="json"))
    assert {s.candidate: s.score for s in kept.scores if s.metric == "loss"} == {
        "base": loss.before, "tuned": loss.after}
    assert kept.score and kept.score.score == loss.after
    assert {one.name for one in done.folder.path.iterdir()} == {
        "adapter", "bundle", "config.yaml", "data.json", "data.parquet", "health.json", "metrics.jsonl",
        "report.html", "result.json", "tested.jsonl", ".lock"}
    card = (done.folder.bundle / "README.md").read_text()
    assert "base_model: tiny-llama" in card and result.verdict.split(":")[0] in card
    said = Manifest.open(done.folder.bundle)
    assert (said.task, said.data_hash, said.base_model) == ({"task": "chat"}, rows.hash, "tiny-llama")
    assert said.base_hash and said.adapter_hash and said.scores["loss"] == loss.after
    proof = said.engines[0].parity
    assert said.engines[0].kind == "writer" and proof.agreement == 1 and proof.max_probability_difference < 1e-3
    assert proof.n > 50 and {one.path for one in said.engines[0].files} >= {
        "model/config.json", "model/model.safetensors", "model/tokenizer.json"}
    with pytest.raises(UserError, match="holds a model for the task chat") as told:
        open_bundle(done.folder.bundle)
    assert told.value.hint == f'Use it with: seedbed generate {done.folder.bundle} "..."'
    for place in ("out", "out/bundle", "out/bundle/model"):
        assert writer_folder(str(tmp_path / place)) == done.folder.model
    page = done.folder.report.read_text()
    assert result.data_hash in page and "What training changed" in page and page.count("<svg") == 3
    assert len(done.folder.metrics.read_text().splitlines()) == len(result.history) == 3


def test_the_tuned_model_writes_what_it_learned(tiny_ladder: Path, tmp_path: Path,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    config = TuneConfig(model="tiny-llama", method="full")
    finetune(write(tmp_path / "asked.jsonl", 200), config, TextConfig(
        epochs=12, train_layers=4, batch_texts=16, learning_rate=5e-3, max_tokens=48), out=tmp_path / "out")
    assert not (tmp_path / "out" / "adapter").exists()
    assert main(["generate", str(tmp_path / "out"), "the box and the slow came 901", "--max-tokens", "20"]) == 0
    assert capsys.readouterr().out.strip().startswith("the ")


@pytest.mark.slow
def test_killed_again_and_again_it_ends_as_an_undisturbed_run(tmp_path: Path, tiny_models: Path) -> None:
    children = Children(tmp_path, tiny_models)
    write(tmp_path / "asked.jsonl")
    children.run("train", "asked.jsonl", *FLAGS, "--out", "straight")
    words = ["train", "asked.jsonl", *FLAGS, "--out", "killed"]
    for least, sign in ((3, signal.SIGKILL), (40, signal.SIGINT), (90, signal.SIGKILL)):
        said = children.stop(words, children.past("killed/training/checkpoint", least), sign)
        assert sign != signal.SIGINT or "Go on with: seedbed train --resume killed" in said
        words = ["train", "--resume", "killed", "--quiet"]
    children.run(*words)
    assert children.result("killed") == children.result("straight")
    assert children.weights("killed") == children.weights("straight")
    before = (tmp_path / "killed" / "result.json").stat().st_mtime_ns
    children.run(*words)
    assert (tmp_path / "killed" / "result.json").stat().st_mtime_ns == before  # a finished run is not run again


def test_what_is_wrong_is_told_before_anything_is_written(tiny_ladder: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "asked.jsonl")
    with pytest.raises(DataError, match=r"asked.jsonl line \d+: not one token would be learned: the answer begins"):
        finetune(file, CONFIG, TextConfig(max_tokens=8), out=tmp_path / "out")
    with pytest.raises(UserError, match="tiny-bert reads and does not write"):
        finetune(file, TuneConfig(model="tiny-bert"), QUICK, out=tmp_path / "out")
    with pytest.raises(UserError, match="tiny-bert reads and does not write"):
        view(file, model="tiny-bert")
    assert main(["generate", "tiny-bert", "the box"]) == 2
    (tmp_path / "few.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    with pytest.raises(DataError, match="1 rows that can be told apart do not fill 3 splits"):
        finetune(tmp_path / "few.jsonl", CONFIG, QUICK, out=tmp_path / "out")
    with pytest.raises(DataError, match="10 rows to learn from and 1 to judge by are too few"):
        finetune(write(tmp_path / "twelve.jsonl", 12), CONFIG, QUICK, out=tmp_path / "out")
    with pytest.raises(UserError, match="out of bounds"):
        finetune(file, CONFIG, TextConfig(rank=0), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_encoder_decoder_learns_is_seen_and_answers(tiny_ladder: Path, tmp_path: Path,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "asked.jsonl")
    seen = view(file, model="tiny-t5", rows=1)
    (_, parts), = seen.shown
    assert [part.learned for part in parts] == [False, True]
    assert [part.text for part in parts] == ["the box and the box came 0<eos><pad>", "the box it was<eos>"]
    assert (seen.problems, seen.diagnosis) == ([], [])
    done = finetune(file, TuneConfig(model="tiny-t5"), QUICK, out=tmp_path / "out")
    result = done.result
    loss = result.figure("loss")
    assert "has learned" in result.verdict and loss.after.value < loss.before.value / 2
    assert result.predicted_memory is not None and result.predicted_memory > 0.5e9
    whole = finetune(file, TuneConfig(model="tiny-t5", method="full"), QUICK, out=tmp_path / "whole").result
    assert whole.figure("loss").after.value < whole.figure("loss").before.value
    assert main(["generate", str(done.folder.path), "the box and the box came 0"]) == 0
    assert "it was" in capsys.readouterr().out
    (tmp_path / "plain.jsonl").write_text("\n".join(json.dumps({"text": f"the box {i}"}) for i in range(60)))
    with pytest.raises(DataError, match=r"plain.jsonl line \d+: A plain text was given, and this model learns"):
        finetune(tmp_path / "plain.jsonl", TuneConfig(model="tiny-t5"), QUICK, out=tmp_path / "none")


def test_memory_and_time_that_do_not_suffice_are_told(tiny_ladder: Path, tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "asked.jsonl")
    with pytest.raises(NoResources, match="The budget is too short: one pass over the texts would take"):
        finetune(file, TuneConfig(model="tiny-llama", budget="0.001s"), QUICK, out=tmp_path / "late")
    monkeypatch.setenv("SEEDBED_MEMORY_LIMIT", "1000000")
    settings.cache_clear()
    with pytest.raises(NoResources, match=r"tiny-llama needs about .* GB of memory to train"):
        finetune(file, CONFIG, QUICK, out=tmp_path / "out")


def test_a_run_of_another_verb_is_not_gone_on_with(tiny_ladder: Path, tmp_path: Path) -> None:
    done = finetune(write(tmp_path / "asked.jsonl"), CONFIG, QUICK, out=tmp_path / "out")
    with pytest.raises(UserError, match="was made by seedbed train") as told:
        resume(done.folder.path)
    assert told.value.hint == f"seedbed train --resume {done.folder.path}"
    rows = tmp_path / "out" / "data.parquet"
    rows.write_bytes(rows.read_bytes()[:-9] + b"x" * 9)
    with pytest.raises(CorruptFile, match="was changed after it was frozen"):
        resume_tuning(done.folder.path)


def test_own_columns_and_splits(tiny_ladder: Path, tmp_path: Path) -> None:
    for name, rows in (("train", 40), ("validation", 8), ("test", 9)):
        (tmp_path / f"{name}.csv").write_text("asked;said;lot\n" + "".join(
            f"the box {name} {i} came;it was {THINGS[i % 8]};{i % 5}\n" for i in range(rows)))
    config = TuneConfig(model="tiny-llama", ask="asked", answer="said", validation=tmp_path / "validation.csv",
                        test=tmp_path / "test.csv")
    done = finetune(tmp_path / "train.csv", config, QUICK, out=tmp_path / "out")
    assert done.result.rows == {"train": 40, "validation": 8, "test": 9}
    assert done.result.form == "asked and said"


def test_figures_are_of_words_that_nothing_was_trained_on(tiny_ladder: Path, tmp_path: Path) -> None:
    """The loss after training is that of the saved model on the frozen test rows."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from seedbed.data.conversations import conversations
    from seedbed.models.template import Template
    done = finetune(write(tmp_path / "asked.jsonl"), CONFIG, QUICK, out=tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(done.folder.model, dtype=torch.float32)
    template = Template(AutoTokenizer.from_pretrained(done.folder.model), 48)
    nats, count = 0.0, 0
    for row in map(template.row, conversations(open_splits(done.folder.path).part("test"))):
        ids = torch.tensor(row.ids)
        with torch.no_grad():
            each = torch.nn.functional.cross_entropy(model(ids[None]).logits[0, :-1], ids[1:], reduction="none")
        nats, count = nats + float(each[torch.tensor(row.learned[1:])].sum()), count + row.count
    assert np.isclose(done.result.figures[0].after.value, nats / count, rtol=0.03)  # bf16, where the machine has it
