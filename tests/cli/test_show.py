"""What verbs print: results whole on standard output, progress on standard error."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from seedbed.cli import bars, show
from seedbed.progress import SILENT, Progress
from seedbed.records import Estimate


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that moves when told."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    show.close()
    show.be_quiet(False)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(bars, "time", made)
    return made


def test_json_takes_records_dataclasses_paths_and_numpy(capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass
    class Thing:
        path: Path
        names: tuple[str, ...]

    show.json({"estimate": Estimate(value=0.5, low=0.4, high=0.6, n=9), "thing": Thing(Path("a"), ("a", "b")),
               "array": np.arange(2), "text": "Größe"})
    out = capsys.readouterr().out
    assert "Größe" in out
    assert json.loads(out) == {"estimate": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 9, "level": 0.95},
                               "thing": {"path": "a", "names": ["a", "b"]}, "array": [0, 1], "text": "Größe"}


def test_a_table_in_a_pipe_is_whole_and_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 300
    show.table(("name", "score"), [("a [bold]", 1), (long, 1000), ("日本", None)])
    lines = capsys.readouterr().out.splitlines()
    assert [text.split() for text in lines] == \
        [["name", "score"], ["a", "[bold]", "1"], [long, "1000"], ["日本", "–"]]
    assert len({len(line) for line in lines[1:3]}) == 1  # numbers end in one column
    assert not any("\x1b" in line for line in lines)


def test_an_empty_table_shows_its_headings(capsys: pytest.CaptureFixture[str]) -> None:
    show.table(("name", "score"), [])
    assert capsys.readouterr().out.split() == ["name", "score"]


def test_quiet_shows_no_progress() -> None:
    show.be_quiet(True)
    assert show.bar() is SILENT


def work(progress: Progress, clock: Clock) -> None:
    """A run of 100 s with one part of 40 s inside, and 1,000 quick calls."""
    progress.start("run", 100, "steps")
    progress.start("train", 40, "steps")
    for _ in range(40):
        clock.now += 1
        progress.advance("train")
        progress.advance("run")
        progress.metric("train", loss=0.41234)
    progress.done("train")
    progress.note("3 rows were left out")
    for _ in range(600):
        clock.now += 0.1
        progress.advance("run", 0.1)
    progress.done("run")


def test_lines_are_few_tell_the_time_left_and_show_nesting(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    work(show.bar(), clock)
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert "  train: 50%, 20 s left, 20 of 40 steps loss=0.4123" in lines
    assert "  train: done in 40 s loss=0.4123" in lines
    assert "note: 3 rows were left out" in lines
    assert "run: 20%, 1 min 20 s left, 20 of 100 steps" in lines
    assert lines[-1] == "run: done in 1 min 40 s"
    assert sum("train:" in line for line in lines) == 11
    assert 10 <= sum(line.startswith("run:") for line in lines) <= 11


def test_work_of_unknown_length_is_told_every_half_minute(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    progress = show.bar()
    progress.start("read", unit="rows")
    for _ in range(65):
        clock.now += 1
        progress.advance("read", 1000)
    progress.done("read")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["read: 30,000 rows", "read: 60,000 rows", "read: done in 1 min 5 s"]


def test_short_work_leaves_no_line(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    progress = show.bar()
    progress.start("read", 10, "rows")
    clock.now += 0.5
    progress.advance("read", 10)
    progress.done("read")
    assert capsys.readouterr().err == ""


def test_misuse_never_stops_the_work(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    progress = show.bar()
    progress.done("never started")
    progress.advance("never started", 5)
    progress.start("twice", 10)
    progress.start("twice", 10)
    progress.start("nothing to do", 0)
    progress.advance("nothing to do")
    progress.advance("twice", 50)
    clock.now += 2
    progress.advance("twice", 50)
    assert "twice: 100%, 0 s left, 100 of 10" in capsys.readouterr().err


def test_bars_on_a_terminal_leave_a_line_each_and_let_results_through(monkeypatch: pytest.MonkeyPatch) -> None:
    err, out = Terminal(), io.StringIO()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(bars, "SHORT_S", 0.0)
    monkeypatch.setattr(bars, "REDRAW_S", 0.0)
    progress = show.bar()
    assert isinstance(progress, bars.Bars)
    progress.start("run", 2, "steps")
    progress.start("train [x]", 2, "steps")
    progress.advance("train [x]")
    progress.metric("train [x]", loss=0.5)
    progress.note("a [b] c")
    show.line("result")
    progress.done("train [x]")
    progress.done("run")
    shown = err.getvalue()
    assert out.getvalue() == "result\n"
    assert "note: a [b] c" in shown
    assert "  train [x]: done in 0 s loss=0.5" in shown
    assert "1 of 2 steps" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")


def test_closing_frees_the_terminal_in_the_middle_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    err = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", err)
    progress = show.bar()
    progress.start("run", 2)
    show.close()
    assert err.getvalue().count("\x1b[?25l") == err.getvalue().count("\x1b[?25h") == 1
    assert sys.stderr is err
    progress.advance("run")
    progress.done("run")


def test_a_million_calls_cost_little(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setattr(sys, "stderr", Terminal())
    progress = show.bar()
    progress.start("read", 1e6, "rows")
    began = time.process_time()
    for _ in range(100_000):
        progress.advance("read")
    assert time.process_time() - began < 2  # 0.05 s here; the bound is for a busy machine
    show.close()


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (125, "2 min 5 s"),
                                               (3780, "1 h 3 min")])
def test_durations(seconds: float, text: str) -> None:
    assert bars.duration(seconds) == text
