"""Excel (.xlsx): the first sheet; its lines are the rows of the sheet."""

from __future__ import annotations

import datetime
import zipfile
import zlib
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any
from xml.etree.ElementTree import ParseError

import openpyxl

from ...errors import DataError
from ..tally import Tally
from .dialect import has_header, said, unique_names
from .source import Chunk, Source, to_array, to_chunks

Cells = tuple[Any, ...]
SAMPLE = 200
"""Rows that the header and the number of columns are told from."""


def read_excel(source: Source, tally: Tally) -> Iterator[Chunk]:
    """The rows of the first sheet that holds any. Empty rows are not rows.

    Raises:
        DataError: the workbook is damaged or empty, or has only a header.
    """
    try:
        with source.whole() as raw:
            book = openpyxl.load_workbook(raw, read_only=True, data_only=True)
            yield from _rows(source, tally, book)  # sheets are parsed only now, so damage may show late
    except (zipfile.BadZipFile, zlib.error, ParseError, KeyError, ValueError, OSError, EOFError) as problem:
        raise DataError(f"{source.name} cannot be read as an Excel workbook: {problem}",
                        "Open it in a spreadsheet program and save it as .xlsx again.") from None


def _rows(source: Source, tally: Tally, book: Any) -> Iterator[Chunk]:
    for sheet in book.worksheets:
        stream = _filled(sheet)
        start = list(islice(stream, SAMPLE))
        if start:
            break
    else:
        raise DataError(f"{source.name} is empty: no sheet holds a row.",
                        "Check that it was saved, and name the right file.")
    others = [s.title for s in book.worksheets if s is not sheet]
    tally.detect("sheet", sheet.title + (f" (not read: {', '.join(others)})" if others else ""))
    header, why = has_header(start[0][1], [row for _, row in start[1:]], source.options.columns)
    width = max(len(row) for _, row in start)
    names = unique_names([*(start[0][1] if header else ()), *[None] * width][:width])
    tally.detect("header", said(header, why, names))
    if header and len(start) == 1:
        raise DataError(f"{source.name} has a header and no rows in the sheet {sheet.title!r}.",
                        "Fill the first sheet, or move the sheet with the data to the front.")
    filled = ((number, (*row, *[None] * (width - len(row)))) for number, row in chain(start[header:], stream))
    yield from to_chunks(filled, names, tally, to_array)


def _filled(sheet: Any) -> Iterator[tuple[int, Cells]]:
    """(row number, cells without the empty ones at the end) of each row that holds anything."""
    if hasattr(sheet, "reset_dimensions"):
        sheet.reset_dimensions()  # the size that some programs note in the file is wrong
    for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
        row = [c.isoformat() if isinstance(c, datetime.date | datetime.time) else c for c in cells]
        while row and row[-1] in (None, ""):
            row.pop()
        if row:
            yield number, tuple(row)
