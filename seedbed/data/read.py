"""Read labelled text from any source into a dataset. Every row is kept, or counted with its line and a reason."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import DataError, NotFound
from ..progress import SILENT, Progress
from .columns import Columns, choose
from .dataset import Dataset, ids
from .formats.source import Options
from .gather import LINE, OURS, SOURCE, Given, found_splits, gather, groups_of, pairs_of, splits_of
from .health import Finding
from .tally import LINES_SHOWN, REASONS, Tally
from .targets import as_text, read_targets

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE = 3_000
"""Rows that the columns are guessed from, evenly spread over the data."""
LONGEST_CELL = 4_000_000
"""Characters of a text or label; a row with more is left out."""
ENTITY = r"&(?:[A-Za-z][A-Za-z0-9]{1,30}|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});"


@dataclass(frozen=True)
class Reading:
    """What was read.

    Args:
        dataset: the rows that were kept.
        source: the names of the sources, for people.
        read: rows found, kept or not. Blank lines are not rows.
        skipped: rows left out, by reason. `read == kept + sum(skipped.values())`.
        detected: what was found out or guessed: format, encoding, delimiter, text column, label column ...
        findings: one for each reason of skipping, and what else is worth saying.
    """

    dataset: Dataset
    source: str
    read: int
    skipped: dict[str, int]
    detected: dict[str, str]
    findings: list[Finding]

    @property
    def kept(self) -> int:
        return len(self.dataset)


def read(source: Given | Mapping[str, Given], *, text: str | None = None, label: str | None = None,
         group: str | None = None, split: str | None = None, multi_label: bool | None = None, labelled: bool = True,
         encoding: str | None = None, delimiter: str | None = None, progress: Progress = SILENT) -> Reading:
    """Read labelled text.

    Args:
        source: a file (CSV, TSV, JSON, JSONL, Parquet, Excel; compressed or not), a folder with a folder of text
            files for each label, a database URL with a `query`, or several of these. Or splits that are there
            already, such as `{"train": "train.tsv", "test": "test.tsv"}`: a source for each that there is.
        text, label: names of the columns; None guesses them (over all sources together) and says so in `detected`.
        group: name of a column; rows with the same value are never in different splits.
        split: name of a column that says train, validation or test; None looks for one.
        multi_label: rows carry several labels; None finds out.
        labelled: False for rows that need no label: none is guessed, and rows without one are kept.
        encoding, delimiter: of delimited text and JSON; None finds out.

    Raises:
        NotFound: a file is not there.
        DataError: the source, or a column that was named, cannot be used; or no row is left.
    """
    pairs = pairs_of(source)
    if not pairs:
        raise DataError("There is nothing to read.", "Name a file, a folder or a database URL with a query.")
    if delimiter is not None and len(delimiter) != 1:
        raise DataError(f"The delimiter {delimiter!r} is not one character.", r"Name one, such as ; or a tab.")
    options = Options(encoding, delimiter, tuple(n for n in (text, label, group, split) if n))
    tally = Tally()
    raw, where = gather(pairs, options, tally, progress)
    found = raw.num_rows + sum(tally.skipped.values())
    if not raw.num_rows:
        raise nothing_left(where, found, tally)
    spread = list(range(0, raw.num_rows, max(1, raw.num_rows // SAMPLE)))
    sample = {name: raw.column(name).take(spread).to_pylist() for name in raw.column_names if name not in OURS}
    columns = choose(sample, where, text=text, label=label, group=group, split=split, labelled=labelled)
    dataset = _dataset(raw, columns, multi_label, labelled, tally)
    if not len(dataset):
        raise nothing_left(where, found, tally)
    for note in _say(columns, tally):
        progress.note(note)
    return Reading(dataset, where, found, dict(tally.skipped), dict(tally.detected), tally.findings())


def _dataset(raw: pa.Table, columns: Columns, multi_label: bool | None, labelled: bool, tally: Tally) -> Dataset:
    """Give the columns their meaning, and leave out the rows without a text or a label."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    texts, rows = pc.fill_null(as_text(raw.column(columns.text)), ""), raw.num_rows
    target = labels = pa.chunked_array([pa.nulls(rows, pa.string())])
    if columns.label is not None:
        labels = as_text(raw.column(columns.label))
        told = read_targets(raw.column(columns.label), multi_label, columns.label)
        target = pa.chunked_array([pa.array(told.values, pa.list_(pa.string()) if told.multi_label else pa.string())])
        tally.detect("labels", f"several a row, {told.how}" if told.multi_label else "one a row")
        if told.trimmed:
            tally.detect("labels trimmed", f"{told.trimmed:,} had spaces around them")
    groups = pa.nulls(rows, pa.string())
    if columns.group:
        groups = groups_of(raw, columns.group)

    why = np.zeros(rows, np.int8)  # 0 kept, else place in `reasons`
    reasons = ("", "missing_label", "empty_text", "nul_bytes", "huge_cell")
    if labelled:
        why[_where(pc.is_null(target))] = 1
    why[_where(pc.equal(pc.utf8_trim_whitespace(texts), ""))] = 2
    for column in (texts, labels):
        why[_where(pc.match_substring(column, "\0"))] = 3
        why[_where(pc.greater(pc.binary_length(column), LONGEST_CELL))] = 4
    lines = raw.column(LINE).to_numpy()
    for row in np.flatnonzero(why):
        tally.skip(reasons[why[row]], int(lines[row]))

    arrays = {"id": pa.nulls(rows, pa.string()), "line": raw.column(LINE), "source": raw.column(SOURCE),
              "group": groups, "split": splits_of(raw, columns.split), "target": target, "text": texts}
    for name in raw.column_names:
        if name not in (columns.text, columns.label, columns.group, columns.split, *OURS):
            free = name
            while free in arrays:
                free += "_"
            arrays[free] = raw.column(name)
    table = pa.table(arrays)
    if why.any():
        table = table.take(pa.array(np.flatnonzero(why == 0)))
    _entities(table, tally)
    names = ids(_values(table.column("text")), _values(table.column("target")))
    return Dataset(table.set_column(0, "id", pa.array(names, pa.string())))


