"""`seedbed train FOLDER`: split by file, learned in windows, judged by loss and by completed lines."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import tiny

from seedbed.cli import main
from seedbed.data.freeze import open_splits
from seedbed.errors import DataError, UserError
from seedbed.models.fim import FAMILIES
from seedbed.train.config import TextConfig
from seedbed.workflow import TuneConfig, finetune
from seedbed.workflow.tune import resume

QUICK = TextConfig(epochs=4, train_layers=4, batch_texts=16, learning_rate=5e-3, max_tokens=48)


def sources(folder: Path, files: int) -> Path:
    """Files of functions that are much alike, in two folders."""
    pick = random.Random(0)
    for number in range(files):
        place = folder / ("ab"[number % 2]) / f"box{number}.py"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"# {number} {' '.join(pick.choices(tiny.OTHER, k=30))}\n" + "".join(
            f"def {a}_{b}(box):\n    return box + {number}\n" for a, b in
            (pick.choices(tiny.OTHER, k=2) for _ in range(4))))
    return folder


def test_source_files_from_a_folder_to_completed_lines(tiny_ladder: Path, tmp_path: Path) -> None:
    folder = sources(tmp_path / "src", 40)
    (folder / "a" / "gone.py").write_text("")
    done = finetune(folder, TuneConfig(model="tiny-llama", method="full", answered=8), QUICK, out=tmp_path / "out")
    result, data = done.result, open_splits(done.folder.path)
    assert result.task == "pretrain" and result.form == "source files" and result.skipped == {"empty_text": 1}
    assert result.rows == {"train": 32, "validation": 4, "test": 4} and result.judged == 4
    loss = result.figure("loss")
    assert loss.after.n == 4 and loss.gain and loss.gain.low > 0 and "It has learned" in result.verdict
    assert [one.name for one in result.figures[4:]] == [
        "next_line_exact", "next_line_similarity", "rest_of_line_exact", "rest_of_line_similarity", "parses"]
    assert result.figure("next_line_similarity").after.n <= 4 and len(result.samples) == 8
    assert "next line, edit similarity" in result.verdict
    size = sum(len(text.encode()) for text in data.part("test").texts)
    bits = result.figure("bits_per_byte")
    assert bits.before.value * size == pytest.approx(  # each token of each file is judged once, but its first
        loss.before.value / 0.6931 * sum(len(tokens(text)) for text in data.part("test").texts), rel=0.01)
    assert result.tokens["learned"] == sum(len(tokens(text)) for text in data.part("train").texts)
    assert result.tokens["cut"] == 0 and result.tokens["all"] > result.tokens["learned"]
    assert resume(done.folder.path).result.figures == result.figures


def tokens(text: str) -> list[int]:
    """Those that are learned: all but the first, and the end."""
    from transformers import AutoTokenizer
    made: list[int] = AutoTokenizer.from_pretrained(tiny.model("llama"))(text)["input_ids"]
    return made


@pytest.mark.slow
def test_a_model_that_fills_in_is_judged_by_it_and_shows_no_marks(
        tiny_ladder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    marks = FAMILIES[0]
    model = gap_model(tmp_path / "fim", marks.prefix, marks.suffix, marks.middle)
    monkeypatch.setattr("seedbed.workflow.writing.WritingCourse.model", lambda *_: model)
    out = tmp_path / "out"
    done = finetune(sources(tmp_path / "src", 24), TuneConfig(model="tiny-llama", method="full", answered=6),
                    QUICK, out=out)
    names = [one.name for one in done.result.figures]
    assert {"infill_exact", "infill_similarity"} <= set(names)
    plain = finetune(tmp_path / "src", TuneConfig(model="tiny-llama", method="full", fim=0, answered=0), QUICK,
                     out=tmp_path / "plain").result
    assert plain.tokens["learned"] < done.result.tokens["learned"] and len(plain.figures) == 4
    capsys.readouterr()
    assert main(["generate", str(out), "def box(", "--suffix", "\n    return", "--max-tokens", "40"]) == 0
    said = capsys.readouterr().out
    assert said.strip() and not any(mark in said for mark in (marks.prefix, marks.suffix, marks.middle, "<eos>"))


def gap_model(folder: Path, *names: str) -> Path:
    """A tiny model whose tokenizer has these tokens too."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(tiny.model("llama"))
    tokenizer.add_tokens(list(names))
    model = AutoModelForCausalLM.from_pretrained(tiny.model("llama"))
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_documents_are_judged_by_their_loss_alone(tiny_ladder: Path, tmp_path: Path) -> None:
    pick, rows = random.Random(1), tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": " ".join(pick.choices(tiny.OTHER, k=40)) + " <eos> ."}) + "\n"
                            for _ in range(30)))
    done = finetune(rows, TuneConfig(task="pretrain", model="tiny-llama"), TextConfig(
        epochs=1, train_layers=1, rank=2, max_tokens=32), out=tmp_path / "out")
    assert done.result.form == "documents" and len(done.result.figures) == 4 and done.result.judged == 3
    assert not done.result.samples


def test_too_few_files_and_a_gap_without_tokens_are_refused(
        tiny_ladder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match="5 rows to learn from and 0 to judge by are too few"):
        finetune(sources(tmp_path / "src", 6), TuneConfig(model="tiny-llama"), QUICK, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="out of bounds"):
        finetune(tmp_path / "src", TuneConfig(fim=2), QUICK)
    assert main(["generate", str(tiny.model("llama")), "def box(", "--suffix", "x"]) == 2
    assert "no tokens for fill-in-the-middle" in capsys.readouterr().err
