"""The examples of one task, held in columns so that a million rows fit in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SPLITS = ("train", "validation", "test")
Target = Any
"""One label (str), several labels (list of str), a text, or a JSON-like object: the task says which."""


@dataclass(frozen=True)
class Example:
    """One row as the house plan names it.

    Args:
        id: stable name of the row: hash of inputs and target, with `-2`, `-3` ... for repeats.
        inputs: named input texts, for `classify` the one key `text`.
        target: what the task should answer; None when it is not known.
        source: the file or query the row came from.
        group: rows of one group are never in different splits; None when there are no groups.
        split: train, validation or test; None before splitting.
        meta: everything else the row carried.
    """

    id: str
    inputs: dict[str, str]
    target: Target
    source: str
    group: str | None = None
    split: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """Rows of one task.

    Args:
        table: columns `id, line, source, group, split, target`, then one per input and one per meta field.
            `line` is the line in the source where the row starts, counted from 1 (for Excel and Parquet the row).
            `target` is a string, or a list of strings for multi-label.
        inputs: names of the input columns.
    """

    table: pa.Table
    inputs: tuple[str, ...] = ("text",)

    FIXED = ("id", "line", "source", "group", "split", "target")

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[Example]:
        meta = self.meta
        for batch in self.table.to_batches(max_chunksize=10_000):
            for row in batch.to_pylist():
                yield Example(row["id"], {name: row[name] or "" for name in self.inputs}, row["target"],
                              row["source"], row["group"], row["split"], {name: row[name] for name in meta})

    @property
    def meta(self) -> tuple[str, ...]:
        """Names of the columns beyond the fixed ones and the inputs."""
        return tuple(n for n in self.table.column_names if n not in self.FIXED and n not in self.inputs)

    def column(self, name: str) -> list[Any]:
        """One column as a Python list."""
        return list(self.table.column(name).to_pylist())

    @property
    def texts(self) -> list[str]:
        """The first input column, never None."""
        return [text or "" for text in self.column(self.inputs[0])]

    @property
    def targets(self) -> list[Target]:
        return self.column("target")

    def take(self, rows: Sequence[int]) -> Dataset:
        """The rows of those positions, in that order."""
        return Dataset(self.table.take(pa.array(rows, pa.int64())), self.inputs)

    def part(self, split: str) -> Dataset:
        """The rows of one split."""
        return Dataset(self.table.filter(pa.compute.equal(self.table.column("split"), split)), self.inputs)

    def with_column(self, name: str, values: Sequence[Any]) -> Dataset:
        """A copy in which a column is replaced or added."""
        array = pa.array(values, self.table.schema.field(name).type if name in self.table.column_names else None)
        at = self.table.schema.get_field_index(name)
        table = self.table.append_column(name, array) if at < 0 else self.table.set_column(at, name, array)
        return Dataset(table, self.inputs)

    @property
    def hash(self) -> str:
        """SHA-256 over ids and splits in id order: equal exactly when the frozen splits are equal."""
        digest = hashlib.sha256()
        for pair in sorted(zip(self.column("id"), self.column("split"), strict=True)):
            digest.update(f"{pair[0]}\t{pair[1]}\n".encode())
        return digest.hexdigest()

    def write(self, path: Path) -> None:
        """Write as Parquet."""
        metadata = {**(self.table.schema.metadata or {}), b"seedbed.inputs": "\t".join(self.inputs).encode()}
        pq.write_table(self.table.replace_schema_metadata(metadata), path, compression="zstd")

    @classmethod
    def open(cls, path: Path) -> Dataset:
        """Read what `write` wrote."""
        table = pq.read_table(path)
        inputs = (table.schema.metadata or {}).get(b"seedbed.inputs", b"text").decode().split("\t")
        return cls(table, tuple(inputs))
