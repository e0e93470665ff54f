"""Read documents and source files into a dataset whose texts a model goes on with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import NotFound
from ..progress import SILENT, Progress
from .dataset import Dataset, ids
from .formats.documents import is_code
from .formats.source import Options
from .gather import GIVEN, LINE, SOURCE, Given, gather, groups_of, pairs_of
from .read import LONGEST_CELL, Reading, nothing_left
from .tally import Tally
from .targets import as_text


def read_documents(source: Given | Mapping[str, Given], *, group: str | None = None, encoding: str | None = None,
                   delimiter: str | None = None, progress: Progress = SILENT) -> Reading:
    """Read whole texts.

    Args:
        source: a folder of documents or source files, each a row; or a table with a column `text`; or several; or
            one for each of train, validation and test.
        group: name of a column (of a folder: `folder`, its first level); rows with the same value are never in
            different splits.
        encoding, delimiter: of delimited text and JSON; None finds out.

    Returns:
        A reading whose dataset has no targets. `detected["form"]` is documents, source files, or both.

    Raises:
        NotFound, DataError: the source cannot be read, has no texts, or no row is left.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    tally = Tally()
    options = Options(encoding, delimiter, ("text", *([group] if group else [])), documents=True)
    raw, where = gather(pairs_of(source), options, tally, progress)
    found = raw.num_rows + sum(tally.skipped.values())
    if not raw.num_rows:
        raise nothing_left(where, found, tally)
    for column in ("text", *([group] if group else [])):
        if column not in raw.column_names:
            shown = [name for name in raw.column_names if "\0" not in name]
            raise NotFound(f"{where} has no column {column!r}.", f"It has: {', '.join(shown[:20])}.")
    groups = groups_of(raw, group) if group else pa.nulls(raw.num_rows, pa.string())
    texts, lines = pc.fill_null(as_text(raw.column("text")), "").to_pylist(), raw.column(LINE).to_pylist()
    why = ["empty_text" if not text.strip() else "nul_bytes" if "\0" in text else
           "huge_cell" if len(text) > LONGEST_CELL else "" for text in texts]
    for line, reason in zip(lines, why, strict=True):
        if reason:
            tally.skip(reason, line)
    kept = [row for row, reason in enumerate(why) if not reason]
    if not kept:
        raise nothing_left(where, found, tally)
    rows, texts = pa.array(kept, pa.int64()), [texts[row] for row in kept]
    dataset = Dataset(pa.table({
        "id": pa.array(ids(texts, [None] * len(texts)), pa.string()), "line": raw.column(LINE).take(rows),
        "source": raw.column(SOURCE).take(rows), "group": groups.take(rows), "split": raw.column(GIVEN).take(rows),
        "target": pa.nulls(len(texts), pa.string()), "text": pa.array(texts, pa.large_string())}))
    code = sum(codes(dataset))
    tally.detect("form", "source files" if code == len(texts) else "documents" if not code else
                 f"{len(texts) - code:,} documents and {code:,} source files")
    return Reading(dataset, where, found, dict(tally.skipped), dict(tally.detected), tally.findings())


def codes(dataset: Dataset) -> list[bool]:
    """Whether each row is of a source file, by the name of its source."""
    return [is_code(Path(source)) for source in dataset.column("source")]
