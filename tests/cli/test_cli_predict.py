"""`seedbed predict` as a user types it."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seedbed.export.bundle import Bundle

sys.path.insert(0, str(Path(__file__).parent.parent / "export"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    from sample_bundle import make

    return make(tmp_path_factory.mktemp("cli") / "bundle")


def seedbed(*words: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "seedbed", *map(str, words)], input=stdin, capture_output=True,
                          text=True, timeout=120, encoding="utf-8")


def test_texts(bundle: Bundle) -> None:
    done = seedbed("predict", bundle.folder, "the broken awful thing", "the great lovely thing")
    lines = [line.split(maxsplit=3) for line in done.stdout.splitlines()]
    assert lines[0] == ["label", "confidence", "sure", "text"]
    assert [(line[0], line[3]) for line in lines[1:]] == [("negative", "the broken awful thing"),
                                                          ("positive", "the great lovely thing")]
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(seedbed("predict", bundle.folder, "the broken awful thing", "--json").stdout)
    assert found == [{"text": "the broken awful thing", **bundle.predict(["the broken awful thing"])[0].model_dump()}]


def test_standard_input(bundle: Bundle) -> None:
    done = seedbed("predict", bundle.folder, stdin="the broken thing\n\nthe lovely café\n")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(r["text"], r["label"], r["reason"]) for r in rows] == [
        ("the broken thing", "negative", ""), ("", "", "empty_text"), ("the lovely café", "positive", "")]
    assert "3 rows read: 2 answered (2 surely), 1 not." in done.stderr
    quiet = seedbed("predict", bundle.folder, "--json", "--quiet", stdin="the broken thing\n")
    assert (json.loads(quiet.stdout)["label"], quiet.stderr) == ("negative", "")


def test_file_to_file(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,review\n1,the broken thing\n2\n3,the lovely thing\n")
    done = seedbed("predict", bundle.folder, "--file", tmp_path / "in.csv", "--text", "review", "--out",
                   tmp_path / "out.csv", "--quiet")
    assert done.stdout.splitlines() == [
        "3 rows read: 2 answered (2 surely), 1 not.",
        "1 row had another number of columns than the header. Line 3. Put double quotes around texts that contain "
        "the delimiter, or name the right delimiter.",
        f"Written to {tmp_path / 'out.csv'} with the columns label, confidence, sure, reason."]
    with (tmp_path / "out.csv").open() as file:
        assert [r["label"] for r in csv.DictReader(file)] == ["negative", "", "positive"]


def test_a_reader_that_goes_away_is_no_error(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("the broken thing\n" * 60_000)
    child = subprocess.Popen([sys.executable, "-m", "seedbed", "predict", str(bundle.folder), "--quiet", "--file",
                              str(tmp_path / "in.txt")], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stderr is not None
    assert child.stdout.readline() == b"text,label,confidence,sure,reason\n"
    child.stdout.close()
    assert child.stderr.read() == b""
    assert child.wait(60) == 1


@pytest.mark.parametrize(("words", "told"), [
    (["nowhere", "a text"], "There is no bundle nowhere."),
    (["BUNDLE", "a text", "--file", "in.csv"], "Texts were given together with --file, --out or --text."),
    (["BUNDLE", "--text", "review"], "--text names a column, but no --file was given."),
    (["BUNDLE", "--file", "gone.csv"], "There is no file gone.csv."),
    (["BUNDLE", "a text", "--threshold", "2"], "The threshold is 2.0, which is not between 0 and 1."),
])
def test_errors_are_two_lines(bundle: Bundle, words: list[str], told: str) -> None:
    done = seedbed("predict", *(str(bundle.folder) if word == "BUNDLE" else word for word in words), stdin="")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines()[0] == f"error: {told}"
    assert len(done.stderr.splitlines()) == 2


def test_a_terminal_with_nothing_to_answer(bundle: Bundle) -> None:
    import pty

    controller, terminal = pty.openpty()
    done = subprocess.run([sys.executable, "-m", "seedbed", "predict", str(bundle.folder)], stdin=terminal,
                          capture_output=True, text=True, timeout=60)
    assert done.stderr.splitlines()[0] == "error: There is nothing to answer."
    for end in (controller, terminal):
        os.close(end)
