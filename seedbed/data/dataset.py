"""The examples of one task: a row each, held in columns so that a million fit in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

SPLITS = ("train", "validation", "test")
Target = Any
"""One label (str), several labels (list of str), a text, or a JSON-like object: the task says which."""


def ids(texts: Iterable[str], targets: Iterable[Target]) -> list[str]:
    """A stable name for each row: 64 bits of BLAKE2 over text and target, `-2`, `-3` ... for repeats.

    Labels of a multi-label target count as a set: their order does not change the name.
    """
    digest, seen, names = hashlib.blake2b, dict[str, int](), list[str]()
    for text, target in zip(texts, targets, strict=True):
        answer = "\x1e".join(sorted(target)) if isinstance(target, list) else target
        name = digest(f"{text}\x1f{'' if answer is None else answer}".encode(), digest_size=8).hexdigest()
        count = seen[name] = seen.get(name, 0) + 1
        names.append(name if count == 1 else f"{name}-{count}")
    return names


@dataclass(frozen=True)
class Dataset:
    """Rows of one task.

    Args:
        table: columns `id, line, source, group, split, target`, then one per input and one per meta field.
            `line` is the line in the source where the row starts, counted from 1 (for Excel and Parquet the row).
            `target` is a string, or a list of strings for multi-label. Rows of one `group` are never in different
            splits; `split` is train, validation or test, null before splitting.
        inputs: names of the input columns.
    """

    table: pa.Table
    inputs: tuple[str, ...] = ("text",)

    FIXED = ("id", "line", "source", "group", "split", "target")

    def __len__(self) -> int:
        return int(self.table.num_rows)

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

    @property
    def multi_label(self) -> bool:
        """Targets are lists of labels."""
        import pyarrow as pa

        return bool(pa.types.is_list(self.table.schema.field("target").type))

    def take(self, rows: Sequence[int]) -> Dataset:
        """The rows of those positions, in that order."""
        import pyarrow as pa

        return Dataset(self.table.take(pa.array(rows, pa.int64())), self.inputs)

    def part(self, split: str) -> Dataset:
        """The rows of one split."""
        import pyarrow.compute as pc

        return Dataset(self.table.filter(pc.equal(self.table.column("split"), split)), self.inputs)

    def with_column(self, name: str, values: Sequence[Any]) -> Dataset:
        """A copy in which a column is replaced or added."""
        import pyarrow as pa

        array = pa.array(values, self.table.schema.field(name).type if name in self.table.column_names else None)
        at = self.table.schema.get_field_index(name)
        table = self.table.append_column(name, array) if at < 0 else self.table.set_column(at, name, array)
        return Dataset(table, self.inputs)

    @property
    def hash(self) -> str:
        """SHA-256 over ids and splits in id order: equal exactly when the frozen splits are equal."""
        pairs = zip(self.column("id"), self.column("split"), strict=True)
        lines = sorted(f"{name}\t{split or ''}\n" for name, split in pairs)
        return hashlib.sha256("".join(lines).encode()).hexdigest()
