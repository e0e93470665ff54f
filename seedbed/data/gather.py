"""All chunks of all sources as one table, before the columns mean anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..progress import Progress
from .formats.detect import chunks_of
from .formats.source import Options, locate
from .tally import Tally
from .targets import as_text

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Raw:
    """The rows of several sources, as the sources have them.

    Args:
        table: the columns of all sources; a column that one lacks is null there.
        lines: [rows] line where the row starts in its source.
        sources: [rows] name of the row's source.
        given: [rows] split that the source was given as; null where it was not.
        names: of the sources, for people.
    """

    table: pa.Table
    lines: pa.ChunkedArray
    sources: pa.ChunkedArray
    given: pa.ChunkedArray
    names: list[str]


def gather(pairs: list[tuple[str | Path, str | None]], options: Options, tally: Tally, progress: Progress) -> Raw:
    """Read the sources one after the other. `pairs`: what was named, and the split that it is given as, or None."""
    import pyarrow as pa

    tables, lines, sources, given, names = [], [], [], [], list[str]()
    for spec, split in pairs:
        source = locate(spec, options)
        name = source.name
        names.append(name)
        progress.start(f"Reading {name}", unit="rows")
        for chunk in chunks_of(source, tally):
            rows = len(chunk.table)
            tables.append(chunk.table)
            lines.append(pa.array(chunk.lines, pa.int64()))
            sources.append(pa.array(chunk.sources, pa.string()) if chunk.sources
                           else pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), [name])
                           .dictionary_decode())
            given.append(pa.array([split] * rows, pa.string()))
            progress.advance(f"Reading {name}", rows)
        progress.done(f"Reading {name}")
    return Raw(_join(tables), pa.chunked_array(lines, pa.int64()), pa.chunked_array(sources, pa.string()),
                pa.chunked_array(given, pa.string()), names)


def _join(tables: list[pa.Table]) -> pa.Table:
    """One table of chunks whose columns may differ in type: then they become lists, where there are any, or text."""
    import pyarrow as pa

    if not tables:
        return pa.table({})
    kinds: dict[str, set[Any]] = {}
    for table in tables:
        for one in table.schema:
            kinds.setdefault(one.name, set()).add(one.type)
    for name, types in kinds.items():
        real = {t for t in types if not pa.types.is_null(t)}
        if len(real) < 2 or all(pa.types.is_integer(t) or pa.types.is_floating(t) for t in real):
            continue
        lists = any(pa.types.is_list(t) for t in real)
        for i, table in enumerate(tables):
            if name not in table.column_names:
                continue
            column = table.column(name)
            if lists and not pa.types.is_list(column.type):
                words = [v if v is None else [v] for v in as_text(column).to_pylist()]
                column = pa.chunked_array([pa.array(words, pa.list_(pa.string()))])
            elif not lists:
                column = as_text(column)
            tables[i] = tables[i].set_column(table.column_names.index(name), name, column)
    return pa.concat_tables(tables, promote_options="permissive")
