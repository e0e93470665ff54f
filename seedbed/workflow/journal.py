"""`metrics.jsonl`: one line for each evaluation in training, appended as it happens."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from ..progress import Progress


class Journal:
    """A listener that writes evaluations down and passes everything on.

    Args:
        path: the file; a resumed run appends to it.
        progress: the listener that shows.
    """

    def __init__(self, path: Path, progress: Progress) -> None:
        self.path, self.progress, self.candidate = path, progress, ""
        self._begin = time.monotonic()
        self._steps = defaultdict[str, float](float)
        self._latest = defaultdict[str, dict[str, float]](dict)

    def write(self, **values: Any) -> None:
        """One line: the candidate, seconds since this process took it up, and these values."""
        line = {"candidate": self.candidate, "seconds": round(time.monotonic() - self._begin, 3), **values}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def take(self, candidate: str) -> None:
        """What follows is about this candidate."""
        self.candidate, self._begin = candidate, time.monotonic()

    def start(self, work: str, total: float | None = None, unit: str = "") -> None:
        self._steps[work], self._latest[work] = 0, {}
        self.progress.start(work, total, unit)

    def advance(self, work: str, amount: float = 1) -> None:
        self._steps[work] += amount
        self.progress.advance(work, amount)

    def metric(self, work: str, **values: float) -> None:
        self._latest[work].update(values)
        if "validation" in values:
            self.write(work=work, step=int(self._steps[work]), **self._latest[work])
        self.progress.metric(work, **values)

    def note(self, text: str) -> None:
        self.progress.note(text)

    def done(self, work: str) -> None:
        self.progress.done(work)
