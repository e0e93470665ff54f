"""`seedbed train --task`: rows are asked as the task asks, and answers are scored before and after."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import validate
from tiny import OTHER

from seedbed.cli import main
from seedbed.data.freeze import open_splits
from seedbed.errors import DataError, NotFound, UserError
from seedbed.train.config import TextConfig
from seedbed.workflow import TuneConfig, finetune
from seedbed.workflow.answering import form, prompt
from seedbed.workflow.tune import resume

QUICK = TextConfig(epochs=8, train_layers=4, batch_texts=16, learning_rate=5e-3, max_tokens=112)
KINDS = ("box", "paper", "label")


def table(path: Path, rows: int = 120) -> Path:
    """Texts, and their first words."""
    pick = random.Random(0)
    path.write_text("".join(json.dumps({
        "doc": f"the {KINDS[i % 3]} came. {' '.join(pick.choices(OTHER, k=6))} {i}",
        "out": f"the {KINDS[i % 3]} came."}) + "\n" for i in range(rows)))
    return path


def test_summaries_from_a_table_to_scored_answers(tiny_ladder: Path, tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    config = TuneConfig(task="summarize", model="tiny-llama", method="full", ask="doc", answer="out", answered=8)
    done = finetune(table(tmp_path / "rows.jsonl"), config, QUICK, out=tmp_path / "out")
    result = done.result
    assert [one.name for one in result.figures] == [
        "rouge_l", "loss", "bits_per_byte", "perplexity", "word_perplexity", "rouge_1", "rouge_2"]
    lead, loss = result.figures[0], result.figure("loss")
    assert lead.after.n == 8 and loss.after.n == result.judged == 12
    assert lead.baseline and lead.baseline.value == 1  # the first sentence
    assert lead.gain and lead.gain.value == pytest.approx(lead.after.value - lead.before.value) and lead.gain.low > 0
    assert lead.p_value and 0 < lead.p_value <= 0.05
    assert "It answers better than before" in result.verdict
    assert len(result.samples) == 8 and all(one.asked.startswith("the ") for one in result.samples)
    asked = prompt(done.folder.model, "the box came 7")[0]["content"]
    assert asked == "Summarize this text in about 5 words.\n\nthe box came 7"
    assert "Summarize" not in open_splits(done.folder.path).texts[0]  # frozen rows are those that were given
    assert main(["generate", str(done.folder.path), "the box came. it was on monday 7", "--max-tokens", "20"]) == 0
    assert capsys.readouterr().out.startswith("the ")
    assert resume(done.folder.path).result.figures == result.figures


def test_extracted_answers_keep_to_the_schema_however_little_was_learned(
        tiny_ladder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = table(tmp_path / "rows.jsonl", 80)
    read = [json.loads(line) for line in rows.read_text().splitlines()]
    rows.write_text("".join(json.dumps({"doc": row["doc"], "out": json.dumps(
        {"kind": row["out"].split()[1], "fast": i % 2 == 0})}) + "\n" for i, row in enumerate(read)))
    config = TuneConfig(task="extract", model="tiny-llama", ask="doc", answer="out", answered=6)
    done = finetune(rows, config, TextConfig(epochs=1, train_layers=1, rank=2, max_tokens=160), out=tmp_path / "out")
    schema = json.loads(form(done.folder.model))
    for one in done.result.samples:
        for answer in (one.before, one.after):
            validate(json.loads(answer), schema)
    assert {one.name: one.after.value for one in done.result.figures}["valid_schema"] == 1
    asked = ["generate", str(done.folder.path), "the box came", "--max-tokens"]
    assert main([*asked, "60"]) == 0
    made = capsys.readouterr().out
    assert made.startswith('{"kind": "') and set(json.loads(made)) == {"kind", "fast"}  # as all answers were laid out
    assert main([*asked, "60", "--free"]) == 0
    assert not capsys.readouterr().out.startswith("{")  # what this model would write
    assert main([*asked, "3"]) == 0
    assert "no whole JSON: it ended after 3 tokens" in capsys.readouterr().err
    own = tmp_path / "own.json"
    own.write_text('{"enum": ["yes", "no"]}')
    assert main([*asked, "60", "--schema", str(own)]) == 0
    assert json.loads(capsys.readouterr().out) in ("yes", "no")
    for given, why in (([str(own), "--free"], "cannot both be meant"), ([str(rows)], "no JSON schema"),
                       ([str(tmp_path / "none")], "There is no schema")):
        assert main([*asked, "60", "--schema", *given]) == 2
        assert why in capsys.readouterr().err


def test_rows_that_ask_themselves_are_left_as_they_are(tiny_ladder: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({
        "prompt": f"sum up: the {KINDS[i % 3]} came {i} on monday", "completion": f"the {KINDS[i % 3]} {i}"}) + "\n"
        for i in range(60)))
    done = finetune(tmp_path / "rows.jsonl", TuneConfig(task="summarize", model="tiny-llama", answered=4),
                    TextConfig(epochs=1, train_layers=1, rank=2, max_tokens=64), out=tmp_path / "out")
    assert prompt(done.folder.model, "a") == [{"role": "user", "content": "a"}]
    assert done.result.figures[0].name == "rouge_l"
    assert done.result.samples[0].asked.startswith("sum up: the")


def test_without_answers_only_the_loss_is_told_and_odd_rows_are(tiny_ladder: Path, tmp_path: Path) -> None:
    rows = table(tmp_path / "rows.jsonl", 40)
    rows.write_text(rows.read_text() + json.dumps({"doc": "it fell", "out": "it fell and broke"}) + "\n")
    config = TuneConfig(task="summarize", model="tiny-llama", ask="doc", answer="out", answered=0)
    done = finetune(rows, config, TextConfig(epochs=1, train_layers=1, max_tokens=96), out=tmp_path / "out")
    assert done.result.figures[0].name == "loss" and not done.result.samples
    said = json.loads(done.folder.health.read_text())["findings"]
    kept = {one["code"]: (one["count"], one["lines"]) for one in said}
    assert kept["long_summary"] == (1, [41]) and kept["copied_summary"][0] == 40


def test_options_that_do_not_fit_are_refused_before_anything_is_written(tiny_ladder: Path, tmp_path: Path) -> None:
    rows = table(tmp_path / "rows.jsonl", 40)
    for config, kind, said in (
            (TuneConfig(task="chat", language="de"), UserError, "The task chat takes no language"),
            (TuneConfig(task="extract", schema=tmp_path / "none.json"), NotFound, "There is no schema"),
            (TuneConfig(task="extract", schema=rows), UserError, "no JSON schema")):
        with pytest.raises(kind, match=said):
            finetune(rows, replace(config, model="tiny-llama", ask="doc", answer="out"), QUICK, out=tmp_path / "out")
    with pytest.raises(DataError, match="no schema can be derived"):
        finetune(rows, TuneConfig(task="extract", model="tiny-llama", ask="doc", answer="out"), QUICK,
                 out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
