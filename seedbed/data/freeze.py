"""Splits frozen on disk: `data.parquet` with the rows, `data.json` with the hashes that prove they are unchanged."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

from ..errors import CorruptFile, NotFound
from ..records import Record
from .dataset import Dataset
from .split import SplitCounts, count_splits
from .write import disk

ROWS, MANIFEST = "data.parquet", "data.json"
FORMAT = 1
INPUTS = b"seedbed.inputs"
"""Where the Parquet file notes which columns are inputs."""


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
        UserError: the folder cannot be written to.
    """
    import pyarrow.parquet as pq

    rows, manifest = folder / ROWS, folder / MANIFEST
    fresh, note = folder / f"{ROWS}.new", folder / f"{MANIFEST}.new"
    metadata = {**(dataset.table.schema.metadata or {}), INPUTS: "\t".join(dataset.inputs).encode()}
    try:
        with disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
            pq.write_table(dataset.table.replace_schema_metadata(metadata), fresh, compression="zstd")
            frozen = Frozen(hash=dataset.hash, file=_sha256(fresh), rows=len(dataset), inputs=list(dataset.inputs),
                            multi_label=dataset.multi_label, counts=count_splits(dataset),
                            sources=dict(Counter(dataset.column("source")).most_common(100)))
            note.write_text(frozen.model_dump_json(indent=1), encoding="utf-8")
            manifest.unlink(missing_ok=True)
            fresh.replace(rows)
            note.replace(manifest)
    finally:
        for left in (fresh, note):
            left.unlink(missing_ok=True)
    return frozen


def open_splits(folder: Path) -> Dataset:
    """Open what `save_splits` wrote, and prove that it is unchanged.

    Raises:
        NotFound: the folder holds no splits.
        CorruptFile: a file was changed or damaged, or was written by a newer version.
    """
    import pyarrow.parquet as pq

    again = "Make the splits again from the data."
    rows, manifest = folder / ROWS, folder / MANIFEST
    if not manifest.is_file():
        raise NotFound(f"{folder} holds no frozen splits: {MANIFEST} is missing.", again)
    try:
        given = json.loads(manifest.read_text("utf-8"))
        if isinstance(given, dict) and given.get("format", 0) > FORMAT:
            raise CorruptFile(f"{manifest} has format {given['format']}; this version reads up to {FORMAT}.",
                              "Upgrade: pip install --upgrade seedbed")
        frozen = Frozen.model_validate(given)
    except (ValueError, TypeError) as problem:
        raise CorruptFile(f"{manifest} cannot be read: {str(problem).splitlines()[0]}.", again) from None
    if not rows.is_file():
        raise NotFound(f"{folder} holds no frozen splits: {ROWS} is missing.", again)
    if _sha256(rows) != frozen.file:
        raise CorruptFile(f"{rows} was changed after it was frozen: its hash is not the one in {MANIFEST}.", again)
    table = pq.read_table(rows)
    dataset = Dataset(table, tuple((table.schema.metadata or {}).get(INPUTS, b"text").decode().split("\t")))
    if dataset.hash != frozen.hash:
        raise CorruptFile(f"The splits in {rows} are not those that {MANIFEST} names.", again)
    return dataset


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
