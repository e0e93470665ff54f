"""All rows of all sources as one table, before the columns mean anything."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError
from ..progress import Progress
from .columns import SPLIT_NAMES, split_of
from .formats import chunks
from .formats.source import Options, locate
from .tally import Tally
from .targets import as_text

if TYPE_CHECKING:
    import pyarrow as pa

Given = str | Path | Sequence[str | Path]
LINE, SOURCE, GIVEN = OURS = ("\0line", "\0source", "\0split")
"""Columns beside those of the sources: the line where the row starts, its source, the split it was given as."""


def pairs_of(source: Given | Mapping[str, Given]) -> list[tuple[str | Path, str | None]]:
    """Each source that was named, and the split that it is given as.

    Raises:
        DataError: a key is not a split.
    """
    pairs = list[tuple[str | Path, str | None]]()
    named = source.items() if isinstance(source, Mapping) else [(None, source)]
    for name, given in named:
        meant = split_of(name)
        if name is not None and meant is None:
            raise DataError(f"{name!r} is not a split.", "Splits are train, validation and test.")
        pairs += [(one, meant) for one in ([given] if isinstance(given, str | Path) else given)]
    return pairs


def gather(pairs: list[tuple[str | Path, str | None]], options: Options, tally: Tally,
            progress: Progress) -> tuple[pa.Table, str]:
    """Read the sources one after the other: all their columns, null where one lacks them, with `OURS`; and their
    names for people."""
    import pyarrow as pa

    tables, names = [], list[str]()
    for spec, split in pairs:
        source = locate(spec, options)
        names.append(source.name)
        work = f"Reading {source.name}"
        progress.start(work, unit="rows")
        for chunk in chunks(source, tally):
            rows = chunk.table.num_rows
            sources = pa.array(chunk.sources, pa.string()) if chunk.sources else pa.repeat(source.name, rows)
            tables.append(chunk.table.append_column(LINE, pa.array(chunk.lines, pa.int64()))
                          .append_column(SOURCE, sources).append_column(GIVEN, pa.array([split] * rows, pa.string())))
            progress.advance(work, rows)
        progress.done(work)
    return _join(tables), ", ".join(names)


def _join(tables: list[pa.Table]) -> pa.Table:
    """One table of chunks whose columns may differ in type: then they become lists, where there are any, or text."""
    import pyarrow as pa

    if not tables:
        return pa.table({})
    kinds: dict[str, set[Any]] = {}
    for table in tables:
        for one in table.schema:
            if not pa.types.is_null(one.type):
                kinds.setdefault(one.name, set()).add(one.type)
    for name, types in kinds.items():
        if len(types) < 2 or all(pa.types.is_integer(t) or pa.types.is_floating(t) for t in types):
            continue
        if any(map(_holds_objects, types)):  # JSON, as readers of JSON give objects too
            for i, table in enumerate(tables):
                if (at := table.schema.get_field_index(name)) >= 0:
                    column = as_text(objects(table.column(at)))
                    tables[i] = table.set_column(at, name, column)
            continue
        lists = any(pa.types.is_list(t) for t in types)
        for i, table in enumerate(tables):
            at = table.schema.get_field_index(name)
            if at < 0 or (lists and pa.types.is_list(table.column(at).type)):
                continue
            column = as_text(table.column(at))
            if lists:
                words = [v if v is None else [v] for v in column.to_pylist()]
                column = pa.chunked_array([pa.array(words, pa.list_(pa.string()))])
            tables[i] = table.set_column(at, name, column)
    return pa.concat_tables(tables, promote_options="permissive")


def groups_of(raw: pa.Table, name: str) -> pa.ChunkedArray:
    """The group of each row, as text; null where the cell is empty, which is no group."""
    import pyarrow as pa
    import pyarrow.compute as pc

    named = pc.utf8_trim_whitespace(as_text(raw.column(name)).cast(pa.string()))
    return pc.if_else(pc.equal(named, ""), pa.scalar(None, pa.string()), named)


def splits_of(raw: pa.Table, column: str | None) -> pa.ChunkedArray:
    """The split of each row: that of its source, else that of its column.

    Raises:
        DataError: a value of the split column means no split.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if column is None:
        return raw.column(GIVEN)
    words = as_text(raw.column(column)).to_pylist()
    meant = {word: split_of(word) for word in set(words) if word and word.strip()}
    if unknown := sorted(word for word, split in meant.items() if split is None):
        raise DataError(f"The split column {column!r} holds {', '.join(map(repr, unknown[:5]))}.",
                        "Its values must be train, validation (or dev) and test; empty ones are split later.")
    return pc.coalesce(raw.column(GIVEN), pa.chunked_array([pa.array(map(meant.get, words), pa.string())]))


def found_splits(raw: pa.Table, tally: Tally, used: Sequence[str | None] = ()) -> pa.ChunkedArray:
    """The split of each row, by a column named `split` (or alike) all of whose values are splits, where there is one.

    Args:
        used: columns that mean something else.
    """
    for name in raw.column_names:
        if name.strip().lower() in SPLIT_NAMES and name not in used:
            words = {one for one in as_text(raw.column(name)).unique().to_pylist() if one and one.strip()}
            if words and all(map(split_of, words)):
                tally.detect("split", name)
                return splits_of(raw, name)
    return raw.column(GIVEN)


def named(table: pa.Table, given: Collection[str | None] = ()) -> pa.Table:
    """The columns by the names that forms have: `Question` is `question`, where that is clear and nobody gave it."""
    names = [name if name in given else name.strip().lower() for name in table.column_names]
    return table.rename_columns(names) if len(set(names)) == len(names) else table


def rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Rows with objects as JSON and bytes as text, some at a time: as Python's values they take much memory."""
    import pyarrow as pa

    for at, name in enumerate(table.column_names):
        column = objects(table.column(at))
        if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
            column = as_text(column)
        table = table.set_column(at, name, column)
    for batch in table.to_batches(max_chunksize=2_000):
        yield from batch.to_pylist()


def objects(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of objects as JSON without their nulls: in Arrow each object has the keys of all others."""
    import pyarrow as pa

    if not _holds_objects(column.type):
        return column
    return pa.chunked_array([[
        value if value is None else json.dumps(_without_nulls(value), ensure_ascii=False, default=str)
        for value in part.to_pylist()] for part in column.chunks], pa.large_string())


def _holds_objects(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_nested(kind) and not pa.types.is_map(kind) and hasattr(kind, "value_type"):
        return _holds_objects(kind.value_type)
    return bool(pa.types.is_struct(kind))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(one) for name, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value
