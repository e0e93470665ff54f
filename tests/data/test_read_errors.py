"""What is wrong with data, said in two lines; and rows that are left out, each with its line and a reason."""

from __future__ import annotations

import gzip
import io
import random
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from seedbed.data.read import Reading, read
from seedbed.data.tally import REASONS
from seedbed.errors import DataError, MissingExtra, NotFound, UserError

Make = Callable[[str, str | bytes], Path]
GOOD = "text,label\nok,pos\nfine,neg\n"


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path
    return write


def refused(source: Path | str, kind: type[UserError] = DataError, **named: object) -> UserError:
    """Read, and expect the two lines."""
    with pytest.raises(kind) as caught:
        read(source, **named)  # type: ignore[arg-type]
    error = caught.value
    assert type(error) is kind and error.message and error.hint and len(str(error).splitlines()) == 2
    return error


def skipped(reading: Reading) -> dict[str, list[int]]:
    """Lines left out, by reason; checks that all counts add up."""
    assert reading.read == reading.kept + sum(reading.skipped.values())
    found = {f.code: f for f in reading.findings}
    for code, count in reading.skipped.items():
        assert found[code].count == count and len(found[code].lines) == min(20, count) and found[code].fix
    return {code: found[code].lines for code in reading.skipped}


def workbook(rows: list[list[object]]) -> bytes:
    book, buffer = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(buffer)
    return buffer.getvalue()


def archive(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, GOOD)
    return buffer.getvalue()


@pytest.mark.parametrize(("name", "content", "message"), [
    ("a.csv", b"", "is empty"), ("a.csv", b" \n\n\t\n", "is empty"), ("a.csv", b"\xef\xbb\xbf", "is empty"),
    ("a.jsonl", b"", "is empty"), ("a.json", b"", "is empty"), ("a.parquet", b"", "is empty"),
    ("a.csv.gz", gzip.compress(b"", mtime=0), "is empty"),
    ("a.csv", b"text,label\n", "a header and no rows"), ("a.xlsx", workbook([["text", "label"]]),
                                                         "a header and no rows"),
    ("a.xlsx", workbook([]), "is empty"), ("a.json", b"[]", "has no rows"),
    ("a.json", b'{"data": []}', "no list of objects"),
    ("a.csv", bytes(range(256)) * 9, "a binary file"), ("a.csv", b"%PDF-1.7 x\n", "a PDF document"),
    ("a.csv", b"\x89PNG\r\n\x1a\n" + bytes(50), "a PNG image"),
    ("a.xls", b"\xd0\xcf\x11\xe0" + bytes(99), "Office document"),
    ("a.json", b'[{"text": "a", "label": "x"},\n {"text": "b", "label": }]', "line 2, column 25"),
    ("a.json", b'[{"text": "a", "label": "x"},\n {"text": "b"', "line 2, column"),
    ("a.json", b"[" * 100_000, "nested too deeply"),
    ("a.json", b'[{"text": "a"} {"text": "b"}]', "Expecting ','"),
    ("a.json", b'{\n"a": 1,\n"b": "x"\n}', "no list of objects"),
    ("a.json", b"[1, 2]", "Not one of the 2 rows"), ("a.parquet", b"PAR1 and then nothing",
                                                     "cannot be read as Parquet"),
    ("a.xlsx", b"PK\x03\x04 and then nothing", "is damaged"),
    ("a.csv.gz", gzip.compress(GOOD.encode() * 500, mtime=0)[:60], "is damaged"),
    ("a.zip", archive("a.csv", "b.csv"), "2 files"), ("a.zip", archive(), "0 files"),
    ("a.csv", b"text,label\n,\n ,x\n", "Not one of the 2 rows"), ("a.jsonl", b"{\n{\n", "Not one of the 2 rows"),
    ("a.csv", b"text,label\n" + ("caf\u00e9,x\n".encode() + "th\u00e9,y\n".encode("cp1252")) * 20,
     "mixes encodings: 20 of 41"),
])
def test_sources_that_cannot_be_used(make: Make, name: str, content: bytes, message: str) -> None:
    path = make(name, content)
    error = refused(path)
    assert message in error.message and str(path) in error.message


def test_mixed_encodings_name_the_lines(make: Make) -> None:
    content = b"text,label\n" + ("caf\u00e9,x\n".encode() + "th\u00e9,y\n".encode("cp1252")) * 20
    assert "line 3, 5, 7" in refused(make("a.csv", content)).message


def test_no_such_file(make: Make, tmp_path: Path) -> None:
    make("reviews.csv", GOOD)
    assert refused(tmp_path / "reviws.csv", NotFound).hint == "Did you mean reviews.csv?"
    assert refused(tmp_path / "Reviews.tsv", NotFound).hint == "Did you mean reviews.csv?"
    assert str(tmp_path) in refused(tmp_path / "zzz", NotFound).hint
    assert "nowhere is not there either" in refused(tmp_path / "nowhere" / "a.csv", NotFound).hint


