"""Splits frozen on disk: `data.parquet` with the rows, `data.json` with the hashes that prove they are unchanged."""

from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path

from pydantic import ValidationError

from ..errors import CorruptFile, NoResources, NotFound
from ..records import Record
from .dataset import Dataset
from .split import SplitCounts, count_splits

ROWS, MANIFEST = "data.parquet", "data.json"
FORMAT = 1


class Frozen(Record):
    """What `data.json` holds."""

    format: int = FORMAT
    hash: str
    """Of ids and splits (`Dataset.hash`): equal for equal splits, however they are stored."""
    file: str
    """SHA-256 of `data.parquet`."""
    rows: int
    inputs: list[str]
    multi_label: bool
    counts: SplitCounts
    sources: dict[str, int]
    """Rows by source, the 100 largest."""


def save_splits(dataset: Dataset, folder: Path) -> Frozen:
    """Write a dataset and its manifest into a folder, which is made when needed. A stop halfway leaves no manifest
    that does not fit the rows.

    Raises:
        NoResources: the disk is full.
    """
    rows, manifest = folder / ROWS, folder / MANIFEST
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = rows.with_suffix(".new")
        dataset.write(fresh)
        frozen = Frozen(hash=dataset.hash, file=_sha256(fresh), rows=len(dataset), inputs=list(dataset.inputs),
                        multi_label=dataset.multi_label, counts=count_splits(dataset), sources=_sources(dataset))
        manifest.unlink(missing_ok=True)
        fresh.replace(rows)
        note = manifest.with_suffix(".new")
        note.write_text(frozen.model_dump_json(indent=1))
        note.replace(manifest)
    except OSError as problem:
        if problem.errno != errno.ENOSPC:
            raise
        raise NoResources(f"The disk is full: the splits could not be written to {folder}.",
                          "Free some space and run it again.") from None
    finally:
        for left in (rows.with_suffix(".new"), manifest.with_suffix(".new")):
            left.unlink(missing_ok=True)
    return frozen


def open_splits(folder: Path) -> Dataset:
    """Open what `save_splits` wrote, and prove that it is unchanged.

    Raises:
        NotFound: the folder holds no splits.
        CorruptFile: a file was changed or damaged, or was written by a newer version.
    """
    again = "Make the splits again from the data."
    try:
        given = json.loads((folder / MANIFEST).read_text())
        if isinstance(given, dict) and given.get("format", 0) > FORMAT:
            raise CorruptFile(f"{folder / MANIFEST} has format {given['format']}; this version reads up to {FORMAT}.",
                              "Upgrade: pip install --upgrade seedbed")
        frozen = Frozen.model_validate(given)
    except FileNotFoundError:
        raise NotFound(f"{folder} holds no frozen splits: {MANIFEST} is missing.", again) from None
    except (ValueError, TypeError, ValidationError) as problem:
        raise CorruptFile(f"{folder / MANIFEST} cannot be read: {str(problem).splitlines()[0]}.", again) from None
    rows = folder / ROWS
    if not rows.is_file():
        raise NotFound(f"{folder} holds no frozen splits: {ROWS} is missing.", again)
    if _sha256(rows) != frozen.file:
        raise CorruptFile(f"{rows} was changed after it was frozen: its hash is not the one in {MANIFEST}.", again)
    dataset = Dataset.open(rows)
    if dataset.hash != frozen.hash:
        raise CorruptFile(f"The splits in {rows} are not those that {MANIFEST} names.", again)
    return dataset


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sources(dataset: Dataset) -> dict[str, int]:
    import pyarrow.compute as pc

    counted = pc.value_counts(dataset.table.column("source")).to_pylist()
    largest = sorted(counted, key=lambda one: (-one["counts"], one["values"]))[:100]
    return {str(one["values"]): int(one["counts"]) for one in largest}
