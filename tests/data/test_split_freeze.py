"""Frozen splits: what is opened is what was saved, and nothing else."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from seedbed.data.dataset import Dataset
from seedbed.data.freeze import open_splits, save_splits
from seedbed.data.read import read
from seedbed.data.split import split
from seedbed.errors import CorruptFile, NoResources, NotFound


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    path = tmp_path / "a.csv"
    path.write_text("text,label,n\n" + "".join(f"some text {i},{'ab'[i % 2]},{i}\n" for i in range(40)))
    return split(read(path).dataset)


def test_what_is_opened_is_what_was_saved(data: Dataset, tmp_path: Path) -> None:
    frozen = save_splits(data, tmp_path / "run" / "data")
    opened = open_splits(tmp_path / "run" / "data")
    assert opened.table.equals(data.table) and opened.inputs == data.inputs
    assert opened.hash == data.hash == frozen.hash
    manifest = json.loads((tmp_path / "run" / "data" / "data.json").read_text())
    assert manifest["rows"] == 40 and manifest["counts"]["rows"] == {"train": 28, "validation": 6, "test": 6}
    assert manifest["sources"] == {str(tmp_path / "a.csv"): 40}
    assert sorted(p.name for p in (tmp_path / "run" / "data").iterdir()) == ["data.json", "data.parquet"]


def test_the_hash_is_of_rows_and_splits_not_of_their_order(data: Dataset) -> None:
    assert data.take(range(39, -1, -1)).hash == data.hash
    assert data.with_column("split", ["train"] * 40).hash != data.hash
    assert data.take(range(39)).hash != data.hash


def test_saving_again_replaces(data: Dataset, tmp_path: Path) -> None:
    save_splits(data, tmp_path)
    again = data.with_column("split", ["train"] * 40)
    save_splits(again, tmp_path)
    assert open_splits(tmp_path).hash == again.hash


def test_changed_damaged_or_missing_files(data: Dataset, tmp_path: Path) -> None:
    rows, manifest = tmp_path / "data.parquet", tmp_path / "data.json"
    with pytest.raises(NotFound, match=r"data\.json is missing"):
        open_splits(tmp_path)
    save_splits(data, tmp_path)
    good, told = rows.read_bytes(), manifest.read_text()

    pq.write_table(data.with_column("split", ["train"] * 40).table, rows)
    with pytest.raises(CorruptFile, match="was changed"):
        open_splits(tmp_path)
    rows.write_bytes(good[:-100])
    with pytest.raises(CorruptFile, match="was changed"):
        open_splits(tmp_path)
    rows.unlink()
    with pytest.raises(NotFound, match=r"data\.parquet is missing"):
        open_splits(tmp_path)
    rows.write_bytes(good)

    for broken in ("{", "[]", "{}", told.replace('"rows"', '"raws"')):
        manifest.write_text(broken)
        with pytest.raises(CorruptFile, match="cannot be read"):
            open_splits(tmp_path)
    manifest.write_text(json.dumps({**json.loads(told), "hash": "0" * 64}))
    with pytest.raises(CorruptFile, match="not those"):
        open_splits(tmp_path)
    manifest.write_text(json.dumps({**json.loads(told), "format": 2}))
    with pytest.raises(CorruptFile, match="format 2") as error:
        open_splits(tmp_path)
    assert "pip install --upgrade" in error.value.hint
    manifest.write_text(told)
    assert open_splits(tmp_path).hash == data.hash


def test_a_full_disk_leaves_what_was_there(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_splits(data, tmp_path)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full)
        with pytest.raises(NoResources, match="disk is full"):
            save_splits(data.with_column("split", ["train"] * 40), tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", full)
        with pytest.raises(NoResources, match="disk is full"):
            save_splits(data, tmp_path / "other")
    assert open_splits(tmp_path).hash == data.hash
    assert not list(tmp_path.glob("*.new"))