def test_folders_without_classes(make: Make, tmp_path: Path) -> None:
    assert "holds nothing" in refused(tmp_path).message
    make("reviews.csv", GOOD)
    assert refused(tmp_path).hint == "Name one of its files: reviews.csv."


def test_things_that_are_not_files(make: Make) -> None:
    assert "not a file on disk" in refused("/dev/null").message
    assert "not from the web" in refused("https://user:secret@example.org/a.csv").message
    with pytest.raises(DataError, match="nothing to read"):
        read([])


def test_columns_that_are_not_there(make: Make) -> None:
    path = make("a.csv", "review,rating,when\nI liked it,5,x\nNo good,1,y\n")
    error = refused(path, label="ratng")
    assert "review, rating, when" in error.message and error.hint == "Did you mean 'rating'?"
    assert "for the group" in refused(path, group="user").message
    assert "two things" in refused(path, text="review", label="review").message
    assert "--label" in refused(make("b.csv", "review,when\nI liked it,2020-01-01\nNo good,2020-01-02\n")).hint
    assert "no column of text" in refused(make("c.json", '[{"a": 1, "b": 2}]')).message


def test_encodings_and_delimiters_that_do_not_fit(make: Make) -> None:
    assert "no encoding 'klingon'" in refused(make("a.csv", GOOD), encoding="klingon").message
    assert "is not utf-16" in refused(make("a.csv", GOOD), encoding="utf-16").message
    assert "is not ascii: 2 of 3 lines" in refused(make("a.csv", "text,label\n\u00e9,x\n\u00e8,y\n"),
                                                   encoding="ascii").message
    assert "not one character" in refused(make("a.csv", GOOD), delimiter=",,").message


def test_a_quote_that_never_closes_costs_one_line(make: Make) -> None:
    reading = read(make("a.csv", 'text,label\nok,pos\n"bad one,neg\nfine,pos\n"so, so",neg\nx,neg\n'))
    assert skipped(reading) == {"unbalanced_quote": [3]}
    assert reading.dataset.texts == ["ok", "fine", "so, so", "x"] and reading.dataset.column("line") == [2, 4, 5, 6]
    assert "line 3" in next(f for f in reading.findings if f.code == "unbalanced_quote").examples[0]


def test_a_quote_that_closes_far_below_does_not_swallow_rows(make: Make) -> None:
    for last in ('a stray end",neg\n', '"good, x",neg\n'):
        reading = read(make("a.csv", 'text,label\n"stray,pos\n' + "a row,pos\n" * 30_000 + last + "b row,neg\n"))
        assert skipped(reading) == {"unbalanced_quote": [2]}
        assert reading.kept == 30_002 and reading.dataset.column("line")[0] == 3


def test_a_long_text_of_many_lines_is_no_stray_quote(make: Make) -> None:
    long = "\n".join(f"line {i}, and so on" if i % 3 else "" for i in range(5_000))
    reading = read(make("a.csv", f'text,label\n"{long}",pos\nshort,neg\n'))
    assert reading.dataset.texts == [long, "short"] and skipped(reading) == {}


def test_quotes_inside_texts_are_kept(make: Make) -> None:
    reading = read(make("a.csv", 'text,label\n"He said "hi, there" loudly",neg\n"Great" movie,pos\n'
                                 '"Line\nsaid "so"\nend",neg\n"fine, ok",pos\n"she ""quoted"" it",neg\n'))
    assert reading.dataset.texts == ['He said "hi, there" loudly', '"Great" movie', 'Line\nsaid "so"\nend',
                                     "fine, ok",
                                     'she "quoted" it']
    assert next(f for f in reading.findings if f.code == "stray_quotes").lines == [2, 3, 4] and skipped(reading) == {}


def test_tabs_without_quoting(make: Make) -> None:
    reading = read(make("a.tsv", 'text\tlabel\n"no end\tpos\n5" pipe\tneg\n"also\tpos\n"more\tneg\n'))
    assert reading.dataset.texts == ['"no end', '5" pipe', '"also', '"more'] and skipped(reading) == {}
    assert reading.detected["quotes"].startswith("none")


def test_backslash_escapes_and_spaces_after_the_delimiter(make: Make) -> None:
    reading = read(make("a.csv", 'text,label\n"a \\"b\\", c",pos\n"c \\"x\\"",neg\n"d \\"x\\"",neg\n'))
    assert reading.dataset.texts == ['a "b", c', 'c "x"', 'd "x"'] and skipped(reading) == {}
    reading = read(make("b.csv", 'label, text\npos, "a, b"\nneg, "c"\n'))
    assert reading.dataset.texts == ["a, b", "c"] and skipped(reading) == {}


