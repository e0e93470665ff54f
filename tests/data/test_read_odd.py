"""Odd input that other programs write: read, or refused in two lines; never a traceback, never slow."""

from __future__ import annotations

import io
import os
import time
import zipfile
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seedbed.data.check import check
from seedbed.data.formats.dialect import unique_names
from seedbed.data.formats.encoding import whole_lines
from seedbed.data.read import Reading, read
from seedbed.data.redact import redact_file
from seedbed.errors import DataError


def reading(path: Path, content: str | bytes, **named: object) -> Reading:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    made = read(path, **named)  # type: ignore[arg-type]
    assert made.read == made.kept + sum(made.skipped.values())
    return made


def test_numbers_of_thousands_of_digits(tmp_path: Path) -> None:
    rows = '{"text": "a b", "label": "x"}', '{"text": "c", "label": ' + "1" * 5_000 + "}", '{"text":"d","label":"y"}'
    made = reading(tmp_path / "a.jsonl", "\n".join(rows))
    assert made.skipped == {"unreadable_row": 1} and made.findings[0].lines == [2]
    with pytest.raises(DataError, match="thousands of digits"):
        reading(tmp_path / "a.json", f"[{','.join(rows)}]")


def test_keys_that_change_with_every_object(tmp_path: Path) -> None:
    content = "".join(f'{{"text": "t {i}", "label": "{i % 2}", "key {i}": 1}}\n' for i in range(8_000))
    with pytest.raises(DataError, match="8,002 different keys in 8,000 objects"):
        reading(tmp_path / "a.jsonl", content)


def test_halves_of_characters_in_keys_and_values(tmp_path: Path) -> None:
    content = '{"text": "a \\ud83d", "label": ["x"], "\\ud83d": {"k": "\\ud83d"}}\n{"text": "c", "label": ["y"]}\n'
    made = reading(tmp_path / "a.jsonl", content, text="text")
    assert made.dataset.texts == ["a \ufffd", "c"] and made.dataset.meta == ("\ufffd",)


def test_a_text_in_braces_is_not_json(tmp_path: Path) -> None:
    rows = "{who} your order is on its way.,pos\n{who} we are sorry.,neg\n{who} thank you.,pos\n"
    made = reading(tmp_path / "a.csv", rows)
    assert made.detected["format"] == "csv" and made.kept == 3


def test_a_header_that_begins_like_a_program(tmp_path: Path) -> None:
    assert reading(tmp_path / "a.csv", "MZ text,label\na b,x\nc d,y\n").kept == 2
    with pytest.raises(DataError, match="a Windows program"):
        reading(tmp_path / "b.csv", b"MZ\x90\x00" + bytes(60))


