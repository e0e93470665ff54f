from __future__ import annotations

import csv
import gzip
import io
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_bundle import reviews

from seedbed.errors import DataError, Interrupted, NoResources, NotFound, UserError
from seedbed.export import predict
from seedbed.export.bundle import Bundle
from seedbed.export.predict import Answered, predict_file

Make = Callable[..., Bundle]


def table(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def adds_up(found: Answered) -> bool:
    return found.read == found.predicted + sum(found.skipped.values())


def test_csv_gets_four_columns_and_keeps_rows_and_order(shared_bundle: Bundle, tmp_path: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "ROWS", 7)
    texts, targets = reviews(100, seed=5)
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    with source.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "text", "note"],
                                    *([i, t, f'said "{i}",\nthen'] for i, t in enumerate(texts))])
    found = predict_file(shared_bundle, source, out)
    rows = table(out)
    assert list(rows[0]) == ["id", "text", "note", "label", "confidence", "sure", "reason"]
    assert [(r["id"], r["text"], r["note"]) for r in rows] == [
        (str(i), t, f'said "{i}",\nthen') for i, t in enumerate(texts)]
    expected = shared_bundle.predict(texts)
    assert [r["label"] for r in rows] == [a.label for a in expected]
    assert [r["sure"] == "yes" for r in rows] == [a.sure for a in expected]
    assert max(abs(float(r["confidence"]) - a.confidence) for r, a in zip(rows, expected, strict=True)) <= 5e-5
    assert (found.read, found.predicted, found.skipped, found.out) == (100, 100, {}, str(out))
    assert sum(found.labels.values()) == 100
    assert found.sure == sum(a.sure for a in expected)
    assert sum(r["label"] == shared_bundle.task.labels[t] for r, t in zip(rows, targets, strict=True)) > 90
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.csv", "out.csv"]


@pytest.mark.parametrize(("encoding", "delimiter", "suffix"), [
    ("utf-8", ";", ".csv"), ("utf-8-sig", ",", ".csv"), ("cp1252", ",", ".csv"), ("utf-16", "\t", ".tsv"),
    ("utf-8", "\t", ".tsv")])
def test_encodings_and_delimiters(shared_bundle: Bundle, tmp_path: Path, encoding: str, delimiter: str,
                                  suffix: str) -> None:
    source, out = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    lines = [f"text{delimiter}where", *(f"the broken thing, naïve café{i}{delimiter}Köln".replace(", ", " ")
                                        for i in range(20))]
    source.write_bytes(("\r\n".join(lines) + "\r\n").encode(encoding))
    found = predict_file(shared_bundle, source, out)
    rows = table(out, delimiter)
    assert (found.read, found.predicted) == (20, 20)
    assert {(r["where"], r["label"]) for r in rows} == {("Köln", "negative")}
    assert out.read_bytes().startswith(b"\xef\xbb\xbf") == (encoding == "utf-8-sig")