def test_quotes_broken_at_random_never_lose_a_row_unseen(make: Make) -> None:
    """Each line is one row. Whatever quotes do, the rows kept and the lines left out make up the file."""
    for seed in range(30):
        chance = random.Random(seed)
        lines = ["text,label"]
        for i in range(300):
            text = f"row {i}" + chance.choice(["", ", with more", ' "quoted" word', ""])
            cell = f'"{text}"' if "," in text or chance.random() < 0.3 else text
            if chance.random() < 0.03:
                cell = '"' + cell.removeprefix('"').removesuffix('"')
            lines.append(f"{cell},{chance.choice('xy')}")
        reading = read(make("a.csv", "\n".join(lines) + "\n"))
        left_out = {line for numbers in skipped(reading).values() for line in numbers}
        swallowed = sum(t.count("\n") for t in reading.dataset.texts)
        assert reading.read + swallowed == 300
        assert swallowed == 0, seed
        assert not left_out & set(reading.dataset.column("line"))
        for line, text in zip(reading.dataset.column("line"), reading.dataset.texts, strict=True):
            assert f"row {line - 2}" in text


def test_rows_of_other_widths(make: Make) -> None:
    reading = read(make("a.csv", "text,label\nok,pos\na,b,neg\nfine\nx,neg\n\n,pos\nhi,\n  ,  \nend,pos,\n"))
    assert skipped(reading) == {"wrong_columns": [3, 4], "empty_text": [7, 9], "missing_label": [8]}
    assert (reading.read, reading.kept) == (8, 3)
    wide = read(make("a.xlsx", workbook([["text", "label"], *[["ok", "x"]] * 250, ["far", "y", "z", "w"],
                                         ["end", "y"]])))
    assert skipped(wide) == {"wrong_columns": [252]}


def test_cells_that_are_too_large_or_damaged(make: Make) -> None:
    huge = "x" * 10_000_000
    reading = read(make("a.csv", f"text,label\nok,pos\n{huge},neg\nb\0ad,pos\nfine,n\0eg\nend,neg\n"))
    assert skipped(reading) == {"huge_cell": [3], "nul_bytes": [4, 5]} and reading.dataset.texts == ["ok", "end"]


def test_lines_of_jsonl_that_are_not_objects(make: Make) -> None:
    reading = read(make("a.jsonl", '{"text":"a","label":"x"}\n{bad\n\n[1]\n{"text":"b","label":"y"} {}\n'
                        + "[" * 99_999 + '\n{"text":"c \\ud83d","label":"y"}\n{"label":"y"}\n{"text":"d"}\n'))
    assert skipped(reading) == {"unreadable_row": [2, 4, 5, 6], "empty_text": [8], "missing_label": [9]}
    assert reading.dataset.texts == ["a", "c \ufffd"]


def test_only_the_first_lines_are_listed_and_all_are_counted(make: Make) -> None:
    reading = read(make("a.csv", "text,label\n" + "a,b,c\n" * 1_000 + "ok,x\n" * 1_001))
    assert skipped(reading)["wrong_columns"] == list(range(2, 22)) and reading.skipped == {"wrong_columns": 1_000}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "t.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table t (text, label)")
        connection.execute("insert into t values ('a b', 'x')")
    connection.close()
    return path


def test_sql_that_is_refused(database: Path) -> None:
    assert "no such column: nope" in refused(f"sqlite:///{database}?query=SELECT nope FROM t").message
    assert "does not read: it begins with 'DELETE'" in refused(f"sqlite:///{database}?query=DELETE FROM t").message
    assert "has no query" in refused(f"sqlite:///{database}").message
    assert "has no rows" in refused(f"sqlite:///{database}?query=SELECT * FROM t WHERE 0").message
    assert "no database file" in refused(f"sqlite:///{database}x?query=SELECT 1", NotFound).message
    assert not Path(f"{database}x").exists()
    assert "sqlite:///" in refused(database).hint and "SQLite database" in refused(database).message


def test_sql_never_writes(database: Path) -> None:
    query = "WITH x AS (SELECT 1) INSERT INTO t SELECT 'c', 'd'"
    assert "readonly" in refused(f"sqlite:///{database}?query={query}").message
    assert read(f"sqlite:///{database}?query=SELECT * FROM t").read == 1


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2", "mysql", "mssql+pymssql",
                                    "nope", "http"])
def test_credentials_never_reach_a_message(scheme: str) -> None:
    for tail in ("127.0.0.1:1/db?query=SELECT 1 AS text", "127.0.0.1:1/db?password=hunter2&query=SELECT 1 AS text",
                 "[bad", ""):
        with pytest.raises(UserError) as caught:
            read(f"{scheme}://bobby:hunter2@{tail}")
        assert "hunter2" not in str(caught.value) and "bobby" not in str(caught.value)
        assert (isinstance(caught.value, DataError | MissingExtra) and caught.value.__suppress_context__) or \
            caught.value.__context__ is None


def test_reading_loads_nothing_heavy() -> None:
    code = ("import sys, seedbed.data.dataset, seedbed.data.read; "
            "print({'torch', 'pyarrow', 'pandas', 'sqlalchemy', 'openpyxl', 'scipy'} & set(sys.modules))")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          check=True).stdout.strip() == "set()"


def test_every_reason_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "data-formats.md").read_text()
    assert [code for code in REASONS if f"`{code}`" not in page] == []
