"""Texts with labelled spans, in each form that programs write, and what is wrong with some."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seedbed.data.freeze import open_splits, save_splits
from seedbed.data.marks import Span
from seedbed.data.read import Reading
from seedbed.data.spans import read_spans, spans_of
from seedbed.data.split import split
from seedbed.errors import DataError, NotFound


def lines(path: Path, *rows: Any) -> Path:
    path.write_bytes("".join(json.dumps(row) + "\n" for row in rows).encode())
    return path


def words(reading: Reading) -> list[list[tuple[str, str]]]:
    """Each row's spans as the words that they are."""
    assert reading.read == reading.kept + sum(reading.skipped.values())
    return [[(text[one.start:one.end], one.label) for one in spans]
            for text, spans in zip(reading.dataset.texts, spans_of(reading.dataset), strict=True)]


def counts(reading: Reading) -> dict[str, tuple[int, list[int]]]:
    return {one.code: (one.count, one.lines) for one in reading.findings}


def test_doccano_by_either_name(tmp_path: Path) -> None:
    found = read_spans(lines(
        tmp_path / "a.jsonl", {"id": 1, "text": "Ann is in Rome", "label": [[0, 3, "P"], [10, 14, "L"]]},
        {"id": 2, "text": "nobody", "label": []},
        {"id": 3, "data": "Bob", "entities": [{"start_offset": 0, "end_offset": 3, "label": "P"}]}))
    assert words(found) == [[("Ann", "P"), ("Rome", "L")], [], [("Bob", "P")]]
    assert found.detected["spans"] == "3" and found.detected["rows without spans"] == "1"
    assert found.dataset.targets == [["L", "P"], [], ["P"]]


def test_prodigy_takes_what_was_accepted(tmp_path: Path) -> None:
    span = {"start": 0, "end": 3, "token_start": 0, "token_end": 0, "label": "P"}
    found = read_spans(lines(
        tmp_path / "a.jsonl",
        *({"text": f"Ann {answer}", "spans": [span], "tokens": [{"text": "Ann", "id": 0}], "answer": answer}
          for answer in ("accept", "reject", "ignore", "accept")), {"text": "none", "answer": "accept"}))
    assert words(found) == [[("Ann", "P")], [("Ann", "P")], []]
    assert counts(found) == {"not_accepted": (2, [2, 3])}
    assert found.detected["form"] == "Prodigy"


def test_label_studio_turns_javascript_offsets(tmp_path: Path) -> None:
    def result(start: int, end: int, text: str) -> dict[str, Any]:
        return {"type": "labels", "from_name": "l", "to_name": "t",
                "value": {"start": start, "end": end, "text": text, "labels": ["P"]}}
    task = {"data": {"text": "👍👍 Ann\nBob", "url": "x"}}
    (tmp_path / "a.json").write_text(json.dumps([
        {**task, "annotations": [{"was_cancelled": True, "result": [result(0, 1, "?")]},
                                 {"result": [result(5, 8, "Ann"), {"type": "relation"}]},
                                 {"ground_truth": True, "result": [result(5, 8, "Ann"), result(9, 12, "Bob")]}]},
        {**task, "annotations": [{"was_cancelled": True, "result": []}]}, {**task, "annotations": []},
        {**task, "annotations": [{"result": []}]}]))
    found = read_spans(tmp_path / "a.json")
    assert words(found) == [[("Ann", "P"), ("Bob", "P")], []]
    assert found.skipped == {"not_accepted": 1, "missing_label": 1}
    assert counts(found)["utf16_offsets"][0] == 2 and counts(found)["other_annotations"][0] == 1
    assert found.detected["form"] == "Label Studio"


CONLL = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O
German JJ B-NP B-MISC
# NN I-NP I-MISC

# a comment
x y z O

-DOCSTART- -X- -X- O

"Peter NNP B-NP S-PER
Ann NNP B-NP B-PER
Lee NNP I-NP E-PER
Bo NNP I-NP I-PER
broken

