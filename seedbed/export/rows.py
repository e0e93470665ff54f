"""The rows of a file to be answered: one by one, in order, those that cannot be read among them with the reason.

Encoding, delimiter and header are found by the data room; here nothing is left out, because every row that comes in
must come out again.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, BinaryIO, NamedTuple

from ..data.formats.delimited import SAMPLE, Rows
from ..data.formats.dialect import has_header, sniff, unique_names
from ..data.formats.encoding import Text, open_text
from ..data.formats.source import Source
from ..data.tally import Tally
from ..errors import DataError, UserError

FORMATS = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".txt": "txt", ".jsonl": "jsonl", ".ndjson": "jsonl"}


class Row(NamedTuple):
    """One row as it came.

    Args:
        values: its cells, or for JSONL its object.
        text: what is to be classified.
        reason: why it cannot be; empty when it can.
    """

    values: list[str] | dict[str, Any]
    text: str
    reason: str = ""


@dataclass
class Opened:
    """A source whose columns are known.

    Args:
        format: csv, tsv, txt or jsonl.
        names: its columns; for JSONL those of the first object.
        text: the column that holds the texts.
        header: the first row as the file has it; None when it has none.
        rows: all rows, once.
        read_bytes: how much of the source the rows so far took.
        delimiter: between fields.
        bom: the file begins with a byte order mark, as Excel wants it.
    """

    format: str
    names: list[str]
    text: str
    header: list[str] | None
    rows: Iterator[Row]
    read_bytes: Callable[[], int]
    delimiter: str = ","
    bom: bool = False


class Piped(Source):
    """A stream, read once, as it arrives."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__("standard input", suffix=".txt")
        object.__setattr__(self, "stream", stream)

    def blocks(self, size: int = 1 << 20) -> Iterator[bytes]:
        stream: Any = self.stream  # type: ignore[attr-defined]
        return iter(lambda: getattr(stream, "read1", stream.read)(size), b"")


