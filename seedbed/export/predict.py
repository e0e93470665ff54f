"""Answer every row of a file: the same rows out, in the same order, in constant memory."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..data.formats.source import Options, Source, locate
from ..data.health import Finding
from ..data.tally import Tally
from ..engines.base import LABELS
from ..errors import Interrupted, NotFound, UserError
from ..progress import SILENT, Progress
from ..records import Record
from .answers import writer
from .beside import beside
from .bundle import Bundle
from .rows import Piped, Row, open_rows

ROWS, CHARACTERS = 4096, 4_000_000
"""Rows are answered this many at a time, fewer when their texts are long."""


class Answered(Record):
    """What became of a file. `read` = `predicted` + all of `skipped`."""

    read: int
    predicted: int
    skipped: dict[str, int]
    """Rows without an answer, by reason."""
    sure: int
    labels: dict[str, int]
    """Answers by label; for a multi-label task a row counts for each of its labels."""
    seconds: float
    text_column: str
    columns: list[str]
    """Names of the added columns: label, confidence, sure, reason."""
    findings: list[Finding]
    """What was skipped or mended, with line numbers."""
    out: str | None
    """The file that was written; None for a stream."""


def predict_file(bundle: Bundle, source: Path | BinaryIO, out: Path | BinaryIO, *, text: str | None = None,
                 threshold: float | None = None, as_json: bool = False, encoding: str | None = None,
                 delimiter: str | None = None, progress: Progress = SILENT) -> Answered:
    """Answer each row of a file or stream.

    CSV and TSV keep their form, and get the columns `label`, `confidence`, `sure` and `reason` (with `predicted_`
    before them where the file has such a column already). Text gives CSV, or what the extension of `out` says. JSONL
    gives JSONL. Labels of a multi-label task are joined by `|` in a table. A row that cannot be read keeps its place,
    with an empty label and the reason. The output is UTF-8.

    Args:
        source: CSV, TSV, JSONL or a text a line, compressed or not; or a binary stream, a text a line.
        out: a file, written under a temporary name and renamed when all is done; or a binary stream.
        text: the column that holds the texts; found when None.
        threshold: from which confidence an answer is sure; the bundle's own when None.
        as_json: write JSONL, whatever the source is.
        encoding, delimiter: of the source; found when None.

    Raises:
        NotFound, DataError: the source is not there or cannot be read.
        UserError: the output would overwrite the source or has a form that cannot be written; no such column.
        NoResources: the disk is full. Interrupted: Ctrl-C. In both cases no file is written.
    """
    bundle.must_give(LABELS)
    began, tally = time.monotonic(), Tally()
    place = Piped(source) if not isinstance(source, Path) else locate(
        source, Options(encoding, delimiter, tuple(name for name in (text, bundle.manifest.text_column) if name)))
    target = _target(out, place) if isinstance(out, Path) else None
    opened = open_rows(place, text, bundle.manifest.text_column, tally)
    write, columns = writer(opened, target, as_json)
    work, labels = f"predict {place.name}", Counter[str]()
    read = predicted = sure = 0
    size = place.path.stat().st_size if place.path and not place.compression else None
    progress.start(work, size, "bytes")
    try:
        with _output(target or out) as file:
            file.write(write.head())
            taken = 0
            for block in _blocks(opened.rows):
                answers = iter(bundle.predict([row.text for row in block if not row.reason], threshold=threshold))
                pairs = [(row, None if row.reason else next(answers)) for row in block]
                file.write(write.rows(pairs))
                file.flush()
                read += len(block)
                for _, answer in pairs:
                    if answer:
                        predicted += 1
                        sure += answer.sure
                        labels.update([answer.label] if isinstance(answer.label, str) else answer.label)
                progress.advance(work, opened.read_bytes() - taken)
                taken = opened.read_bytes()
    except KeyboardInterrupt:
        if target is None:
            raise
        raise Interrupted(f"Stopped after {read:,} rows. Nothing was written to {target}.",
                          "Run the same line again.") from None
    finally:
        progress.done(work)
    return Answered(read=read, predicted=predicted, skipped=tally.skipped, sure=sure,
                    labels=dict(labels.most_common()), seconds=time.monotonic() - began, text_column=opened.text,
                    columns=columns, findings=tally.findings(), out=str(target) if target else None)


def _blocks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Rows in lists that fit in memory however long the rows are."""
    block, room = list[Row](), CHARACTERS
    for row in rows:
        block.append(row)
        room -= len(row.text)
        if len(block) == ROWS or room <= 0:
            yield block
            block, room = [], CHARACTERS
    if block:
        yield block


def _target(out: Path, source: Source) -> Path:
    """Where to write, links followed.

    Raises:
        UserError: it is the source, or a folder. NotFound: its folder is not there.
    """
    target = out.expanduser().resolve()
    if source.path and target.exists() and target.samefile(source.path):
        raise UserError(f"{out} is the file that is being read.", "Name another file for the output.")
    if target.is_dir():
        raise UserError(f"{out} is a folder.", f"Name a file in it: {out / 'predictions.csv'}.")
    if not target.parent.is_dir():
        raise NotFound(f"The folder {target.parent} is not there.", f"Make it first: mkdir -p {target.parent}")
    return target


@contextmanager
def _output(out: Path | BinaryIO) -> Iterator[BinaryIO]:
    """A stream as it is; a file under a temporary name that becomes its own when all is written."""
    if not isinstance(out, Path):
        yield out
    elif out.exists() and not out.is_file():  # /dev/null, a named pipe: there is nothing to rename
        with out.open("wb") as device:
            yield device
    else:
        with beside(out) as part:
            with part.open("xb") as file:
                yield file
            part.replace(out)
