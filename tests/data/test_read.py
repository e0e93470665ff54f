"""Reading: every format, guesses, counts that add up. Over 400 lines: one table of formats that belong together."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import sqlite3
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seedbed.data.read import Reading, read
from seedbed.errors import DataError

ROWS = [("Good stuff, cheap", "pos"), ("Bad \"stuff\"", "neg"), ("Über die\nMaßen gut", "pos"), ("so so", "neg")]
TEXTS, TARGETS = [t for t, _ in ROWS], [label for _, label in ROWS]
Make = Callable[[str, str | bytes], Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path
    return write


def table(delimiter: str = ",", rows: list[tuple[str, str]] = ROWS) -> str:
    """A delimited text; every field in quotes."""
    return "".join(delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n"
                   for row in [("text", "label"), *rows])


def checked(reading: Reading) -> Reading:
    """Counts that must hold for any reading."""
    assert reading.read == reading.kept + sum(reading.skipped.values())
    assert reading.kept == len(reading.dataset.texts)
    assert all(t.strip() for t in reading.dataset.texts)
    assert len(set(reading.dataset.column("id"))) == reading.kept
    found = {f.code: f.count for f in reading.findings}
    assert all(found[code] == count for code, count in reading.skipped.items())
    return reading


def parquet(rows: list[tuple[str, str]] = ROWS) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": [t for t, _ in rows], "label": [label for _, label in rows]}), buffer)
    return buffer.getvalue()


def excel(*sheets: list[list[Any]]) -> bytes:
    book, buffer = openpyxl.Workbook(), io.BytesIO()
    book.remove(book.active)
    for number, rows in enumerate(sheets, 1):
        sheet = book.create_sheet(f"Sheet {number}")
        for row in rows:
            sheet.append(row)
    book.save(buffer)
    return buffer.getvalue()


def zipped(*members: tuple[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def zstd(content: bytes) -> bytes:
    return pa.Codec("zstd").compress(content, asbytes=True)  # type: ignore[no-any-return]


JSON = json.dumps([{"text": t, "label": label} for t, label in ROWS], indent=1)
JSONL = "".join(json.dumps({"text": t, "label": label}) + "\n" for t, label in ROWS)


@pytest.mark.parametrize(("name", "content", "said"), [
    ("a.csv", table(), "csv"), ("a.tsv", table("\t"), "csv"), ("a.txt", table("|"), "csv"),
    ("a.csv", table(";"), "csv"),
    ("a", table(), "csv"), ("a.json", JSON, "json"), ("a.json", JSON.replace("\n", ""), "json"),
    ("a.json", json.dumps({"version": 2, "data": json.loads(JSON)}), "json"),
    ("a.txt", json.dumps({"version": 2, "rows": json.loads(JSON)}, indent=2), "json"),
    ("a.jsonl", JSONL, "jsonl"), ("a.json", JSONL, "jsonl"), ("a.csv", JSONL, "jsonl"), ("a.jsonl", JSON, "json"),
    ("a.parquet", parquet(), "parquet"), ("a.dat", parquet(), "parquet"),
    ("a.xlsx", excel([["text", "label"], *map(list, ROWS)]), "excel"),
    ("a.csv.gz", gzip.compress(table().encode()), "csv (gzip)"),
    ("a.csv.bz2", bz2.compress(table().encode()), "csv (bzip2)"),
    ("a.csv.xz", lzma.compress(table().encode()), "csv (xz)"), ("a.csv.zst", zstd(table().encode()), "csv (zstd)"),
    ("a", gzip.compress(JSONL.encode()), "jsonl (gzip)"), ("a.json.gz", gzip.compress(JSON.encode()), "json (gzip)"),
    ("a.parquet.gz", gzip.compress(parquet()), "parquet (gzip)"),
    ("a.zip", zipped(("in/a.csv", table()), ("__MACOSX/in/._a.csv", "x")), "csv (zip)"),
])
def test_every_format_gives_the_same_rows(make: Make, name: str, content: str | bytes, said: str) -> None:
    reading = checked(read(make(name, content)))
    assert (reading.read, reading.kept, reading.skipped) == (4, 4, {})
    assert reading.dataset.texts == TEXTS and reading.dataset.targets == TARGETS
    assert reading.detected["format"] == said
    assert (reading.detected["text column"], reading.detected["label column"]) == ("text", "label")
    assert reading.detected["guessed"] == "text column, label column"


def test_ids_are_those_of_the_content_not_of_the_format(make: Make) -> None:
    readings = [read(make("a.csv", table())), read(make("a.jsonl", JSONL)), read(make("a.parquet", parquet()))]
    assert len({tuple(r.dataset.column("id")) for r in readings}) == 1
    assert read(make("b.csv", table(rows=ROWS[::-1]))).dataset.column("id")[::-1] == readings[0].dataset.column("id")


def test_repeats_get_numbered_ids(make: Make) -> None:
    path = make("a.csv", "text,label\n" + "same thing,x\n" * 3 + "same thing,y\n")
    names = checked(read(path)).dataset.column("id")
    assert names[1:3] == [f"{names[0]}-2", f"{names[0]}-3"] and "-" not in names[3]


@pytest.mark.parametrize(("encoding", "said"), [
    ("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("utf-16", "utf-16"), ("utf-16-le", "utf-16-le"),
    ("utf-16-be", "utf-16-be"), ("utf-32", "utf-32"), ("latin-1", "cp1252")])
def test_encodings_are_found_and_said(make: Make, encoding: str, said: str) -> None:
    reading = checked(read(make("a.csv", table().encode(encoding))))
    assert reading.detected["encoding"] == said
    assert reading.dataset.texts == TEXTS and reading.findings == []


@pytest.mark.parametrize(("text", "encoding"), [
    ("L'été dernier nous avons dîné à la brasserie, très bon", "cp1252"),
    ("Die Tür schließt nicht, größer ist besser", "cp1252"),
    ("I didn’t like it – “awful”", "cp1252"), ("Отличный товар, всем рекомендую купить", "cp1251"),
    ("Отличный товар, всем рекомендую купить", "koi8_r"), ("Πολύ καλό προϊόν, το συνιστώ", "cp1253"),
    ("Świetny produkt, polecam każdemu, bardzo żółty", "cp1250"),
    ("Velmi dobrý, doporučuji všem, něco příště", "cp1250"),
    ("Çok güzel bir ürün, şiddetle öneririm", "cp1254"), ("この商品はとても良いです。すぐに壊れました。", "cp932"),
    ("这个产品很好，我很喜欢。质量差", "gb18030"), ("이 제품은 정말 좋아요. 추천합니다", "cp949")])
def test_old_encodings_of_many_languages(make: Make, text: str, encoding: str) -> None:
    content = "text;label\n" + f"{text};a\n{text} 2;b\n" * 5
    reading = checked(read(make("a.csv", content.encode(encoding))))
    assert reading.dataset.texts[0] == text
    assert checked(read(make("a.csv", content.encode(encoding)), encoding=encoding)).dataset.texts[0] == text


def test_a_few_lines_of_another_encoding_are_read_and_named(make: Make) -> None:
    lines = ["text,label", "café,pos", *["plain text,neg", "other text,pos"] * 150]
    content = "\n".join(lines).encode() + "\nbrûlé,neg\n".encode("cp1252")
    reading = checked(read(make("a.csv", content)))
    assert reading.dataset.texts[0] == "café" and reading.dataset.texts[-1] == "brûlé"
    finding = next(f for f in reading.findings if f.code == "undecodable")
    assert (finding.count, finding.lines, finding.severity) == (1, [303], "warning")
    assert "0xFB" in finding.examples[0]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(make: Make, end: str) -> None:
    reading = checked(read(make("a.csv", table(rows=[("a b", "x"), ("c d", "y"), ("e f", "x")]).replace("\n", end))))
    assert reading.dataset.texts == ["a b", "c d", "e f"] and reading.dataset.column("line") == [2, 3, 4]


def test_lines_are_where_rows_start(make: Make) -> None:
    reading = checked(read(make("a.csv", 'text,label\n"one\ntwo\r\rthree",x\n\n\nb c,y\n"d\n\n",x\ne,y\n')))
    assert reading.dataset.column("line") == [2, 6, 7, 10]
    assert checked(read(make("a.json", JSON))).dataset.column("line") == [2, 6, 10, 14]
    assert checked(read(make("a.jsonl", "\n" + JSONL))).dataset.column("line") == [2, 3, 4, 5]


def test_lines_agree_with_a_plain_writer_on_random_rows(make: Make) -> None:
    chance, lines, parts, at = random.Random(7), [], ["text,label\n"], 2
    rows = []
    for i in range(2_000):
        text = f"row {i} " + "".join(chance.choice('ab ,;"\n') for _ in range(chance.randrange(30))) + "."
        rows.append((text, chance.choice("xyz")))
        parts.append('"' + text.replace('"', '""') + f'",{rows[-1][1]}\n')
        lines.append(at)
        at += parts[-1].count("\n")
    reading = checked(read(make("a.csv", "".join(parts))))
    assert (reading.kept, reading.skipped, reading.findings) == (2_000, {}, [])
    assert reading.dataset.column("line") == lines
    assert list(zip(reading.dataset.texts, reading.dataset.targets, strict=True)) == rows


def test_headerless_files(make: Make) -> None:
    reading = checked(read(make("a.csv", "I love it,pos\nI hate it,neg\nLovely thing,pos\nNot so,neg\n")))
    assert reading.kept == 4 and reading.detected["header"].startswith("none")
    assert reading.detected["text column"] == "column 1" and reading.detected["label column"] == "column 2"
    reading = checked(read(make("c.csv", "A nice text,pos\nI hate it,neg\nLovely thing,pos\nNot so,neg\n")))
    assert reading.kept == 4  # `text` is a word of headers, but `pos` stands below too
    joined = "text,label\nI love it,pos\nI hate it,neg\ntext,label\nFine,pos\nText,label\n"
    assert checked(read(make("d.csv", joined))).detected["header"] == "first row"
    reading = checked(read(make("b.csv", "0,I love it\n1,I hate it\n0,fine\n"), text="column 2", label="column 1"))
    assert reading.kept == 3 and "guessed" not in reading.detected


def test_columns_without_a_name_or_with_the_same_name(make: Make) -> None:
    reading = checked(read(make("a.tsv", "\ttext\tlabel\tlabel\n1\ta b\tx\tp\n2\tc d\ty\tq\n")))
    assert reading.dataset.meta == ("column 1", "label 2")


def test_whole_numbers_as_labels(make: Make) -> None:
    assert read(make("a.csv", "review,rating\ngood,5.0\nbad,1.0\nmeh,3\n")).dataset.targets == ["5", "1", "3"]
    assert read(make("b.csv", "review,rating\ngood,5.0\nbad,1.5\n"), label="rating").dataset.targets == ["5.0", "1.5"]
    assert read(make("c.json", '[{"text":"a b","label":1.0},{"text":"c","label":2}]')).dataset.targets == ["1", "2"]
    path = make("d.json", '[{"text":"a b","label":true},{"text":"c","label":false}]')
    assert read(path).dataset.targets == ["true", "false"]
    assert read(make("e.xlsx", excel([["text", "stars"], ["good", 5], ["bad", 1.0]]))).dataset.targets == ["5", "1"]
    path = make("f.json", '[{"text":"a b","label":1},{"text":"c","label":"one"}]')
    assert read(path).dataset.targets == ["1", "one"]


def test_spaces_around_labels_are_trimmed_and_counted(make: Make) -> None:
    reading = checked(read(make("a.csv", "text,label\na, pos\nb,pos \nc,pos\nd,neg\n")))
    assert reading.dataset.targets == ["pos", "pos", "pos", "neg"]
    assert reading.detected["labels trimmed"].startswith("2 ")


def test_several_labels_a_row(make: Make) -> None:
    rows = [["a"], ["b"], ["a", "b"], ["c"], ["a", "c"], ["b", "c"]] * 3
    for separator, said in (("|", "pipe"), (";", "semicolon"), (", ", "comma")):
        content = "text\ttags\n" + "".join(f"some text {i}\t{separator.join(r)}\n" for i, r in enumerate(rows))
        reading = checked(read(make("a.tsv", content)))
        assert reading.dataset.targets == rows and reading.detected["labels"] == f"several a row, separated by {said}"
        single = checked(read(make("a.tsv", content), multi_label=False))
        assert single.dataset.targets == [separator.join(r) for r in rows]
    listed = [{"text": f"some text {i}", "tags": [*r, r[0], f" {r[0]} "]} for i, r in enumerate(rows)]
    reading = checked(read(make("a.json", json.dumps(listed))))
    assert reading.dataset.targets == rows and reading.dataset.multi_label  # repeats within a row count once
    with pytest.raises(DataError, match="holds lists"):
        read(make("a.json", json.dumps(listed)), multi_label=False)
    words = "text\ttags\n" + "".join(f"some text {i}\t{r}\n" for i, r in enumerate(rows))
    assert checked(read(make("a.tsv", words))).dataset.targets == rows  # lists written as Python or JSON


def test_one_label_that_holds_a_comma_stays_one(make: Make) -> None:
    values = ["Smith, John", "Doe, Jane", "Roe, Richard"]
    rows = "".join(f"words {i}\t{values[i % 3]}\n" for i in range(30))
    reading = checked(read(make("a.tsv", f"text\tlabel\n{rows}")))
    assert set(reading.dataset.targets) == set(values) and not reading.dataset.multi_label


def test_an_empty_list_is_an_answer_and_a_missing_one_is_not(make: Make) -> None:
    content = json.dumps([{"text": "a b", "tags": ["x", "y"]}, {"text": "c", "tags": []}, {"text": "d", "tags": None},
                          {"text": "e", "tags": "x"}])
    reading = checked(read(make("a.json", content), text="text", label="tags"))
    assert reading.dataset.targets == [["x", "y"], [], ["x"]] and reading.skipped == {"missing_label": 1}


def test_multi_label_can_be_forced(make: Make) -> None:
    reading = checked(read(make("a.csv", "text,label\na b,x\nc d,y\n"), multi_label=True))
    assert reading.dataset.targets == [["x"], ["y"]]


def test_class_names_in_parquet_metadata(make: Make) -> None:
    features = {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"},
                "text": {"dtype": "string", "_type": "Value"}}
    data = pa.table({"text": ["a b", "c d", "e f"], "label": [1, 0, None]}).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})})
    buffer = io.BytesIO()
    pq.write_table(data, buffer)
    reading = checked(read(make("a.parquet", buffer.getvalue())))
    assert reading.dataset.targets == ["pos", "neg"] and reading.skipped == {"missing_label": 1}


def test_dictionary_and_list_columns_of_parquet(make: Make) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": pa.array(["a b", "c d", "a b"]).dictionary_encode(),
                             "label": pa.array([["x"], ["x", "y"], ["y"]])}), buffer)
    reading = checked(read(make("a.parquet", buffer.getvalue())))
    assert reading.dataset.targets == [["x"], ["x", "y"], ["y"]] and reading.dataset.texts[1] == "c d"


def test_excel_sheets_and_gaps(make: Make) -> None:
    rows: list[list[Any]] = [["text", "stars"], ["good thing", 5], [None, None], ["bad thing", 1],
                             ["no stars", None], [None, 2],
                             ["meh", 1, "note"], ["last", 5]]
    reading = checked(read(make("a.xlsx", excel([], rows, [["other"]]))))
    assert reading.detected["sheet"] == "Sheet 2 (not read: Sheet 1, Sheet 3)"
    assert reading.dataset.column("line") == [2, 4, 7, 8]
    assert reading.skipped == {"missing_label": 1, "empty_text": 1} and reading.read == 6


def test_a_folder_of_text_files(make: Make, tmp_path: Path) -> None:
    for label in ("pos", "neg"):
        for i in range(3):
            make(f"data/{label}/{i}.txt", f"text {label} {i}\n")
    make("data/pos/empty.txt", "")
    make("data/pos/binary.txt", bytes(range(256)))
    make("data/pos/.DS_Store", "x")
    make("data/readme.pdf", "x")
    make("data/neg/sub/deep.txt", "deep é".encode("latin-1"))
    reading = checked(read(tmp_path / "data"))
    assert Counter(reading.dataset.targets) == {"pos": 3, "neg": 4} and "deep é" in reading.dataset.texts
    assert reading.read == 9 and reading.skipped == {"binary_file": 1, "empty_text": 1}
    assert next(f for f in reading.findings if f.code == "ignored_files").count == 1
    assert reading.dataset.column("source")[0] == str(tmp_path / "data" / "neg" / "0.txt")


def test_a_folder_with_splits(make: Make, tmp_path: Path) -> None:
    for part in ("train", "test"):
        for label in ("pos", "neg"):
            make(f"data/{part}/{label}/a.txt", f"{part} {label}")
    dataset = checked(read(tmp_path / "data")).dataset
    assert sorted(zip(dataset.column("split"), dataset.targets, strict=True)) == [
        ("test", "neg"), ("test", "pos"), ("train", "neg"), ("train", "pos")]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "t.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table reviews (text, label, n)")
        connection.executemany("insert into reviews values (?, ?, ?)",
                               [("10:30 good & cheap", "pos", 1), ("bad + dear", "neg", 2), (None, "neg", 3),
                                ("100% ok", None, 4)])
    connection.close()
    return path


def test_a_query_as_written_or_encoded(database: Path) -> None:
    query = "SELECT text, label, n FROM reviews WHERE text IS NULL OR text LIKE '%o%' OR text = 'x:y' OR n > 1"
    for url in (f"sqlite:///{database}?query={query}", f"sqlite:///{database}?query={quote_plus(query)}",
                f"sqlite:///{database}?query={quote_plus(query)}&timeout=3"):
        reading = checked(read(url))
        assert reading.read == 4 and reading.skipped == {"empty_text": 1, "missing_label": 1}
        assert reading.dataset.texts == ["10:30 good & cheap", "bad + dear"]
        assert reading.dataset.column("line") == [1, 2]
        assert reading.source == f"sqlite:///{database}" and reading.dataset.column("source")[0] == reading.source


def test_several_sources_and_several_types(make: Make) -> None:
    first = make("a.csv", "text,label,n\na b,1,x\nc d,2,y\n")
    second = make("b.jsonl", '{"text": "e f", "label": 1, "other": [1]}\n{"label": 2}\n')
    reading = checked(read([first, second]))
    assert reading.read == 4 and reading.dataset.targets == ["1", "2", "1"] and reading.skipped == {"empty_text": 1}
    assert reading.dataset.column("source") == [str(first), str(first), str(second)]
    assert reading.detected["format"] == "csv and jsonl" and reading.dataset.column("n") == ["x", "y", None]


def test_given_splits(make: Make) -> None:
    train, test = make("a.csv", "text,label\na b,x\nc d,y\n"), make("b.csv", "text,label\ne f,x\n,x\n")
    reading = checked(read({"train": train, "test": test}))
    assert reading.dataset.column("split") == ["train", "train", "test"] and reading.read == 4
    with pytest.raises(DataError, match="'tests' is not a split"):
        read({"train": train, "tests": test})


def test_a_split_column_is_found(make: Make) -> None:
    reading = checked(read(make("a.csv", "text,label,split\na b,x,train\nc d,y,dev\ne f,x,Test\ng,y,\n")))
    assert reading.dataset.column("split") == ["train", "validation", "test", None]
    with pytest.raises(DataError, match="'part' holds 'foo'"):
        read(make("b.csv", "text,label,part\na b,x,train\nc d,y,foo\n"), split="part")


def test_groups_and_rows_without_one(make: Make) -> None:
    reading = checked(read(make("a.csv", "text,label,user\na b,x,u1\nc d,y, u1\ne f,x,\n"), group="user"))
    assert reading.dataset.column("group") == ["u1", "u1", None] and "user" not in reading.dataset.meta


def test_rows_without_labels_when_none_are_needed(make: Make) -> None:
    reading = checked(read(make("a.csv", "text\na b\nc d\n"), labelled=False))
    assert reading.dataset.targets == [None, None]
    reading = checked(read(make("b.csv", "text,label\na b,x\nc d,\n"), label="label", labelled=False))
    assert reading.dataset.targets == ["x", None]


def test_html_entities_are_left_and_counted(make: Make) -> None:
    reading = checked(read(make("a.csv", "text,label\nA &amp; B &#039;x&#x27;,x\nAT&T; R&D,y\nfine,x\n")))
    assert reading.dataset.texts[0] == "A &amp; B &#039;x&#x27;"
    finding = next(f for f in reading.findings if f.code == "html_entities")
    assert (finding.count, finding.lines) == (1, [2])


def test_the_real_reviews(reviews: dict[str, Path]) -> None:
    reading = checked(read(reviews))
    assert (reading.read, reading.kept, reading.skipped) == (979, 979, {})
    assert Counter(reading.dataset.column("split")) == {"train": 600, "test": 379}
    assert (reading.detected["text column"], reading.detected["label column"]) == ("review", "rating")
    assert (reading.detected["delimiter"], reading.detected["encoding"]) == ("tab", "utf-8")
    assert Counter(reading.dataset.targets) == {"positive": 633, "negative": 256, "neutral": 90}
    assert next(f for f in reading.findings if f.code == "html_entities").count == 636
    lines = reviews["train"].read_bytes().split(b"\n")
    numbers = zip(reading.dataset.column("column 1"), reading.dataset.column("line"), strict=True)
    for number, line in list(numbers)[:600:37]:
        assert lines[line - 1].startswith(f"{number}\t".encode())
