"""Pairs of questions and documents: forms, what is refused, and who is kin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seedbed.data.pairs import KIN, Pair, pairs, read_pairs, with_kin
from seedbed.data.split import split
from seedbed.errors import DataError


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


@pytest.mark.parametrize("row", [
    {"anchor": "q", "positive": "d", "negative": "n"},
    {"Query": " q ", "passage": "d", "negatives": ["n", "n", ""]},
    {"question": "q", "answer": "d", "hard_negatives": '["n"]'},
    {"query": "q", "pos": ["d"], "neg": ["n", "d"]},
    {"query": "q", "positive_passages": [{"docid": "1", "text": "d"}], "negative_passages": [{"text": "n"}]}])
def test_every_form_gives_the_same_pair(tmp_path: Path, row: dict[str, Any]) -> None:
    reading = read_pairs(write(tmp_path / "a.jsonl", [row]))
    assert pairs(with_kin(reading.dataset)[0]) == [Pair("q", ("d",), ("n",))]
    assert reading.detected["form"].startswith(" and ".join(list(row)[:2]))


def test_counts_add_up_and_repeats_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("asked,said,lot\nq1,d1,x\nq1,d1,y\nq2,,x\n,d3,x\nq4,7,x\n")
    reading = read_pairs(tmp_path / "a.csv", ask="asked", answer="said", group="lot")
    assert (reading.read, reading.kept, reading.skipped) == (5, 2, {"repeated_pair": 1, "no_pair": 2})
    assert [f.lines for f in reading.findings] == [[3], [4, 5]]
    assert [(one.question, one.documents) for one in pairs(with_kin(reading.dataset)[0])] == [
        ("q1", ("d1",)), ("q4", ("7",))]
    assert reading.dataset.column("group") == ["x", "x"]


def test_negatives_of_a_repeated_pair_are_kept(tmp_path: Path) -> None:
    rows = [{"anchor": "q", "positive": "d", "negative": name} for name in "abc"]
    assert pairs(with_kin(read_pairs(write(tmp_path / "a.jsonl", rows)).dataset)[0]) == [
        Pair("q", ("d",), ("a", "b", "c"))]


def test_what_is_no_pairs_is_refused_in_two_lines(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a score is not learned here") as told:
        read_pairs(write(tmp_path / "s.jsonl", [{"sentence1": "a", "sentence2": "b", "score": 0.3}]))
    assert "--ask sentence1 --answer sentence2" in (told.value.hint or "")
    with pytest.raises(DataError, match="has the columns text, label, which are no pairs"):
        read_pairs(write(tmp_path / "t.jsonl", [{"text": "a", "label": "b"}]))
    with pytest.raises(DataError, match=r"Not one of the 1 rows of .* is a pair: line 1: 2 questions in one row"):
        read_pairs(write(tmp_path / "n.jsonl", [{"query": ["a", "b"], "answer": "b"}]))


def test_kin_share_a_question_or_a_document_however_many_steps_away(tmp_path: Path) -> None:
    rows = [("q0", "d0"), ("q0", "d1"), ("q1", "D1!"), ("q2", "d2"),
            ("on monday I would like to know how to send the broken blue box back to you", "d3"),
            ("On Monday I would like to know how to send the broken blue box back to him.", "d4"),
            *((f"other {i}", f"doc {i}") for i in range(30))]
    dataset, said = with_kin(read_pairs(write(tmp_path / "a.jsonl", [
        {"question": q, "answer": d} for q, d in rows])).dataset)
    kin = dataset.column(KIN)
    assert kin[0] == kin[1] == kin[2] and kin[4] == kin[5]
    assert len(set(kin)) == len(rows) - 3 and not said
    dealt = split(dataset, clusters=kin)
    assert len({dealt.column("split")[i] for i in (0, 1, 2)}) == 1


def test_one_answer_to_all_and_a_test_file_of_known_questions_are_told(tmp_path: Path) -> None:
    rows = [{"question": f"question {i}", "answer": "I do not know." if i < 8 else f"it is {i}"} for i in range(20)]
    assert "8 of 20 rows are chained" in with_kin(read_pairs(write(tmp_path / "a.jsonl", rows)).dataset)[1][0]
    both = {"train": write(tmp_path / "b.jsonl", rows[8:]), "test": write(tmp_path / "c.jsonl", rows[18:])}
    rows[18]["answer"] = "something else"  # row 19 repeats a pair and is left out
    write(tmp_path / "c.jsonl", rows[18:])
    assert "1 of the test file's rows share" in with_kin(read_pairs(both).dataset)[1][0]
