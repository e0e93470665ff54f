"""Two listeners for long work: live bars on a terminal, and plain lines for logs and pipes."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import TaskID

REDRAW_S = 0.1
"""A bar is moved at most this often: a call for each of a million rows must cost next to nothing."""
SHORT_S = 1.0
"""Work shorter than this leaves no line behind."""
LINE_EVERY_S = 30.0


def duration(seconds: float) -> str:
    """A length of time for people: `4 s`, `2 min 5 s`, `1 h 3 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@dataclass
class _Work:
    name: str
    total: float | None
    unit: str
    depth: int
    began: float = field(default_factory=lambda: time.monotonic())
    amount: float = 0.0
    shown_at: float = field(default_factory=lambda: time.monotonic())
    shown_tenths: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    task: TaskID | None = None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def share(self) -> float:
        """Of the total, 0 where that is not known."""
        return min(1.0, self.amount / self.total) if self.total else 0.0

    @property
    def indent(self) -> str:
        return "  " * self.depth

    @property
    def figures(self) -> str:
        return " ".join(f"{name}={value:.4g}" for name, value in self.metrics.items())

    @property
    def counted(self) -> str:
        """`300 of 1,000 steps`"""
        scale, form, unit = (1e6, ".1f", "MB") if self.unit == "bytes" else (1, ",.0f", self.unit)
        amounts = [format(value / scale, form) for value in (self.amount, self.total) if value is not None]
        return f"{' of '.join(amounts)} {unit}".rstrip()

    @property
    def ended(self) -> str:
        return f"{self.indent}{self.name}: done in {duration(self.seconds)} {self.figures}".rstrip()


class Listener:
    """A `Progress` that draws. Work that starts inside other work is shown under it."""

    def __init__(self) -> None:
        self._works: dict[str, _Work] = {}

    def start(self, work: str, total: float | None = None, unit: str = "") -> None:
        self.done(work)
        self._works[work] = _Work(work, total, unit, len(self._works))
        self._started(self._works[work])

    def advance(self, work: str, amount: float = 1) -> None:
        one = self._known(work)
        one.amount += amount
        self._moved(one)

    def metric(self, work: str, **values: float) -> None:
        one = self._known(work)
        one.metrics.update(values)
        self._moved(one)

    def done(self, work: str) -> None:
        one = self._works.pop(work, None)
        if one is not None:
            self._ended(one)

    def _known(self, work: str) -> _Work:
        if work not in self._works:
            self.start(work)
        return self._works[work]

    def pause(self) -> None:
        """Take the drawing away, a result is about to be written."""

    def go_on(self) -> None:
        """Draw again."""

    def close(self) -> None:
        """Draw no more."""

    def note(self, text: str) -> None: ...
    def _started(self, one: _Work) -> None: ...
    def _moved(self, one: _Work) -> None: ...
    def _ended(self, one: _Work) -> None: ...


class Lines(Listener):
    """A line each 10 % and at least each 30 s, for a log or a pipe."""

    def note(self, text: str) -> None:
        self._say(f"note: {text}")

    def _moved(self, one: _Work) -> None:
        since, tenths = time.monotonic() - one.shown_at, int(one.share * 10 + 1e-6)
        if since < LINE_EVERY_S and (since < SHORT_S or tenths <= one.shown_tenths):
            return
        one.shown_at, one.shown_tenths = time.monotonic(), tenths
        share = one.share
        left = f"{share:.0%}, {duration(one.seconds * (1 - share) / share)} left, " if share else ""
        self._say(f"{one.indent}{one.name}: {left}{one.counted} {one.figures}")

    def _ended(self, one: _Work) -> None:
        if one.seconds >= SHORT_S:
            self._say(one.ended)

    def _say(self, text: str) -> None:
        print(text.rstrip(), file=sys.stderr, flush=True)


class Bars(Listener):
    """Live bars with the time left and the latest figures; finished work leaves one line."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        super().__init__()
        # Standard output belongs to results, so only standard error is drawn around.
        self._bars = Progress(
            TextColumn("{task.fields[indent]}{task.description}", markup=False), BarColumn(24),
            TextColumn("{task.fields[counted]}", markup=False), TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}", style="dim", markup=False),
            console=Console(stderr=True, highlight=False), transient=True, redirect_stdout=False)
        self._closed = False

    def note(self, text: str) -> None:
        self._bars.console.print(f"note: {text}", markup=False, style="yellow")

    def pause(self) -> None:
        self._bars.stop()

    def go_on(self) -> None:
        if self._works and not self._closed:
            self._bars.start()

    def close(self) -> None:
        self._closed = True
        self._works.clear()
        self._bars.stop()

    def _started(self, one: _Work) -> None:
        one.task = self._bars.add_task(one.name, total=one.total, indent=one.indent, counted="", figures="")
        self.go_on()

    def _moved(self, one: _Work) -> None:
        now = time.monotonic()
        if one.task is not None and now - one.shown_at >= REDRAW_S:
            one.shown_at = now
            self._bars.update(one.task, completed=one.amount, counted=one.counted, figures=one.figures)

    def _ended(self, one: _Work) -> None:
        if one.task is not None:
            self._bars.remove_task(one.task)
        if one.seconds >= SHORT_S and one.depth < 2:
            self._bars.console.print(one.ended, markup=False)
        if not self._works:
            self._bars.stop()
