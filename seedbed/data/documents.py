"""Read documents and source files into a dataset whose texts a model goes on with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..progress import SILENT, Progress
from .dataset import Dataset, ids
from .formats.documents import is_code
from .gather import LINE, SOURCE, Given
from .read import LONGEST_CELL, Reading, nothing_left, reading, table_of
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
    import pyarrow.compute as pc

    tally = Tally()
    raw, where, found = table_of(source, ("text", group), encoding, delimiter, tally, progress, documents=True)
    texts, lines = pc.fill_null(as_text(raw.column("text")), "").to_pylist(), raw.column(LINE).to_pylist()
    why = ["empty_text" if not text.strip() else "nul_bytes" if "\0" in text else
           "huge_cell" if len(text) > LONGEST_CELL else "" for text in texts]
    for line, reason in zip(lines, why, strict=True):
        if reason:
            tally.skip(reason, line)
    kept = [row for row, reason in enumerate(why) if not reason]
    if not kept:
        raise nothing_left(where, found, tally)
    texts, sources = [texts[row] for row in kept], raw.column(SOURCE).to_pylist()
    code = sum(is_code(Path(sources[row])) for row in kept)
    tally.detect("form", "source files" if code == len(texts) else "documents" if not code else
                 f"{len(texts) - code:,} documents and {code:,} source files")
    return reading(raw, where, found, tally, kept, ids(texts, [None] * len(texts)), texts, group=group)


def codes(dataset: Dataset) -> list[bool]:
    """Whether each row is of a source file, by the name of its source."""
    return [is_code(Path(source)) for source in dataset.column("source")]