def test_rows_that_cannot_be_read_keep_their_place(shared_bundle: Bundle, tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    good = [f"{i},the broken thing {i},x" for i in range(30)]
    good[5] = '5,"the quote that never closes,x'
    good[9] = "9,too,many,cells,here"
    good[12] = "12"
    good[15] = "15,  ,x"
    source.write_text("\n".join(["id,text,note", *good]) + "\n")
    found = predict_file(shared_bundle, source, out)
    rows = table(out)
    assert [r["id"] for r in rows] == [str(i) for i in range(30)]
    assert found.skipped == {"unbalanced_quote": 1, "wrong_columns": 2, "empty_text": 1}
    assert (found.read, found.predicted) == (30, 26)
    assert adds_up(found)
    bad = {int(r["id"]): r for r in rows if not r["label"]}
    assert sorted(bad) == [5, 9, 12, 15]
    assert bad[5]["text"] == '"the quote that never closes'
    assert bad[9]["note"] == "many,cells,here"
    assert bad[9]["reason"] == "wrong_columns: 5 columns instead of 3"
    assert bad[15]["reason"] == "empty_text"
    assert all((r["confidence"], r["sure"]) == ("", "") for r in bad.values())
    assert {f.code: f.lines for f in found.findings} == {"unbalanced_quote": [7], "wrong_columns": [11, 14],
                                                         "empty_text": [17]}


def test_the_last_row_may_be_the_bad_one(shared_bundle: Bundle, tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("text,n\n" + "the lovely thing,1\n" * 5 + '"open,2')
    found = predict_file(shared_bundle, source, out)
    assert [r["label"] for r in table(out)] == ["positive"] * 5 + [""]
    assert (found.read, found.skipped) == (6, {"unbalanced_quote": 1})


def test_columns_of_the_same_name_are_kept_apart(shared_bundle: Bundle, tmp_path: Path) -> None:
    source, out, again = tmp_path / "in.csv", tmp_path / "out.csv", tmp_path / "again.csv"
    source.write_text("text,label\nthe broken thing,positive\n")
    found = predict_file(shared_bundle, source, out)
    assert found.columns == ["predicted_label", "predicted_confidence", "predicted_sure", "predicted_reason"]
    assert table(out)[0]["label"] == "positive"
    assert table(out)[0]["predicted_label"] == "negative"
    assert predict_file(shared_bundle, out, again).columns[0] == "predicted_2_label"
    assert list(table(again)[0])[:3] == ["text", "label", "predicted_label"]


def test_a_table_without_a_header_stays_without(shared_bundle: Bundle, tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("1,The broken thing was awful.\n2,The lovely thing works.\n")
    with pytest.raises(UserError, match="2 columns, and it is not clear") as caught:
        predict_file(shared_bundle, source, out)
    assert "column 1, column 2" in caught.value.hint
    predict_file(shared_bundle, source, out, text="column 2")
    rows = list(csv.reader(out.open()))
    assert [(r[0], r[2]) for r in rows] == [("1", "negative"), ("2", "positive")]


def test_jsonl(shared_bundle: Bundle, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    lines = ['{"text": "the broken thing", "n": {"deep": [1, 2.5, null]}}', "",
             '{"text": "the lovely thing", "é": "好"}',
             '{"text": "cut', '"only a text"', '{"no": "text"}', '{"text": null}', '{"text": ["a"]}', '{"text": 12}',
             '{"text": "half \\ud83d emoji great lovely"}']
    source.write_text("\n".join(lines) + "\n")
    found = predict_file(shared_bundle, source, out)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == found.read == 9
    assert adds_up(found)
    assert found.skipped == {"unreadable_row": 3, "empty_text": 2}
    assert rows[0] == {"text": "the broken thing", "n": {"deep": [1, 2.5, None]}, "label": "negative",
                       "confidence": rows[0]["confidence"], "sure": True}
    assert rows[1]["é"] == "好"
    assert rows[2]["unreadable"] == '{"text": "cut'
    assert (rows[2]["label"], rows[2]["confidence"], rows[2]["sure"]) == (None, None, None)
    assert rows[2]["reason"].startswith("unreadable_row: not JSON")
    assert rows[3]["reason"] == "unreadable_row: not an object"
    assert [r["reason"] for r in rows[4:7]] == ["empty_text", "empty_text", "unreadable_row: text is not a text"]
    assert rows[8]["text"] == "half \ud83d emoji great lovely"
    assert rows[8]["label"] == "positive"


def test_text_lines_and_what_the_output_is_named(shared_bundle: Bundle, tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text('the broken "thing", really\n\nthe lovely thing')
    found = predict_file(shared_bundle, source, tmp_path / "out.csv")
    rows = table(tmp_path / "out.csv")
    assert [(r["text"], r["label"], r["reason"]) for r in rows] == [
        ('the broken "thing", really', "negative", ""), ("", "", "empty_text"), ("the lovely thing", "positive", "")]
    assert (found.read, found.predicted) == (3, 2)
    predict_file(shared_bundle, source, tmp_path / "out.tsv")
    assert [r["label"] for r in table(tmp_path / "out.tsv", "\t")] == ["negative", "", "positive"]
    predict_file(shared_bundle, source, tmp_path / "out.jsonl")
    assert [json.loads(line)["label"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [
        "negative", None, "positive"]


def test_streams(shared_bundle: Bundle) -> None:
    out = io.BytesIO()
    found = predict_file(shared_bundle, io.BytesIO("\ufeffthe broken thing\r\nthe lovely café\n".encode()), out)
    assert [r["label"] for r in csv.DictReader(io.StringIO(out.getvalue().decode()))] == ["negative", "positive"]
    assert (found.read, found.out) == (2, None)
    out = io.BytesIO()
    predict_file(shared_bundle, io.BytesIO(b"the broken thing"), out, as_json=True)
    assert json.loads(out.getvalue())["text"] == "the broken thing"
    empty = io.BytesIO()
    assert predict_file(shared_bundle, io.BytesIO(b""), empty).read == 0


def test_compressed_source(shared_bundle: Bundle, tmp_path: Path) -> None:
    source = tmp_path / "in.csv.gz"
    source.write_bytes(gzip.compress(b"text,n\nthe broken thing,1\n"))
    predict_file(shared_bundle, source, tmp_path / "out.csv")
    assert table(tmp_path / "out.csv")[0]["label"] == "negative"


def test_multi_label_in_a_table_and_in_json(make_bundle: Make, tmp_path: Path) -> None:
    bundle = make_bundle(multi_label=True, text_column="Review")
    source = tmp_path / "in.csv"
    source.write_text("id,review\n1,the broken awful thing\n2,the great lovely broken awful thing\n")
    found = predict_file(bundle, source, tmp_path / "out.csv")
    expected = bundle.predict(["the broken awful thing", "the great lovely broken awful thing"])
    assert [r["label"] for r in table(tmp_path / "out.csv")] == ["|".join(a.label) for a in expected]
    assert found.text_column == "review"
    assert sum(found.labels.values()) == sum(len(a.label) for a in expected)
    predict_file(bundle, source, tmp_path / "out.jsonl")
    assert [json.loads(x)["label"] for x in (tmp_path / "out.jsonl").read_text().splitlines()] == [
        a.label for a in expected]


@pytest.mark.parametrize(("source", "out", "extra", "kind", "words"), [
    ("in.csv", "in.csv", {}, UserError, "is the file that is being read"),
    ("in.csv", "link.csv", {}, UserError, "is the file that is being read"),
    ("in.csv", ".", {}, UserError, "is a folder"),
    ("in.csv", "none/out.csv", {}, NotFound, "none is not there"),
    ("in.csv", "out.xlsx", {}, UserError, "does not write"),
    ("in.jsonl", "out.csv", {}, UserError, "do not fit the table"),
    ("in.csv", "out.csv", {"text": "txet"}, UserError, "has no column 'txet'"),
    ("in.csv", "out.csv", {"threshold": 7}, UserError, "not between 0 and 1"),
    ("gone.csv", "out.csv", {}, NotFound, "There is no file"),
    ("empty.csv", "out.csv", {}, DataError, "is empty"),
    ("binary.csv", "out.csv", {}, DataError, "not a table of texts"),
    ("in.parquet", "out.csv", {}, DataError, "one by one"),
    ("array.jsonl", "out.jsonl", {}, DataError, "no line that is a JSON object"),
])
def test_misuse(shared_bundle: Bundle, tmp_path: Path, source: str, out: str, extra: dict[str, Any],
                kind: type[UserError], words: str) -> None:
    (tmp_path / "in.csv").write_text("text,n\nthe broken thing,1\n")
    (tmp_path / "link.csv").symlink_to(tmp_path / "in.csv")
    (tmp_path / "in.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "array.jsonl").write_text("[1, 2]\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 10)
    (tmp_path / "in.parquet").write_bytes(b"PAR1")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(kind, match=words) as caught:
        predict_file(shared_bundle, tmp_path / source, tmp_path / out, **extra)
    assert len(str(caught.value).splitlines()) == 2
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_an_output_that_was_there_is_replaced_only_at_the_end(make_bundle: Make, tmp_path: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make_bundle()
    monkeypatch.setattr(predict, "ROWS", 10)
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("text,n\n" + "the broken thing,1\n" * 50)
    out.write_text("older")
    answer, calls = bundle.predict, []

    def stopped(texts: Any, **kw: Any) -> Any:
        calls.append(len(texts))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return answer(texts, **kw)

    monkeypatch.setattr(bundle, "predict", stopped)
    with pytest.raises(Interrupted, match="after 20 rows"):
        predict_file(bundle, source, out)
    assert out.read_text() == "older"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundle", "in.csv", "out.csv"]
    monkeypatch.undo()
    assert predict_file(bundle, source, out).predicted == 50
    assert len(table(out)) == 50


def test_devices_are_written_to_and_never_renamed(shared_bundle: Bundle, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("text,n\nthe broken thing,1\n")
    assert predict_file(shared_bundle, source, Path("/dev/null")).predicted == 1
    assert Path("/dev/null").is_char_device()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full of Linux")
def test_a_full_disk(shared_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "in.csv"
    source.write_text("text,n\nthe broken thing,1\n")
    whole = Path.open

    def full(path: Path, mode: str = "r", *args: Any, **kw: Any) -> Any:
        return whole(Path("/dev/full"), "wb") if mode == "xb" else whole(path, mode, *args, **kw)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(NoResources, match="disk is full"):
        predict_file(shared_bundle, source, tmp_path / "out.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]


class Listener:
    def __init__(self) -> None:
        self.total, self.done_bytes, self.ended = 0.0, 0.0, False

    def start(self, work: str, total: float | None = None, unit: str = "") -> None:
        self.total = total or 0.0

    def advance(self, work: str, amount: float = 1) -> None:
        self.done_bytes += amount

    def metric(self, work: str, **values: float) -> None: ...
    def note(self, text: str) -> None: ...

    def done(self, work: str) -> None:
        self.ended = True


def test_progress_is_told_in_bytes_to_the_end(shared_bundle: Bundle, tmp_path: Path) -> None:
    source, seen = tmp_path / "in.csv", Listener()
    source.write_text("text,n\n" + "the broken café,1\n" * 9000)
    predict_file(shared_bundle, source, tmp_path / "out.csv", progress=seen)
    assert seen.done_bytes == seen.total == source.stat().st_size
    assert seen.ended


CHILD = """
import resource, sys
from pathlib import Path
import psutil
from seedbed.export.bundle import open_bundle
from seedbed.export.predict import predict_file
from seedbed.progress import Silent

me, seen = psutil.Process(), []

class Watch(Silent):
    bytes = 0
    def start(self, work, total=None, unit=""):
        self.total = total
    def advance(self, work, amount=1):
        self.bytes += amount
        seen.append((self.bytes / self.total, me.memory_info().rss))

bundle = open_bundle(Path(sys.argv[1]))
bundle.warm()
room = me.memory_info().vms + 200 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (room, room))
found = predict_file(bundle, Path(sys.argv[2]), Path(sys.argv[3]), progress=Watch())
early = next(rss for share, rss in seen if share >= 0.1)
print(found.read, found.predicted, early, seen[-1][1])
"""


def test_200_000_rows_in_constant_memory(shared_bundle: Bundle, tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    pick = random.Random(1)
    texts = reviews(500, seed=4)[0]
    with source.open("w") as file:
        file.write("id,text\n")
        file.writelines(f"{i},{pick.choice(texts)} {'x' * 60}\n" for i in range(200_000))
    done = subprocess.run([sys.executable, "-c", CHILD, str(shared_bundle.folder), str(source), str(out)],
                          capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr[-2000:]
    read, predicted, early, late = map(int, done.stdout.split())
    assert (read, predicted) == (200_000, 200_000)
    assert late - early < 8 * 2**20, f"{early / 2**20:.0f} MiB at 10 %, {late / 2**20:.0f} MiB at the end"
    with out.open() as file:
        assert sum(1 for _ in file) == 200_001


SLOW = """
import sys, time
from pathlib import Path
from seedbed.export import predict
from seedbed.export.bundle import open_bundle
predict.ROWS = 10
bundle = open_bundle(Path(sys.argv[1]))
answer = bundle.predict
def slow(texts, **kw):
    print("block", flush=True)
    time.sleep(0.2)
    return answer(texts, **kw)
bundle.predict = slow
predict.predict_file(bundle, Path(sys.argv[2]), Path(sys.argv[3]))
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_from_outside(shared_bundle: Bundle, tmp_path: Path, how: signal.Signals) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("text,n\n" + "the broken thing,1\n" * 100_000)
    child = subprocess.Popen([sys.executable, "-c", SLOW, str(shared_bundle.folder), str(source), str(out)],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for _ in range(3):
        assert child.stdout.readline() == "block\n"
    time.sleep(0.05)
    child.send_signal(how)
    error = child.communicate(timeout=60)[1]
    assert not out.exists()
    if how == signal.SIGINT:
        assert "Nothing was written to" in error
        assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]
