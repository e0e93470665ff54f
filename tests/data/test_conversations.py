from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seedbed.data.conversations import conversations, read_conversations
from seedbed.data.read import Reading
from seedbed.errors import DataError, NotFound

GOOD = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}


def lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def checked(reading: Reading) -> Reading:
    assert reading.read == reading.kept + sum(reading.skipped.values())
    assert len(conversations(reading.dataset)) == reading.kept
    return reading


def test_counts_add_up_and_each_row_left_out_has_its_line_and_why(tmp_path: Path) -> None:
    file = lines(tmp_path / "a.jsonl", [GOOD, "{broken", {"messages": [GOOD["messages"][0]]}, "", {"other": 1}, GOOD])
    reading = checked(read_conversations(file))
    assert (reading.read, reading.kept) == (5, 2)
    assert reading.skipped == {"unreadable_row": 1, "no_conversation": 2}
    assert reading.detected["form"] == "messages"
    [finding] = [one for one in reading.findings if one.code == "no_conversation"]
    assert finding.lines == [3, 5]
    assert finding.examples == ["line 3: no turn of the assistant",
                                "line 5: messages is not a list with something in it"]
    assert reading.dataset.column("line") == [1, 6]
    names = reading.dataset.column("id")
    assert names[1] == f"{names[0]}-2"  # the same words, told apart
    assert reading.dataset.texts == ["hi\nhello"] * 2 and set(reading.dataset.targets) == {None}


@pytest.mark.parametrize("kind", ["csv", "parquet", "structs", "json"])
def test_tables_hold_conversations_too(kind: str, tmp_path: Path) -> None:
    text = json.dumps(GOOD["messages"])
    if kind == "csv":
        file = tmp_path / "a.csv"
        file.write_text('messages;id\n"' + text.replace('"', '""') + '";1\n')
    elif kind == "json":
        file = tmp_path / "a.json"
        file.write_text(json.dumps([GOOD]))
    else:
        file = tmp_path / "a.parquet"
        pq.write_table(pa.table({"messages": [text] if kind == "parquet" else [GOOD["messages"]]}), file)
    [made] = conversations(checked(read_conversations(file)).dataset)
    assert list(made.messages) == GOOD["messages"]


def test_any_two_columns_are_a_question_and_its_answer(tmp_path: Path) -> None:
    file = tmp_path / "a.tsv"
    file.write_text("report\tsummary\tward\nA long one.\tShort.\t3\nNo end.\t\t3\n")
    reading = checked(read_conversations(file, ask="report", answer="summary", group="ward"))
    assert reading.skipped == {"no_conversation": 1} and reading.detected["form"] == "report and summary"
    assert [turn["content"] for turn in conversations(reading.dataset)[0].messages] == ["A long one.", "Short."]
    assert reading.dataset.column("group") == ["3"]


def test_splits_that_are_given_stay(tmp_path: Path) -> None:
    reading = checked(read_conversations({"train": lines(tmp_path / "a.jsonl", [GOOD, GOOD]),
                                          "test": lines(tmp_path / "b.jsonl", [GOOD])}))
    assert reading.dataset.column("split") == ["train", "train", "test"]


def test_what_cannot_be_read_is_told_in_two_lines(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("review,rating\nfine,good\n")
    with pytest.raises(DataError, match="has the columns review, rating, which are no form of conversation") as told:
        read_conversations(table)
    assert "--ask and --answer" in told.value.hint
    with pytest.raises(DataError, match="One column was named"):
        read_conversations(table, ask="review")
    with pytest.raises(NotFound, match="has no column 'stars'"):
        read_conversations(table, ask="review", answer="stars")
    with pytest.raises(DataError, match=r"Not one of the 1 rows .* line 1: no turn of the assistant"):
        read_conversations(lines(tmp_path / "b.jsonl", [{"messages": [GOOD["messages"][0]]}]))
    for row in ({"prompt": "a", "chosen": "b", "rejected": "c"}, {"prompt": "a", "completion": "b", "label": False}):
        with pytest.raises(DataError, match="all of them would be learned"):
            read_conversations(lines(tmp_path / "c.jsonl", [row]))
    with pytest.raises(NotFound, match="There is no file"):
        read_conversations(tmp_path / "missing.jsonl")