class _Lines:
    """Counts the bytes of lines that go by, and keeps those of the row that is being read."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self.number, self.bytes = lines, 0, 0
        self._kept: deque[str] = deque()

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.number += 1
            self.bytes += len(line) if line.isascii() else len(line.encode("utf-8", "surrogatepass"))
            self._kept.append(line)
            yield line

    def forget_before(self, number: int) -> None:
        while self._kept and self.number - len(self._kept) + 1 < number:
            self._kept.popleft()

    def at(self, number: int) -> str:
        return self._kept[number - (self.number - len(self._kept) + 1)]


@dataclass
class _Rejects(Tally):
    """A tally that shares its counts with another, and hands out the lines that were left out."""

    raw: Callable[[int], str] = str
    waiting: list[tuple[str, str]] = field(default_factory=list)

    def skip(self, code: str, line: int, example: str = "") -> None:
        super().skip(code, line, example)
        self.waiting.append((self.raw(line), f"{code}: {example}"))


def open_rows(source: Source, text: str | None, trained_on: str | None, tally: Tally) -> Opened:
    """Open a source of rows.

    Args:
        source: a file of one of `FORMATS`, compressed or not, or `Piped`.
        text: the column that the user named.
        trained_on: the column that held the texts in training.
        tally: counts what cannot be read.

    Raises:
        DataError: the file is empty, binary, of mixed encodings, or of a format that cannot be streamed.
        UserError: it is not clear which column holds the texts.
    """
    known = FORMATS.get(source.suffix)
    if known is None:
        raise DataError(f"{source.name} is not a file whose rows can be answered one by one.",
                        "Save it as CSV, TSV, JSONL (.jsonl) or a text a line (.txt).")
    decoded = Text(source, "utf-8") if isinstance(source, Piped) else open_text(source, tally)
    lines = _Lines(decoded.lines())
    opener = {"csv": _delimited, "tsv": _delimited, "txt": _plain, "jsonl": _json_lines}[known]
    opened = opener(source, lines, [name for name in (text, trained_on, "text") if name], text, tally)
    opened.format, opened.bom = known, decoded.encoding == "utf-8-sig"
    return opened


def _plain(source: Source, lines: _Lines, wanted: list[str], named: str | None, tally: Tally) -> Opened:
    def rows() -> Iterator[Row]:
        for number, line in enumerate(lines, 1):
            lines.forget_before(number + 1)
            text = line.rstrip("\r\n")
            yield Row([text], text, _empty(text, number, tally))

    return Opened("txt", ["text"], "text", ["text"], rows(), lambda: lines.bytes)


def _delimited(source: Source, lines: _Lines, wanted: list[str], named: str | None, tally: Tally) -> Opened:
    rejects = _Rejects(tally.detected, tally.skipped, tally.kept, tally.lines, tally.examples, raw=lines.at)
    stream = iter(lines)
    sample = list(islice(stream, SAMPLE))
    dialect = sniff(sample, source.options.delimiter, "\t" if source.suffix in (".tsv", ".tab") else ",")
    reader = Rows(chain(sample, stream), dialect, rejects)

    def all_rows() -> Iterator[tuple[int, list[str], str]]:
        """(line, cells, reason), those that could not be parsed in their places."""
        for line, cells in chain(reader, [(lines.number + 1, list[str]())]):
            for raw, reason in rejects.waiting:
                yield 0, raw.rstrip("\r\n").split(dialect.delimiter), reason
            rejects.waiting.clear()
            lines.forget_before(line)
            if cells:
                yield line, cells, ""

    parsed = all_rows()
    start = list(islice(parsed, SAMPLE))
    good = [cells for _, cells, reason in start if not reason]
    if not good:
        raise DataError(f"{source.name} has no row that can be read.", "Check that it is a table, one row a line.")
    header, _ = has_header(good[0], good[1:], wanted)
    width = reader.columns = len(good[0]) if header else dialect.columns
    names = unique_names(good[0] if header else [""] * width)
    text = _column(names, wanted, named, source.name)
    at = names.index(text)
    if header:
        start.remove(next(one for one in start if not one[2]))

    def rows() -> Iterator[Row]:
        for line, cells, reason in chain(start, parsed):
            if len(cells) > width and not any(cells[width:]):
                cells = cells[:width]  # a delimiter at the end of the line
            if len(cells) != width and not reason:
                reason = f"wrong_columns: {len(cells)} columns instead of {width}"
                tally.skip("wrong_columns", line, f"{len(cells)} columns instead of {width}")
            if reason:  # what is too much goes into the last cell, so that the new columns stand in their places
                cells = [*cells[:width - 1], dialect.delimiter.join(cells[width - 1:])]
                yield Row(cells + [""] * (width - len(cells)), "", reason)
            else:
                yield Row(cells, cells[at], _empty(cells[at], line, tally))

    return Opened("csv", names, text, good[0] if header else None, rows(), lambda: lines.bytes, dialect.delimiter)


def _json_lines(source: Source, lines: _Lines, wanted: list[str], named: str | None, tally: Tally) -> Opened:
    def parsed() -> Iterator[tuple[int, dict[str, Any], str]]:
        for number, line in enumerate(lines, 1):
            lines.forget_before(number + 1)
            if not line.strip():
                continue
            try:
                value = json.loads(line)
                problem = "" if isinstance(value, dict) else "not an object"
            except (ValueError, RecursionError) as error:
                problem = f"not JSON ({error})"
            if problem:
                tally.skip("unreadable_row", number, problem)
                yield number, {"unreadable": line.rstrip("\r\n")}, f"unreadable_row: {problem}"
            else:
                yield number, value, ""

    stream = parsed()
    start = list(islice(stream, SAMPLE))
    objects = [value for _, value, reason in start if not reason]
    if not objects:
        raise DataError(f"{source.name} has no line that is a JSON object.",
                        "Write one object a line, for instance {\"text\": \"...\"}.")
    names = list(dict.fromkeys(name for value in objects for name in value))
    text = _column(names, wanted, named, source.name)

    def rows() -> Iterator[Row]:
        for line, value, reason in chain(start, stream):
            found = value.get(text)
            if not reason and isinstance(found, dict | list):
                reason = f"unreadable_row: {text} is not a text"
                tally.skip("unreadable_row", line, f"{text} is not a text")
            content = "" if found is None or reason else found if isinstance(found, str) else json.dumps(found)
            yield Row(value, content, reason or _empty(content, line, tally))

    return Opened("jsonl", names, text, names, rows(), lambda: lines.bytes)


def _empty(text: str, line: int, tally: Tally) -> str:
    if text and not text.isspace():
        return ""
    tally.skip("empty_text", line)
    return "empty_text"


def _column(names: Sequence[str], wanted: Sequence[str], named: str | None, source: str) -> str:
    """The column of the texts: the named one, that of the training, one called text, or the only one."""
    folded = [name.strip().lower() for name in names]
    for one in [named] if named else wanted:
        if one in names:
            return one
        if folded.count(one.strip().lower()) == 1:
            return names[folded.index(one.strip().lower())]
    if not named and len(names) == 1:
        return names[0]
    listed = f"{', '.join(names[:20])}{' ...' if len(names) > 20 else ''}"
    if named:
        raise UserError(f"{source} has no column {named!r}.", f"Its columns: {listed}.")
    raise UserError(f"{source} has {len(names)} columns, and it is not clear which holds the texts.",
                    f"Name it with --text. Its columns: {listed}.")
