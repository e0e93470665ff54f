"""Read texts in which pieces are labelled (entities) into a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import DataError, NotFound
from ..progress import SILENT, Progress
from .dataset import Dataset, ids
from .formats.source import Options
from .gather import LINE, OURS, SOURCE, Given, found_splits, gather, groups_of, objects, pairs_of
from .marks import Marked, Span, Unmarked, dump, load, marked
from .read import LONGEST_CELL, Reading, nothing_left
from .tally import Tally

if TYPE_CHECKING:
    import pyarrow as pa

COLUMN = "spans"
"""The column of a dataset that holds each row's spans as JSON."""
DOCUMENT = "document"
"""The column in which the reader of CoNLL says which sentences stand together."""


def read_spans(source: Given | Mapping[str, Given], *, text: str | None = None, label: str | None = None,
               group: str | None = None, encoding: str | None = None, delimiter: str | None = None,
               progress: Progress = SILENT) -> Reading:
    """Read texts with labelled spans.

    The form of each row is found by its columns: doccano's `text` and `label` or `entities`, Prodigy's `spans` with
    its `answer`, Label Studio's `data` and `annotations`, `tokens` and `tags` (CoNLL files too), or a text with a
    list of spans in any table.

    Args:
        source: what `seedbed.data.read.read` takes; or a source for each of train, validation and test.
        text, label: names of the columns with the texts (in Label Studio's `data` too) and with the spans.
        group: name of a column; rows with the same value are never in different splits. Without one the sentences of
            a CoNLL document stay together.
        encoding, delimiter: of delimited text and JSON; None finds out.

    Returns:
        A reading whose dataset has the labels that occur in a row as its target, and the further column `spans`.

    Raises:
        NotFound, DataError: the source cannot be read, no row is left, or nothing in them is labelled.
    """
    import pyarrow as pa

    tally = Tally()
    raw, where = gather(pairs_of(source), Options(encoding, delimiter, tuple(n for n in (text, label, group) if n)),
                        tally, progress)
    found = raw.num_rows + sum(tally.skipped.values())
    if not raw.num_rows:
        raise nothing_left(where, found, tally)
    columns = [name for name in raw.column_names if name not in OURS]
    for column in (text, label, group):
        if column is not None and column not in columns and not (column == text and "data" in columns):
            raise NotFound(f"{where} has no column {column!r}.", f"It has: {', '.join(columns[:20]) or 'none'}.")
    kept, places, lines = list[Marked](), list[int](), raw.column(LINE).to_pylist()
    for place, row in enumerate(_rows(raw.select(columns), {text, label})):
        try:
            one = marked(row, text, label)
            if "\0" in one.text or len(one.text) > LONGEST_CELL:
                raise Unmarked("nul_bytes" if "\0" in one.text else "huge_cell")
        except Unmarked as problem:
            tally.skip(problem.code, lines[place], problem.what)
            continue
        for code, count in one.mended.items():
            tally.remark(code, lines[place], count=count)
        tally.detect("form", one.form)
        kept.append(one)
        places.append(place)
    if not kept:
        raise nothing_left(where, found, tally)
    if not any(one.spans for one in kept):
        raise DataError(f"Not one span is labelled in the {len(kept):,} rows of {where}.",
                        "See docs/data-formats.md for the forms; name the column with the spans with --label.")
    tally.detect("spans", f"{sum(len(one.spans) for one in kept):,}")
    tally.detect("rows without spans", f"{sum(not one.spans for one in kept):,}")
    group = group or (DOCUMENT if DOCUMENT in columns and "tokens with tags" in tally.detected["form"] else None)
    groups = groups_of(raw, group) if group else pa.nulls(len(lines), pa.string())
    rows, stored = pa.array(places, pa.int64()), [dump(one.spans) for one in kept]
    return Reading(Dataset(pa.table({
        "id": pa.array(ids([one.text for one in kept], stored), pa.string()), "line": raw.column(LINE).take(rows),
        "source": raw.column(SOURCE).take(rows), "group": groups.take(rows),
        "split": found_splits(raw, tally, (text, label)).take(rows),
        "target": pa.array([sorted({span.label for span in one.spans}) for one in kept], pa.list_(pa.string())),
        "text": pa.array([one.text for one in kept], pa.large_string()),
        COLUMN: pa.array(stored, pa.large_string())})), where, found, dict(tally.skipped), dict(tally.detected),
        tally.findings())


def _rows(table: pa.Table, named: set[str | None]) -> Iterator[dict[str, Any]]:
    """Rows with objects as JSON, by lower-case column where the user did not name it; some at a time."""
    names = [name if name in named else name.strip().lower() for name in table.column_names]
    for at, name in enumerate(table.column_names):
        table = table.set_column(at, name, objects(table.column(at)))
    if len(set(names)) == len(names):
        table = table.rename_columns(names)
    for batch in table.to_batches(max_chunksize=2_000):
        yield from batch.to_pylist()


def spans_of(dataset: Dataset) -> list[list[Span]]:
    """The spans of each row of a dataset that `read_spans` made."""
    return [load(text) for text in dataset.column(COLUMN)]