Rome NNP I-NP I-LOC
Milan NNP I-NP I-LOC
Paris NNP I-NP B-LOC
"""


@pytest.mark.parametrize("name", ["a.conll", "a.txt", "a.conll.gz"])
def test_conll_columns_of_every_scheme(tmp_path: Path, name: str) -> None:
    import gzip
    data = ("\ufeff" + CONLL).replace("\n", "\r\n").encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    found = read_spans(tmp_path / name)
    assert found.dataset.texts == ["EU rejects German #", "x", "Rome Milan Paris"]
    assert words(found) == [[("EU", "ORG"), ("German #", "MISC")], [], [("Rome Milan", "LOC"), ("Paris", "LOC")]]
    assert found.dataset.column("group") == ["1", "1", "2"]
    assert counts(found) == {"unreadable_row": (1, [13])} and "line 17" in found.findings[0].examples[0]
    assert found.detected["format"].startswith("conll")


def test_tags_in_bioes(tmp_path: Path) -> None:
    found = read_spans(lines(tmp_path / "a.jsonl", {
        "tokens": ['"Peter', "Ann", "Lee", "Bo", "."], "ner_tags": ["S-PER", "B-PER", "E-PER", "I-PER", "O"]},
        {"tokens": ["a", "b"], "ner_tags": ["O"]}, {"tokens": ["a"], "ner_tags": [3]}))
    assert words(found) == [[('"Peter', "PER"), ("Ann Lee", "PER"), ("Bo", "PER")]]
    assert found.skipped == {"bad_span": 2}


def test_any_table_with_named_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('Body,Marks,who\n"Ann, Bob","[[0,3,""P""],[5,8,""P""]]",x\nnone,[],y\n')
    found = read_spans(tmp_path / "a.csv", text="Body", label="Marks", group="who")
    assert words(found) == [[("Ann", "P"), ("Bob", "P")], []]
    assert found.dataset.column("group") == ["x", "y"]
    with pytest.raises(NotFound, match="no column 'Body2'"):
        read_spans(tmp_path / "a.csv", text="Body2")


def test_emoji_combining_characters_and_line_ends_keep_their_offsets(tmp_path: Path) -> None:
    text = "e\u0301 👩‍👩‍👧\r\nZoë\u200b Müller"
    start = text.index("Zoë")
    found = read_spans(lines(tmp_path / "a.jsonl", {"text": text, "spans": [
        {"start": start, "end": len(text), "label": "P", "text": text[start:]}]}))
    assert found.dataset.texts == [text]
    assert words(found) == [[("Zoë\u200b Müller", "P")]]


def test_what_is_wrong_is_counted_and_a_row_that_would_mislead_is_left_out(tmp_path: Path) -> None:
    text = " Ann Lee  in Rome "

    def row(*spans: Any) -> dict[str, Any]:
        return {"text": text, "entities": list(spans)}
    found = read_spans(lines(
        tmp_path / "a.jsonl", row([0, 9, "P"], [12, 18, "L"]), row([0, 99, "P"]), row([-1, 3, "P"]), row([5, 4, "P"]),
        row({"start": 1, "end": 4, "label": "P", "text": "Bob"}), row([4, 4, "P"], [8, 10, "P"], [13, 17, "L"]),
        row([1, 8, "P"], [1, 4, "P"], [5, 8, "Q"], [1, 8, "Q"], [13, 17, "L"]), row([1, 2]), row([1, "x", "P"]),
        row([1, 4, ""]), {"text": text}, {"text": "  ", "entities": []}, {"text": text, "entities": "none"}))
    assert words(found) == [[("Ann Lee", "P"), ("Rome", "L")], [("Rome", "L")], [("Ann Lee", "P"), ("Rome", "L")]]
    assert counts(found) == {
        "span_outside": (3, [2, 3, 4]), "span_mismatch": (1, [5]), "bad_span": (4, [8, 9, 10, 13]),
        "missing_label": (1, [11]), "empty_text": (1, [12]), "trimmed_span": (2, [1]), "empty_span": (2, [6]),
        "overlapping_span": (3, [7])}
    assert not any("Ann" in example for one in found.findings for example in one.examples)


def test_nothing_to_learn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Not one span is labelled in the 2 rows"):
        read_spans(lines(tmp_path / "a.jsonl", {"text": "a", "spans": []}, {"text": "b", "spans": []}))
    with pytest.raises(DataError, match="1 missing_label"):
        read_spans(lines(tmp_path / "b.jsonl", {"text": "a", "other": "b"}))


def test_rows_are_split_by_what_they_hold_and_frozen(tmp_path: Path) -> None:
    found = read_spans(lines(tmp_path / "a.jsonl", *(
        {"text": f"{'Ann' if i % 2 else 'Rome'} {i}", "label": [[0, 3, "P"]] if i % 2 else [[0, 4, "L"]]}
        for i in range(40))))
    made = split(found.dataset, fractions=(0.5, 0.25, 0.25))
    save_splits(made, tmp_path / "out")
    again = open_splits(tmp_path / "out")
    assert spans_of(again) == spans_of(made) and spans_of(again)[0] == [Span(0, 4, "L")]
    assert [sum(target == ["P"] for target in again.part(name).targets) for name in ("train", "test")] == [10, 5]
