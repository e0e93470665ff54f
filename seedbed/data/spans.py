"""Read texts in which pieces are labelled (entities) into a dataset."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import DataError
from ..progress import SILENT, Progress
from .dataset import Dataset, ids
from .gather import LINE, OURS, Given, named, rows
from .marks import Marked, Span, Unmarked, dump, load, marked
from .read import LONGEST_CELL, Reading, nothing_left, reading, table_of
from .tally import Tally

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
    raw, where, found = table_of(source, (text, label, group), encoding, delimiter, tally, progress, inside="data")
    columns = [name for name in raw.column_names if name not in OURS]
    kept, places, lines = list[Marked](), list[int](), raw.column(LINE).to_pylist()
    for place, row in enumerate(rows(named(raw.select(columns), {text, label}))):
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
    stored = [dump(one.spans) for one in kept]
    return reading(raw, where, found, tally, places, ids([one.text for one in kept], stored),
                   [one.text for one in kept], group=group, used=(text, label),
                   targets=pa.array([sorted({span.label for span in one.spans}) for one in kept],
                                    pa.list_(pa.string())), **{COLUMN: pa.array(stored, pa.large_string())})


def spans_of(dataset: Dataset) -> list[list[Span]]:
    """The spans of each row of a dataset that `read_spans` made."""
    return [load(text) for text in dataset.column(COLUMN)]
