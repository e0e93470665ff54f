"""A reader of another package comes through the same door."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from seedbed.data.formats import READERS
from seedbed.data.formats.source import Chunk, Source, to_columns
from seedbed.data.read import read
from seedbed.data.tally import Tally


def read_pairs(source: Source, tally: Tally) -> Iterator[Chunk]:
    """`label: text` lines."""
    rows = [line.split(": ", 1) for line in b"".join(source.blocks()).decode().splitlines()]
    for number, row in enumerate(rows, 1):
        if len(row) != 2:
            tally.skip("unreadable_row", number)
    good = [(n, row) for n, row in enumerate(rows, 1) if len(row) == 2]
    yield Chunk(to_columns([{"text": text, "label": label} for _, (label, text) in good]), [n for n, _ in good])


def test_a_reader_is_chosen_by_its_extension(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("pairs", "test_read_plugins:read_pairs", "seedbed.readers")
    monkeypatch.setattr("seedbed.plugins.entry_points", lambda group: [point] if group == "seedbed.readers" else [])
    monkeypatch.setattr(EntryPoint, "load", lambda self: read_pairs)
    monkeypatch.setattr(READERS, "_found", None)
    (tmp_path / "a.pairs").write_text("x: good thing\ny: bad thing\nbroken\n")
    try:
        reading = read(tmp_path / "a.pairs")
    finally:
        READERS._found = None
    assert reading.detected["format"] == "pairs" and reading.dataset.targets == ["x", "y"]
    assert (reading.read, reading.skipped) == (3, {"unreadable_row": 1})
