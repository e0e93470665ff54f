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
    for row in ({"prompt": "a", "chosen": "b", "rejected": "c"}, {"prompt": "a", "completion": "b", "label": False},
                {"messages": GOOD["messages"], "chosen": "b", "rejected": "c"},
                {"input": {"messages": GOOD["messages"]}, "preferred_output": [], "non_preferred_output": []}):
        with pytest.raises(DataError, match="all of them would be learned"):
            read_conversations(lines(tmp_path / "c.jsonl", [row]))
    with pytest.raises(NotFound, match="There is no file"):
        read_conversations(tmp_path / "missing.jsonl")


def test_each_source_is_read_in_its_own_form(tmp_path: Path) -> None:
    train = lines(tmp_path / "a.jsonl", [GOOD, {"prompt": "a", "completion": "b"}])
    test = lines(tmp_path / "b.jsonl", [{"Question ": "a", "ANSWER": 4}])
    reading = checked(read_conversations({"train": train, "test": test}))
    assert reading.detected["form"] == "messages, question and answer"
    assert reading.skipped == {"no_conversation": 1}  # a row of another form than its file
    assert reading.dataset.texts == ["hi\nhello", "a\n4"] and reading.dataset.column("split") == ["train", "test"]
    with pytest.raises(DataError, match=r"c\.jsonl has the columns review, stars, which are no form"):
        read_conversations({"train": train, "test": lines(tmp_path / "c.jsonl", [{"review": "a", "stars": 3}])})
    reading = checked(read_conversations([train, lines(tmp_path / "d.jsonl", [{"messages": None}])]))
    assert reading.skipped == {"no_conversation": 2}


def test_labels_that_do_not_judge_are_only_labels(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "completion": "b", "label": "billing"}]
    assert checked(read_conversations(lines(tmp_path / "a.jsonl", rows))).kept == 1


def test_objects_in_arrow_lose_the_keys_of_other_rows(tmp_path: Path) -> None:
    talks = [[GOOD["messages"][0], {"role": "assistant", "content": None, "tool_calls": [
        {"function": {"name": "f", "arguments": given}}]}] for given in ({"a": 1}, {"b": 2})]
    pq.write_table(pa.table({"messages": talks}), tmp_path / "a.parquet")
    other = lines(tmp_path / "b.jsonl", [GOOD])  # objects there, JSON here
    for source in (tmp_path / "a.parquet", [tmp_path / "a.parquet", other]):
        made = conversations(checked(read_conversations(source)).dataset)
        assert [one.messages[1]["tool_calls"][0]["function"]["arguments"] for one in made[:2]] == [{"a": 1}, {"b": 2}]
        assert "tool_call_id" not in made[0].messages[0]


def test_rows_that_would_harm_are_left_out_with_their_lines(tmp_path: Path) -> None:
    rows = [{"prompt": "a\0", "completion": "b"}, {"prompt": "a", "completion": "b" * 4_000_001},
            {"prompt": "a", "completion": ""}, {"prompt": "\ud800", "completion": "b"}]
    reading = checked(read_conversations(lines(tmp_path / "a.jsonl", rows)))
    assert reading.skipped == {"nul_bytes": 1, "huge_cell": 1, "no_conversation": 1}
    assert {one.code: one.lines for one in reading.findings} == {
        "nul_bytes": [1], "huge_cell": [2], "no_conversation": [3]}
    assert reading.dataset.texts == ["\ufffd\nb"]
    with pytest.raises(DataError, match=r"Not one of the 1 rows .* 1 nul_bytes \(line 1\)"):
        read_conversations(lines(tmp_path / "b.jsonl", rows[:1]))
    with pytest.raises(DataError, match=r"Not one of the 1 rows .* 1 unreadable_row \(line 1\)"):
        read_conversations(lines(tmp_path / "c.jsonl", ["{broken"]))


def test_an_empty_group_is_none(tmp_path: Path) -> None:
    for wards, groups in ((["", " 3"], [None, "3"]), ([[1]], ['["1"]'])):
        rows = [{"prompt": "a", "completion": "b", "ward": ward} for ward in wards]
        reading = checked(read_conversations(lines(tmp_path / "a.jsonl", rows), group="ward"))
        assert reading.dataset.column("group") == groups


