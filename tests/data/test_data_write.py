"""Files are written whole or not at all."""

from __future__ import annotations

import csv
import errno
import json
from pathlib import Path

import pytest

from seedbed.data.write import Writer
from seedbed.errors import NoResources, UserError


def test_rows_come_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.csv"
    with Writer(path) as file:
        file.write({"text": ['with "quotes", commas\nand lines', None], "labels": [["a", "b"], []]})
        file.write({"text": ["no labels here"]})
        assert not path.exists()
    with path.open(newline="") as read:
        rows = list(csv.reader(read))
    assert rows == [["text", "labels"], ['with "quotes", commas\nand lines', '["a", "b"]'], ["", "[]"],
                    ["no labels here", ""]]
    with Writer(tmp_path / "a.jsonl") as file:
        file.write({"text": ["ñ"], "labels": [["a"]]})
    assert json.loads((tmp_path / "a.jsonl").read_text("utf-8")) == {"text": "ñ", "labels": ["a"]}


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), Writer(path, force=True) as file:
        file.write({"text": ["half"]})
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]
    assert path.read_text() == "before"


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"

    def full(_: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(NoResources, match="disk is full"), Writer(path) as file:
        monkeypatch.setattr(file, "_file", type("Full", (), {"write": staticmethod(full), "close": lambda _: None})())
        file.write({"text": ["row"]})
    assert list(tmp_path.iterdir()) == []


def test_columns_that_come_late(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="columns that the first ones lack: more"), Writer(tmp_path / "a.csv") as file:
        file.write({"text": ["row"]})
        file.write({"text": ["row"], "more": ["x"]})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        Writer(tmp_path / "file" / "a.csv")
