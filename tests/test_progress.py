"""The protocol of long work."""

from __future__ import annotations

import inspect

import pytest

from seedbed.cli.bars import Bars, Lines
from seedbed.progress import SILENT, Progress, Silent

EVENTS = [name for name in vars(Progress) if not name.startswith("_")]


@pytest.mark.parametrize("listener", [Silent, Lines, Bars])
def test_listeners_answer_to_every_event_alike(listener: type) -> None:
    assert EVENTS == ["start", "advance", "metric", "note", "done"]
    for event in EVENTS:
        assert inspect.signature(getattr(listener, event)) == inspect.signature(getattr(Progress, event))


def test_silence_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    SILENT.start("work", 3, "rows")
    SILENT.advance("work")
    SILENT.metric("work", loss=0.5)
    SILENT.note("something")
    SILENT.done("work")
    assert capfd.readouterr() == ("", "")
