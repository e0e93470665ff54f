"""What becomes of rows that are longer than --max-tokens."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from seedbed.errors import DataError
from seedbed.progress import Progress
from seedbed.train.config import TextConfig
from seedbed.workflow.config import Job, RunFolder, TuneConfig
from seedbed.workflow.lengths import fitting
from seedbed.workflow.tune import course_of, finetune

SHORT, LONG = "the box came", "the box came on monday " * 30
ROWS = [(f"{SHORT} {i}", f"blue {i}") for i in range(40)]


class Notes(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def fitted(file: Path, rows: list[dict[str, Any]], **given: Any) -> tuple[set[int], dict[str, int], str]:
    """Lines that are kept, what is counted, and what is said."""
    file.write_text("\n".join(map(json.dumps, rows)))
    notes, config = Notes(), TuneConfig(model="tiny-llama", **given)
    job = Job(str(file), config, TextConfig(max_tokens=48), RunFolder(file.with_suffix("")), time.monotonic(), notes)
    course = course_of(config)
    dataset, said = course.read(str(file), config, notes)
    notes.said.clear()
    kept = fitting(job, course, dataset, said)
    assert said["read"] == len(kept) + sum(said["skipped"].values())
    return set(kept.column("line")), said["skipped"], " ".join(notes.said)


def test_rows_without_room_for_their_answer_are_left_out_and_others_lose_their_end(
        tiny_ladder: Path, tmp_path: Path) -> None:
    rows = [{"prompt": asked, "completion": said} for asked, said in
            (*ROWS, (LONG + "1", "blue"), (LONG + "2", "paper"), (SHORT, LONG + "3"), ("", ""))]
    file, every = tmp_path / "asked.jsonl", set(range(1, 44))
    assert fitted(file, rows[:40]) == (set(range(1, 41)), {}, "")
    kept, skipped, told = fitted(file, rows)
    assert kept == every - {41, 42} and skipped == {"no_conversation": 1, "too_long": 2}
    assert told.startswith("3 of 43 rows are longer than --max-tokens 48. 2 of them are left out, as nothing of "
                           "their answers would be learned (asked.jsonl line 4")
    assert told.endswith("The end of 1 is cut, with the mark that ends an answer.")
    kept, skipped, told = fitted(file, rows, long_rows="drop")
    assert kept == every - {41, 42, 43} and skipped["too_long"] == 3 and "cut" not in told
    with pytest.raises(DataError, match=r"asked\.jsonl line 4[123] has \d+ tokens, and --max-tokens is 48"):
        fitted(file, rows, long_rows="refuse")
    for how, why in (("cut", "the answer begins after token 48"), ("drop", "it is longer than --max-tokens 48")):
        with pytest.raises(DataError, match=rf"asked\.jsonl line \d+: not one token would be learned: {why}"):
            fitted(file, [{"prompt": f"{LONG} {i}", "completion": "no"} for i in range(9)], long_rows=how)


def test_both_answers_go_and_questions_alone_too(tiny_ladder: Path, tmp_path: Path) -> None:
    rows = [{"prompt": asked, "chosen": said, "rejected": "slow"} for asked, said in ROWS]
    rows += [{"prompt": SHORT, "chosen": LONG + "1", "rejected": LONG + "2"},   # the same once they are cut
             {"prompt": LONG, "chosen": "blue", "rejected": "slow"}, {**rows[0], "chosen": LONG}]
    kept, skipped, told = fitted(tmp_path / "pairs.jsonl", rows, task="prefer")
    assert kept == {*range(1, 41), 43} and skipped == {"too_long": 2} and "the good answer" not in told
    asked = [{"question": asked} for asked, _ in ROWS] + [{"question": LONG}]
    kept, skipped, _ = fitted(tmp_path / "q.jsonl", asked, teacher="tiny-llama", distill="text")
    assert kept == set(range(1, 41)) and skipped == {"too_long": 1}


def test_a_run_goes_on_without_them_and_its_result_says_so(tiny_ladder: Path, tmp_path: Path) -> None:
    file = tmp_path / "asked.jsonl"
    file.write_text("\n".join(json.dumps({"prompt": a, "completion": b}) for a, b in (
        *ROWS, *((f"{LONG} {i}", "no") for i in range(3)), *((f"{SHORT} {i}?", LONG) for i in range(5)))))
    result = finetune(file, TuneConfig(model="tiny-llama", answered=0), TextConfig(
        epochs=1, train_layers=1, max_tokens=48), out=tmp_path / "out").result
    assert result.skipped == {"too_long": 3} and sum(result.rows.values()) == 45
    assert 1 <= result.tokens["cut_rows"] <= 5 and result.tokens["cut"] > 0