def test_a_column_of_splits_is_followed_and_one_that_means_something_else_is_not(tmp_path: Path) -> None:
    parts = ["train", "dev", "test", "", None, "Train"]
    rows = [{"prompt": f"q{i}", "completion": "a", "split": part} for i, part in enumerate(parts)]
    reading = checked(read_conversations(lines(tmp_path / "a.jsonl", rows)))
    assert reading.dataset.column("split") == ["train", "validation", "test", None, None, "train"]
    assert reading.detected["split"] == "split"
    rows[0]["split"] = "banana"
    reading = checked(read_conversations(lines(tmp_path / "b.jsonl", rows)))
    assert reading.dataset.column("split") == [None] * 6 and "split" not in reading.detected


TURNS = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]
SHARED = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yo"}]
CALLS = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": None, "tool_calls": [
    {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": {"b": [1, {"c": null}]}}'}}]},
    {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "ok"}]}, TURNS[1]]


def lines_of(*rows: dict[str, Any]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


@pytest.mark.parametrize(("name", "given", "form", "kept", "skipped"), [
    ("a.jsonl", lines_of({"messages": TURNS}), "messages", 1, {}),
    ("a.jsonl", lines_of({"messages": TURNS, "tools": [{"name": "f"}]}, {"messages": CALLS}), "messages", 2, {}),
    ("bom.jsonl", b"\xef\xbb\xbf" + lines_of({"messages": TURNS}), "messages", 1, {}),
    ("crlf.jsonl", lines_of({"messages": TURNS}, {"messages": TURNS}).replace(b"\n", b"\r\n"), "messages", 2, {}),
    ("a.json", json.dumps([{"conversations": SHARED, "system": "s"}]).encode(), "sharegpt", 1, {}),
    ("a.json", json.dumps({"data": [{"conversation": SHARED}]}).encode(), "conversation", 1, {}),
    ("a.json", json.dumps([{"instruction": "a", "input": "", "output": "b", "history": [["c", "d"]]}]).encode(),
     "alpaca", 1, {}),
    ("half.csv", b"instruction,input,output\na,,b\nc,d,\n,,\ne,f,g\n", "alpaca", 2, {"no_conversation": 2}),
    ("a.tsv", b'instruction\tcontext\tresponse\na\tb\t"c ""d"""\n', "instruction and response", 1, {}),
    ("cp1252.csv", "prompt;completion\nhä “q”;ö\n".encode("cp1252"), "prompt and completion", 1, {}),
    ("utf16.csv", "prompt,completion\nhä,ö\n".encode("utf-16"), "prompt and completion", 1, {}),
    ("unclosed.csv", b'prompt,completion\n"abc,def\nx,y\nz,"w"\n', "prompt and completion", 2,
     {"unbalanced_quote": 1}),
    ("capitals.csv", b" Question ,ANSWER\na,b\n", "question and answer", 1, {}),
    ("broken.jsonl", lines_of({"query": "a", "response": "b"}) + b'\n{"query": \n[1]\n"x"', "query and response", 1,
     {"unreadable_row": 3}),
    ("text.jsonl", lines_of({"text": "abc"}, {"text": ""}, {"text": None}), "text", 1, {"no_conversation": 2}),
    ("python.csv", b"messages\n\"[{'role': 'user', 'content': 'a'}, {'role': 'assistant', 'content': 'b'}]\"\n",
     "messages", 1, {}),
    ("odd.jsonl", lines_of(
        {"messages": [{"role": "system", "content": "a"}, {"role": "system", "content": "b"}, *TURNS]},
        {"messages": [TURNS[1], *TURNS]}, {"messages": TURNS[:1]},
        {"messages": [TURNS[0], {**TURNS[1], "content": ""}]}, {"messages": []},
        {"messages": "hello"}, {"prompt": "another", "completion": "form"}),
     "messages", 1, {"no_conversation": 6})])
def test_every_file_is_told_by_its_form(name: str, given: bytes, form: str, kept: int, skipped: dict[str, int],
                                        tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(given)
    reading = read_conversations(tmp_path / name)
    assert (reading.detected["form"], reading.kept, reading.skipped) == (form, kept, skipped)
    assert reading.read == kept + sum(skipped.values()) and len(conversations(reading.dataset)) == kept