def _where(mask: pa.ChunkedArray) -> Any:
    """Positions where a mask is true; null counts as false."""
    import numpy as np

    return np.flatnonzero(mask.fill_null(False).to_numpy())


def _values(column: pa.ChunkedArray) -> Iterator[Any]:
    for chunk in column.chunks:
        for at in range(0, len(chunk), 50_000):
            yield from chunk.slice(at, 50_000).to_pylist()


def _entities(table: pa.Table, tally: Tally) -> None:
    import pyarrow.compute as pc

    found = table.select(["text", "line"]).filter(pc.match_substring_regex(table.column("text"), ENTITY))
    if found.num_rows:
        tally.kept["html_entities"] = found.num_rows
        tally.lines["html_entities"] = found.column("line")[:LINES_SHOWN].to_pylist()
        tally.examples["html_entities"] = list(dict.fromkeys(
            match for text in found.column("text")[:100].to_pylist() for match in re.findall(ENTITY, text)))[:5]


def _say(columns: Columns, tally: Tally) -> Iterator[str]:
    """Put the columns into `detected`, and say those that were guessed."""
    for what in ("text", "label", "group", "split"):
        name = getattr(columns, what)
        if name is not None:
            tally.detected[f"{what} column"] = name
            if what in columns.guessed:
                others = columns.others[:3] if what == "label" else ()
                also = f" ({' or '.join(map(repr, others))} might be)" if others else ""
                yield f"The {what} column is {name!r}: guessed{also}; name it to be sure."
    if columns.guessed:
        tally.detected["guessed"] = ", ".join(f"{what} column" for what in columns.guessed)


def table_of(source: Given | Mapping[str, Given], named: Sequence[str | None], encoding: str | None,
             delimiter: str | None, tally: Tally, progress: Progress, *, documents: bool = False,
             inside: str | None = None) -> tuple[pa.Table, str, int]:
    """All rows of all sources as one table, their names for people, and how many rows were found.

    Args:
        named: columns that must be there.
        documents: a folder holds documents or source files.
        inside: a column in whose objects the first of `named` may be instead.

    Raises:
        NotFound, DataError: the source cannot be read, lacks a column, or no row is left.
    """
    names = [name for name in named if name]
    raw, where = gather(pairs_of(source), Options(encoding, delimiter, tuple(names), documents=documents), tally,
                        progress)
    found = raw.num_rows + sum(tally.skipped.values())
    if not raw.num_rows:
        raise nothing_left(where, found, tally)
    columns = [name for name in raw.column_names if name not in OURS]
    for column in names:
        if column not in columns and not (inside in columns and column == named[0]):
            raise NotFound(f"{where} has no column {column!r}.", f"It has: {', '.join(columns[:20]) or 'none'}.")
    return raw, where, found


def reading(raw: pa.Table, where: str, found: int, tally: Tally, places: Sequence[int], names: Sequence[str],
            texts: Sequence[str], *, group: str | None, used: Sequence[str | None] = (), targets: Any = None,
            **more: Any) -> Reading:
    """What was read, of the rows at these places.

    Args:
        raw, where, found: of `table_of`.
        names, texts: the id and the words of each row.
        group: name of a column.
        used: columns that say no split.
        targets, more: further columns, as Arrow has them; without targets they are null.
    """
    import pyarrow as pa

    rows = pa.array(places, pa.int64())
    groups = groups_of(raw, group) if group else pa.nulls(raw.num_rows, pa.string())
    dataset = Dataset(pa.table({
        "id": pa.array(names, pa.string()), "line": raw.column(LINE).take(rows),
        "source": raw.column(SOURCE).take(rows), "group": groups.take(rows),
        "split": found_splits(raw, tally, used).take(rows),
        "target": pa.nulls(len(places), pa.string()) if targets is None else targets,
        "text": pa.array(texts, pa.large_string()), **more}))
    return Reading(dataset, where, found, dict(tally.skipped), dict(tally.detected), tally.findings())


def nothing_left(where: str, found: int, tally: Tally) -> DataError:
    """The error of a source of which no row is left: why, with the first lines."""
    if not found:
        return DataError(f"{where} has no rows.",
                         "Check that the export finished, or that the query finds something.")
    reasons = ", ".join(f"{n:,} {code} (line {', '.join(map(str, tally.lines[code][:3]))})"
                        for code, n in tally.skipped.items())
    worst = max(tally.skipped, key=lambda code: tally.skipped[code])
    return DataError(f"Not one of the {found:,} rows of {where} can be used: {reasons}.", REASONS[worst][2])