def test_office_documents_are_named_for_what_they_are(tmp_path: Path) -> None:
    for name, inside in (("a.ods", "mimetype"), ("a.docx", "[Content_Types].xml")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(inside, "x")
            archive.writestr("content.xml", "<x/>")
        with pytest.raises(DataError, match="is an office document"):
            read(tmp_path / name)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for label in (b"caf\xe9", b"tea"):
        (folder / os.fsdecode(label)).mkdir(parents=True)
        (folder / os.fsdecode(label) / os.fsdecode(b"\xe9.txt")).write_text("a text")
    made = read(folder)
    assert sorted(made.dataset.targets) == ["caf\ufffd", "tea"]
    assert made.dataset.column("source")[0].endswith("\ufffd.txt")
    assert reading(tmp_path / os.fsdecode(b"\xe9.csv"), "text,label\na b,x\nc d,y\n").source.endswith("\ufffd.csv")


def test_a_workbook_with_a_damaged_sheet(tmp_path: Path) -> None:
    book, good, bad = openpyxl.Workbook(), io.BytesIO(), io.BytesIO()
    for row in (["text", "label"], ["a b", "x"], ["c d", "y"]):
        book.active.append(row)
    book.save(good)
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w") as copy:
        for name in source.namelist():
            content = source.read(name)
            copy.writestr(name, content[:-100] if "sheet1" in name else content)
    with pytest.raises(DataError, match="cannot be read as an Excel workbook"):
        reading(tmp_path / "a.xlsx", bad.getvalue())


@pytest.mark.parametrize(("column", "targets"), [
    (pa.array([b"ab", b"\xffd"], pa.binary(2)), ["ab", "\ufffdd"]),
    (pa.array(["a", "b"], pa.string_view()), ["a", "b"]), (pa.array([1, 2], pa.duration("s")), ["1", "2"]),
    (pa.array([["a"], ["b"]], pa.large_list(pa.string())), [["a"], ["b"]])])
def test_rare_types_of_parquet(tmp_path: Path, column: pa.Array, targets: list[object]) -> None:
    table = pa.table([pa.array(["a b", "c d"]), column, column], ["text", "label", "label"])
    pq.write_table(table, tmp_path / "a.pq")
    made = read(tmp_path / "a.pq", text="text", label="label")
    assert made.dataset.targets == targets and made.dataset.meta == ("label 2",)


def test_utf8_by_another_name_mends_stray_lines_too(tmp_path: Path) -> None:
    content = "text,label\ncafé,x\n".encode() + b"a,y\nb,x\n" * 200 + b"br\xfbl,y\n"
    for name in ("utf8", "UTF-8", None):
        made = reading(tmp_path / "a.csv", content, encoding=name)
        assert made.dataset.texts[-1] == "brûl" and made.detected["encoding"] == "utf-8"


def test_a_stray_line_where_carriage_returns_end_lines(tmp_path: Path) -> None:
    made = reading(tmp_path / "a.csv", "text,label\rcafé,x\r".encode() + b"a,y\rb,x\r" * 200 + b"br\xfbl,y\r")
    assert made.dataset.texts[0] == "café" and made.dataset.texts[-1] == "brûl"
    assert next(f for f in made.findings if f.code == "undecodable").lines == [403]


def test_a_header_without_rows_is_said_after_a_file_with_bad_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\na b,x\nc,d,y\n")
    (tmp_path / "b.csv").write_text("text,label\n")
    with pytest.raises(DataError, match=r"b\.csv has a header and no rows"):
        read([tmp_path / "a.csv", tmp_path / "b.csv"])


def test_one_line_of_many_blocks_is_joined_once() -> None:
    start = time.monotonic()
    blocks = [b"a\nb", *[bytes(1 << 16)] * 2_000, b"c\nd"]
    assert [len(part) for part in whole_lines(iter(blocks), b"\n")] == [2, 3 + 2_000 * (1 << 16), 1]
    assert time.monotonic() - start < 10  # about 0.1 s; joining with every block takes minutes


def test_a_long_line_of_an_old_encoding(tmp_path: Path) -> None:
    rows = ",".join(f'{{"text": "plain {i}", "label": "x"}}' for i in range(9_000))
    content = f'[{rows}, {{"text": "cafés brûlés à Orléans", "label": "y"}}, {rows}]'.encode("cp1252")
    made = reading(tmp_path / "a.json", content)
    assert made.detected["encoding"] == "cp1252" and "cafés brûlés à Orléans" in made.dataset.texts


def test_many_columns_of_one_name_are_named_at_once() -> None:
    names = unique_names(["a", "a 2", *["a"] * 20_000])
    assert names[:4] == ["a", "a 2", "a 3", "a 4"] and len(set(names)) == 20_002


@pytest.mark.parametrize("word", ["{:x}z", "\U0001f600{:c}"])
def test_texts_that_share_no_word_are_checked_too(tmp_path: Path, word: str) -> None:
    rows = "".join(f"{word.format(0x1f600 + i)},{'xy'[i % 2]}\n" for i in range(60))
    health = check(reading(tmp_path / "a.csv", "text,label\n" + rows, text="text"))
    assert "label_errors_skipped" in {f.code for f in health.findings}


def test_whole_numbers_that_gaps_made_into_floats_are_redacted(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b", "c"], "phone": [34612345678.0, None, 2.5]}), tmp_path / "a.parquet")
    done = redact_file(tmp_path / "a.parquet", tmp_path / "b.csv")
    assert done.replaced == {"phone": 1} and (tmp_path / "b.csv").read_text().split() == [
        "text,phone", "a,[PHONE]", "b,", "c,2.5"]
