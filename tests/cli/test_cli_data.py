"""The verb `data`, as a user types it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from seedbed.cli import main
from seedbed.data.freeze import open_splits

Out = pytest.CaptureFixture[str]
SECRETS = ("jane@example.com", "212-555-4567", "4111 1111 1111 1111", "12345678Z")


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    """24 good rows, an empty one, and four with personal data; an error only when `extra` rows are added."""
    things = ("garden", "music", "harbour", "winter", "engine", "paper", "bicycle", "mountain", "kitchen", "window")
    rows = [f"{i},{things[i % 10]} {i * 7919} {things[(i * 3 + 1) % 10]} {i * 104729 % 9973} opinion,"
            f"{('a', 'b')[i % 2]},user{i % 8}@mail.org" for i in range(24)]
    rows += ["24,,a,x", f"25,write to {SECRETS[0]} about my order,a,x", f"26,call me on {SECRETS[1]} tomorrow,b,x",
             f"27,my card {SECRETS[2]} was charged,a,x", f"28,my id is {SECRETS[3]} thanks,b,x"]
    path = tmp_path / "tickets.csv"
    path.write_text("\n".join(["number,message,topic,customer", *rows]) + "\n")
    return path


def test_check_tells_counts_lines_and_a_fix(tickets: Path, capsys: Out) -> None:
    assert main(["data", "check", str(tickets), "--text", "message", "--label", "topic"]) == 0
    out = capsys.readouterr().out
    assert "29 rows read, 28 kept, 1 left out (1 empty text)" in out
    assert "WARNING empty_text: 1 row had no text." in out
    assert "  line 26\n" in out
    assert out.count("fix: ") == out.count("WARNING ") + out.count("note ")
    assert "[EMAIL]" in out and not [secret for secret in SECRETS if secret in out]


def test_exit_codes(tickets: Path, tmp_path: Path, capsys: Out) -> None:
    words = ["data", "check", str(tickets), "--text", "message", "--label", "topic"]
    assert main([*words, "--fail-on", "warning"]) == 1
    with tickets.open("a") as file:
        file.write("30,a lonely row with a label of its own,lonely,x\n")
    assert main(words) == 1
    assert main([*words, "--fail-on", "never"]) == 0
    capsys.readouterr()
    assert main(["data", "check", str(tmp_path / "absent.csv")]) == 2
    assert "There is no file" in capsys.readouterr().err
    assert main([*words, "--max-tokens", "0"]) == 2


def test_check_as_json(tickets: Path, capsys: Out) -> None:
    assert main(["data", "check", str(tickets), "--text", "message", "--label", "topic", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["read"] == told["kept"] + sum(told["skipped"].values()) == 29
    assert told["labels"] == {"a": 14, "b": 14}
    assert {f["code"] for f in told["findings"]} >= {"personal_data", "empty_text"}
    assert not [secret for secret in SECRETS if secret in json.dumps(told)]


def test_check_of_two_files_finds_the_leak(tickets: Path, tmp_path: Path, capsys: Out) -> None:
    lines = tickets.read_text().splitlines()
    test = tmp_path / "test.csv"
    test.write_text("\n".join([lines[0], *lines[3:5]]) + "\n")
    assert main(["data", "check", str(tickets), "--test", str(test), "--text", "message", "--label", "topic"]) == 1
    out = capsys.readouterr().out
    assert "ERROR leakage: 2 rows (2 of test)" in out
    assert "test.csv line 2 (test) has the same text as tickets.csv line 4 (train)" in out


def test_an_unknown_or_absent_model_is_said(tickets: Path, capsys: Out) -> None:
    words = ["data", "check", str(tickets), "--text", "message", "--label", "topic", "--model"]
    assert main([*words, "no-such-model"]) == 2
    assert main([*words, "qwen2-7b-instruct"]) == 2
    assert "seedbed models pull qwen2-7b-instruct" in capsys.readouterr().err


def test_split_writes_readable_and_frozen_files(tickets: Path, tmp_path: Path, capsys: Out) -> None:
    out = tmp_path / "splits"
    words = ["data", "split", str(tickets), "--text", "message", "--label", "topic", "--group", "customer",
             "--out", str(out)]
    assert main(words) == 0
    assert "29 rows read, 28 kept" in capsys.readouterr().out
    rows = {name: list(csv.DictReader((out / f"{name}.csv").open())) for name in ("train", "validation", "test")}
    assert sum(map(len, rows.values())) == 28
    assert list(rows["train"][0]) == ["message", "topic", "customer", "number"]
    groups = [{row["customer"] for row in part} for part in rows.values()]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
    frozen = open_splits(out)
    assert len(frozen) == 28
    assert frozen.part("test").texts == [row["message"] for row in rows["test"]]
    assert main(words) == 2
    assert "holds splits already" in capsys.readouterr().err
    assert main([*words, "--force", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hash"] == frozen.hash


def test_split_anew_forgets_given_splits(tmp_path: Path, capsys: Out) -> None:
    path = tmp_path / "given.csv"
    rows = [f"row {i} says {i * 7919},{'ab'[i % 2]},train" for i in range(40)]
    path.write_text("\n".join(["text,label,split", *rows]) + "\n")
    words = ["data", "split", str(path), "--text", "text", "--label", "label", "--split-column", "split", "--json"]
    assert main([*words, "--anew", "--out", str(tmp_path / "anew")]) == 0
    counts = json.loads(capsys.readouterr().out)["counts"]["rows"]
    assert counts == {"train": 28, "validation": 6, "test": 6}
    assert main([*words, "--validation", "0.6", "--test", "0.5", "--out", str(tmp_path / "x")]) == 2
    assert "leave no rows to train on" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_redact_replaces_in_every_column(tickets: Path, tmp_path: Path, ending: str, capsys: Out) -> None:
    out = tmp_path / f"clean.{ending}"
    assert main(["data", "redact", str(tickets), "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["read"] == told["written"] + sum(told["skipped"].values()) == 29
    assert told["replaced"] == {"email": 25, "phone": 1, "card": 1, "es_dni": 1}
    assert told["rows"] == 28
    text = out.read_text()
    assert not [secret for secret in (*SECRETS, "@mail.org") if secret in text]
    rows = [json.loads(line) for line in text.splitlines()] if ending == "jsonl" else list(
        csv.DictReader(text.splitlines(), delimiter="," if ending == "csv" else "\t"))
    assert len(rows) == 29
    assert [rows[i]["message"] for i in (25, 27)] == ["write to [EMAIL] about my order", "my card [CARD] was charged"]
    assert rows[0]["customer"] == "[EMAIL]"
    assert str(rows[5]["number"]) == "5"


def test_redact_numbered_keeps_groups_apart(tickets: Path, tmp_path: Path) -> None:
    out = tmp_path / "clean.csv"
    assert main(["data", "redact", str(tickets), "--out", str(out), "--numbered"]) == 0
    customers = [row["customer"] for row in csv.DictReader(out.open())][:24]
    assert len(set(customers)) == 8
    assert customers[0] == customers[8] != customers[1]


def test_redact_uses_the_columns_name(tmp_path: Path) -> None:
    path, out = tmp_path / "people.jsonl", tmp_path / "clean.jsonl"
    path.write_text('{"note": "ref 2125554567", "home_phone": 2125554567, "tags": ["a@b.org", "x"], "age": 41}\n')
    assert main(["data", "redact", str(path), "--out", str(out)]) == 0
    assert json.loads(out.read_text()) == {
        "note": "ref 2125554567", "home_phone": "[PHONE]", "tags": ["[EMAIL]", "x"], "age": 41}


def test_redact_never_replaces_what_it_should_not(tickets: Path, tmp_path: Path, capsys: Out) -> None:
    before = tickets.read_bytes()
    assert main(["data", "redact", str(tickets), "--out", str(tickets), "--force"]) == 2
    assert main(["data", "redact", str(tickets), "--out", str(tmp_path / "clean.xlsx")]) == 2
    there = tmp_path / "there.csv"
    there.write_text("mine")
    assert main(["data", "redact", str(tickets), "--out", str(there)]) == 2
    assert there.read_text() == "mine"
    assert main(["data", "redact", str(tickets), "--out", str(there), "--force"]) == 0
    assert tickets.read_bytes() == before
    assert main(["data", "redact", str(tmp_path / "absent.csv"), "--out", str(tmp_path / "new.csv")]) == 2
    assert not list(tmp_path.glob("new.csv")) and not list(tmp_path.glob(".*part"))
    assert "is the file that is read" in capsys.readouterr().err


def test_view_shows_what_is_learned(tmp_path: Path, smollm2_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"prompt": "Is it fine?", "completion": "Yes, it is."}\n{"prompt": "x", "completion": ""}\n')
    assert main(["data", "view", str(file), "--mask"]) == 0
    shown = capsys.readouterr().out
    assert "<|im_start|>assistant\n⟦Yes, it is.<|im_end|>⟧\n" in shown
    assert "a.jsonl line 1: 41 tokens, 6 learned" in shown
    assert "1 rows as prompt and completion: 41 tokens, 6 learned, 0 cut off" in shown
    assert "mind: 1 row held nothing to learn to write. line 2: a turn of the assistant is empty" in shown
    assert main(["data", "view", str(file), "--max-tokens", "20", "--rows", "0"]) == 0
    assert "20 tokens, 0 learned, 21 cut off at --max-tokens; 1 rows would teach nothing" in capsys.readouterr().out
    assert main(["data", "view", str(file), "--model", "smollm"]) == 2
    assert "Did you mean" in capsys.readouterr().err


@pytest.mark.real
def test_view_reads_tables_as_train_does_and_folders_in_windows(tmp_path: Path, smollm2_folder: Path,
                                                                capsys: Out) -> None:
    table = tmp_path / "asked.csv"
    table.write_bytes("frage;antwort\nWie geht’s?;schön\n".encode("cp1252"))
    assert main(["data", "view", str(table), "--ask", "frage", "--answer", "antwort", "--encoding", "cp1252",
                 "--delimiter", ";", "--mask"]) == 0
    said = capsys.readouterr().out
    assert "geht’s" in said and "⟦schön<|im_end|>⟧" in said and "encoding cp1252" in said
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.md").write_text("The box came on monday. " * 9)
    assert main(["data", "view", str(folder), "--max-tokens", "24", "--rows", "2"]) == 0
    said = capsys.readouterr().out
    assert "a.md, window 1: 24 tokens" in said and "a.md, window 2:" in said and "window 3" not in said
    assert "1 rows as documents" in said and "0 cut off" in said


def test_view_shows_what_would_go_wrong(tmp_path: Path, smollm2_folder: Path, capsys: Out,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"question": "a\\u001b[31m", "answer": 4}\n')
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["data", "view", str(file), "--mask"]) == 0
    shown = capsys.readouterr().out
    assert "user\na\\x1b[31m<|im_end|>" in shown  # a terminal does not obey the data
    assert "\n\033[32m4<|im_end|>\033[0m\n" in shown and "mind:" not in shown
    tool = '{"type": "function", "function": {"name": "weather"}}'
    file.write_text(f'{{"messages": [{{"role": "user", "content": "a"}}, {{"role": "assistant", "content": "b"}}], '
                    f'"tools": [{tool}]}}\n')
    assert main(["data", "view", str(file)]) == 0
    assert "mind: The template does not write the tools" in capsys.readouterr().out
    file.write_text('{"prompt": "a", "completion": "b", "label": true}\n')
    assert main(["data", "view", str(file), "--ask", "prompt"]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert "One column was named" in error and hint.startswith("  try: ")
