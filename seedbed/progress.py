"""One event protocol for long work: rooms report, listeners show.

The terminal bar (cli), a job's live row (store) and silence are listeners. Rooms never print.
"""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What a listener answers to. `work` names a piece of work, for instance `train SmolLM2`."""

    def start(self, work: str, total: float | None = None, unit: str = "") -> None:
        """Work begins; `total` is in `unit` (texts, bytes, steps), None when it is not known."""

    def advance(self, work: str, amount: float = 1) -> None:
        """`amount` more units are done."""

    def metric(self, work: str, **values: float) -> None:
        """Figures worth showing, for instance `loss=0.41`."""

    def note(self, text: str) -> None:
        """One line that the user should read: a guess that was made, a thing that was skipped."""

    def done(self, work: str) -> None:
        """Work ended."""


class Silent:
    """The listener that shows nothing."""

    def start(self, work: str, total: float | None = None, unit: str = "") -> None: ...
    def advance(self, work: str, amount: float = 1) -> None: ...
    def metric(self, work: str, **values: float) -> None: ...
    def note(self, text: str) -> None: ...
    def done(self, work: str) -> None: ...


SILENT: Progress = Silent()
