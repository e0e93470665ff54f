"""How answered rows are written: as a table with new columns, or as JSON objects with new keys."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from ..errors import UserError
from .bundle import Prediction
from .rows import FORMATS, Opened, Row

ADDED = ("label", "confidence", "sure", "reason")
BETWEEN_LABELS = "|"

Answer = tuple[Row, Prediction | None]


class Writer(Protocol):
    """Turns answered rows into UTF-8."""

    def head(self) -> bytes:
        """What comes before the first row."""

    def rows(self, answers: Iterable[Answer]) -> bytes:
        """Some rows."""


class TableWriter:
    """CSV or TSV: the cells as they came, then the added columns."""

    def __init__(self, opened: Opened, added: Sequence[str], delimiter: str) -> None:
        self._opened, self._added, self._delimiter = opened, added, delimiter

    def head(self) -> bytes:
        bom = b"\xef\xbb\xbf" if self._opened.bom else b""
        return bom + self._encode([[*self._opened.header, *self._added]] if self._opened.header else [])

    def rows(self, answers: Iterable[Answer]) -> bytes:
        return self._encode([*row.values, *self._cells(row, answer)] for row, answer in answers)

    def _cells(self, row: Row, answer: Prediction | None) -> list[str]:
        if answer is None:
            return ["", "", "", row.reason]
        label = answer.label if isinstance(answer.label, str) else BETWEEN_LABELS.join(answer.label)
        return [label, f"{answer.confidence:.4f}", "yes" if answer.sure else "no", ""]

    def _encode(self, rows: Iterable[Iterable[str]]) -> bytes:
        out = io.StringIO()
        csv.writer(out, delimiter=self._delimiter, lineterminator="\n").writerows(rows)
        return out.getvalue().encode("utf-8", "surrogatepass")


class JsonWriter:
    """JSONL: the keys as they came, then the added ones; `reason` only where there is one."""

    def __init__(self, opened: Opened, added: Sequence[str]) -> None:
        self._names, self._added = opened.names, added

    def head(self) -> bytes:
        return b""

    def rows(self, answers: Iterable[Answer]) -> bytes:
        return b"".join(map(self._line, answers))

    def _line(self, pair: Answer) -> bytes:
        row, answer = pair
        values = row.values if isinstance(row.values, dict) else dict(zip(self._names, row.values, strict=True))
        new: list[Any] = [None, None, None, row.reason]
        if answer is not None:
            new = [answer.label, round(answer.confidence, 4), answer.sure]
        whole = {**values, **dict(zip(self._added, new, strict=False))}
        try:
            return (json.dumps(whole, ensure_ascii=False) + "\n").encode()
        except UnicodeEncodeError:  # half an emoji: only an escape can write it
            return (json.dumps(whole) + "\n").encode()


def writer(opened: Opened, target: Path | None, as_json: bool) -> tuple[Writer, list[str]]:
    """The writer for a source and a target, and the names of the added columns.

    Raises:
        UserError: the target's extension asks for a form that cannot be written.
    """
    form = "csv" if opened.format == "txt" else opened.format
    if as_json:
        form = "jsonl"
    elif target and target.suffix:
        asked = FORMATS.get(target.suffix.lower())
        if asked is None:
            raise UserError(f"{target.name} has an extension that predict does not write.",
                            "Name the output .csv, .tsv or .jsonl.")
        form = form if asked == "txt" else asked
        if opened.format == "jsonl" and form != "jsonl":
            raise UserError(f"JSONL rows can differ in their keys and do not fit the table {target.name}.",
                            f"Name the output {target.with_suffix('.jsonl').name}.")
    added = _free(opened.names)
    if form == "jsonl":
        return JsonWriter(opened, added), added
    same = opened.format == form and opened.format in ("csv", "tsv")
    return TableWriter(opened, added, opened.delimiter if same else "\t" if form == "tsv" else ","), added


def _free(names: Sequence[str]) -> list[str]:
    """Names of the added columns, none of which the source has; all with one prefix, so that they stay together."""
    prefix, count = "", 1
    while any(prefix + name in names for name in ADDED):
        prefix = "predicted_" if count == 1 else f"predicted_{count}_"
        count += 1
    return [prefix + name for name in ADDED]
