"""CSV and its relatives. Rows that do not parse are left out one by one, each with its line.

The parser is the csv module in strict mode. It says so when a quote is not where it belongs; the row is then read by
`_tolerant`, which takes a quote for the closing one only before a delimiter or a line's end. A quote that opens and
never closes would swallow the rest of the file: it is found because the row runs on for too long, or because the
lines inside it look like rows of their own. Then only the line where it opens is left out.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice

from ...errors import DataError
from ..tally import Tally
from .dialect import Dialect, has_header, said, sniff, unique_names
from .encoding import open_text
from .source import Chunk, Source, to_chunks

LINES_IN_ROW, CHARACTERS_IN_ROW = 10_000, 64_000_000
"""A row that runs on for longer has a quote that is never closed."""
SAMPLE = 1_000
"""Lines to find the dialect from, and rows below the header to tell it from data."""

LINES_TO_MEND = 50
"""How far a row with stray quotes is followed to its end."""

Row = list[str]


class _RunsOn(Exception):
    """A row has become too long."""


def read_delimited(source: Source, tally: Tally) -> Iterator[Chunk]:
    """CSV, TSV and other delimited text.

    Raises:
        DataError: the file is empty, binary, of mixed encodings, or has only a header.
    """
    import pyarrow as pa

    skipped = sum(tally.skipped.values())
    lines = open_text(source, tally).lines()
    sample = list(islice(lines, SAMPLE))
    dialect = sniff(sample, source.options.delimiter, "\t" if source.suffix in (".tsv", ".tab") else ",")
    tally.detect("delimiter", dialect.words)
    if not dialect.quoted:
        tally.detect("quotes", "none: a double quote is a character like any other")
    rows = Rows(chain(sample, lines), dialect, tally)
    stream = iter(rows)
    start = list(islice(stream, SAMPLE))
    if not start:
        raise DataError(f"{source.name} has no row that can be read.", "Check that it is a table, one row a line.")
    header, why = has_header(start[0][1], [row for _, row in start[1:]], source.options.columns)
    width = len(start[0][1]) if header else dialect.columns
    names = unique_names(start[0][1] if header else [""] * width)
    tally.detect("header", said(header, why, names))
    if header and len(start) == 1 and sum(tally.skipped.values()) == skipped:
        raise DataError(f"{source.name} has a header and no rows.", "Check that the export finished.")
    rows.columns = width
    cut = ((line, row if any(row[width:]) else row[:width])  # a delimiter at the end of the line is no column
           for line, row in chain(start[header:], stream))
    yield from to_chunks(cut, names, tally, partial(pa.array, type=pa.large_string()))


class Rows:
    """Iterates over (line where the row starts, cells). Blank lines are not rows.

    Args:
        lines: the text, with line ends.
        dialect: how it is written.
        tally: counts rows that cannot be read.
    """

    def __init__(self, lines: Iterator[str], dialect: Dialect, tally: Tally) -> None:
        self.dialect, self.tally, self.columns = dialect, tally, dialect.columns
        self._lines = lines
        self._pending: list[str] = []  # lines of the row that is being read
        self._back: deque[str] = deque()  # lines that a row took and gave back
        self._taken = 1  # lines of the row that was mended last

    def __iter__(self) -> Iterator[tuple[int, Row]]:
        if csv.field_size_limit() < CHARACTERS_IN_ROW:
            csv.field_size_limit(CHARACTERS_IN_ROW)  # process-wide, so it is only ever raised
        line, pending = 1, self._pending
        reader = self._reader()
        while True:
            try:
                for row in reader:
                    if len(pending) > 2 and self._holds_rows(pending):
                        raise _RunsOn
                    if row:
                        yield line, row
                    line += len(pending)
                    pending.clear()
                return
            except (csv.Error, _RunsOn) as problem:
                mended = self._mend(line, runs_on=isinstance(problem, _RunsOn))
                if mended:
                    yield line, mended
                line += self._taken
                reader = self._reader()

    def _reader(self) -> Iterator[Row]:
        return csv.reader(self._feed(), **self.dialect.settings())

    def _next_lines(self) -> Iterator[str]:
        while (line := self._back.popleft() if self._back else next(self._lines, None)) is not None:
            yield line

    def _feed(self) -> Iterator[str]:
        length = 0
        for line in self._next_lines():
            length = len(line) + (length if self._pending else 0)
            self._pending.append(line)
            if len(self._pending) > LINES_IN_ROW or length > CHARACTERS_IN_ROW:
                raise _RunsOn
            yield line

    def _holds_rows(self, pending: list[str]) -> bool:
        """Nearly every line of this one row has as many delimiters as a whole row: too many to be chance."""
        each = self.columns - 1
        return len(pending) * each >= 12 and \
            sum(line.count(self.dialect.delimiter) == each for line in pending) >= 0.9 * len(pending)

    def _mend(self, line: int, runs_on: bool) -> Row | None:
        """The row that starts the pending lines, read tolerantly; None when it is left out. Other lines go back."""
        pending = self._pending
        row, self._taken = _tolerant(pending[:1], self.dialect, self.columns), 1
        if row is None or len(row) != self.columns:
            row = self._plain(pending[0])
        if row is None and not runs_on:
            pending.extend(islice(self._next_lines(), LINES_TO_MEND))
            row = _tolerant(pending, self.dialect, self.columns)
            self._taken = sum(cell.count("\n") for cell in row or ()) + 1
            if row and (len(row) != self.columns or self._holds_rows(pending[:self._taken])
                        or any(self._is_quoted_row(one) for one in pending[1:self._taken])):
                row = None
        self._taken = self._taken if row else 1
        self._back.extendleft(reversed(pending[self._taken:]))
        pending.clear()
        if row is None:
            self.tally.skip("unbalanced_quote", line, "a double quote opens here and does not end its field")
        else:
            self.tally.remark("stray_quotes" if any('"' in cell for cell in row) else "stray_returns", line)
        return row

    def _plain(self, line: str) -> Row | None:
        """The line with quotes as plain characters, where that can be meant: they come in pairs, or tabs delimit."""
        row = line.rstrip("\r\n").replace("\r", " ").split(self.dialect.delimiter)
        meant = line.count('"') % 2 == 0 or self.dialect.delimiter == "\t"
        return row if meant and len(row) == self.columns else None

    def _is_quoted_row(self, line: str) -> bool:
        """The line is a whole row by itself and has a quoted field, so it is hardly the inside of another."""
        if not line.startswith('"') and f'{self.dialect.delimiter}"' not in line:
            return False
        return len(_tolerant([line], self.dialect, self.columns) or ()) == self.columns


def _tolerant(lines: list[str], dialect: Dialect, columns: int) -> Row | None:
    """One row in which a quote inside a quoted field need not be doubled: only a quote before a delimiter, or in the
    last column before a line's end, closes the field. None when a quote opens and never closes."""
    text, row, at = "".join(lines), list[str](), 0
    d, inside = re.escape(dialect.delimiter), r'[^"\\]|\\.' if dialect.escape else r'[^"]|""'
    start = r" *" if dialect.space_after else ""
    plain = re.compile(rf"[^{d}\n]*")
    while True:
        end = r"\r?(?:\n|\Z)" if len(row) + 1 == columns else d
        # Possessive, so that a quote which never closes fails at once instead of after every way to read the others.
        quoted = re.compile(rf'{start}"((?:{inside}|"(?!{end}))*+)"', re.S).match(text, at)
        if quoted:
            row.append(quoted.group(1).replace('""', '"'))
            at = quoted.end()
        else:
            field = plain.match(text, at)
            assert field is not None
            if re.match(rf'{start}"', field.group()):
                return None
            row.append(field.group().rstrip("\r").replace("\r", " "))
            at = field.end()
        if text[at:at + 1] != dialect.delimiter:
            return row
        at += 1
