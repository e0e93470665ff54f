"""How a delimited file is written: its delimiter, its quotes, and whether the first row is a header."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..columns import LABEL_NAMES, SPLIT_NAMES, TEXT_NAMES, words

DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "pipe"}
WORDS_OF_HEADERS = {*TEXT_NAMES, *LABEL_NAMES, *SPLIT_NAMES, "id", "name", "date", "email", "group", "lang",
                    "language", "user", "author", "summary", "source", "url", "index"}


@dataclass(frozen=True)
class Dialect:
    """How fields are told apart.

    Args:
        delimiter: the character between fields.
        quoted: fields may stand in double quotes; otherwise a double quote is a character like any other.
        escape: the character before a quote inside a quoted field; empty when quotes are doubled.
        space_after: fields may have a space before their opening quote.
        columns: the usual number of fields.
    """

    delimiter: str
    quoted: bool = True
    escape: str = ""
    space_after: bool = False
    columns: int = 0

    def settings(self) -> dict[str, Any]:
        """Arguments for `csv.reader`; strict, so that a stray quote is an error and never swallows rows unseen."""
        return {"delimiter": self.delimiter, "quoting": csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
                "escapechar": self.escape or None, "doublequote": not self.escape,
                "skipinitialspace": self.space_after, "strict": True}

    @property
    def words(self) -> str:
        return DELIMITERS.get(self.delimiter, repr(self.delimiter))


def sniff(lines: Sequence[str], delimiter: str | None = None, prefer: str = ",") -> Dialect:
    """The dialect of a sample: the delimiter that gives most rows the same number of columns.

    Args:
        lines: the first lines, with their ends.
        delimiter: what the user named.
        prefer: what the file's extension suggests, taken when two do equally well.
    """
    candidates = [delimiter] if delimiter else sorted(DELIMITERS, key=lambda d: d != prefer)
    best, best_score = Dialect(candidates[0], columns=1), -1.0
    for one in candidates:
        dialect = _quoting(lines, one)
        counts, errors = _field_counts(lines, dialect)
        if not counts:
            continue
        columns, agreeing = Counter(counts).most_common(1)[0]
        score = agreeing / (len(counts) + errors) if columns > 1 or delimiter else 0.0
        if score > best_score + 1e-9:
            best, best_score = replace(dialect, columns=columns), score
    return best


def _quoting(lines: Sequence[str], delimiter: str) -> Dialect:
    """Quotes are taken for plain characters only where several fields start with one and not one ends with it."""
    text, d = "".join(lines), re.escape(delimiter)
    opening = len(re.findall(rf'(?m)(?:^|{d})"', text))
    closed = re.search(rf'(?m)(?:^|{d}) ?"(?:[^"\\]|\\.|"")*"\r?(?:{d}|$)', text)
    if opening >= 3 and not closed:
        return Dialect(delimiter, quoted=False)
    escapes = text.count('\\"') > max(2, text.count('""'))
    spaced = text.count(f'{delimiter} "') > text.count(f'{delimiter}"') and delimiter != "\t"
    return Dialect(delimiter, True, "\\" if escapes else "", spaced)


def _field_counts(lines: Sequence[str], dialect: Dialect) -> tuple[list[int], int]:
    """Fields of each row, and how many rows could not be parsed."""
    counts, errors = list[int](), 0
    reader = csv.reader(iter(lines), **dialect.settings())
    while True:
        try:
            if row := next(reader):
                counts.append(len(row))
        except StopIteration:
            return counts, errors
        except csv.Error:
            errors += 1


def has_header(first: Sequence[Any], rows: Sequence[Sequence[Any]], named: Sequence[str]) -> tuple[bool, str]:
    """Whether the first row names the columns, and why.

    Args:
        first: the first row's cells.
        rows: some rows below it.
        named: column names that the user gave.
    """
    cells = ["" if c is None else str(c).strip() for c in first]
    filled = [c for c in cells if c]
    if any(name.strip().lower() in {c.lower() for c in cells} for name in named):
        return True, "it holds a column that was named"
    if not rows:
        return True, "there is no other row"
    if any(not isinstance(c, str | None) or re.fullmatch(r"[-+]?\d[\d.,]*", str(c).strip()) for c in first):
        return False, "it holds a number"
    values = [cell for i, cell in enumerate(cells) if cell and _repeats(cell, [r[i] for r in rows if i < len(r)])]
    value = next((cell for cell in values if not words(cell) & WORDS_OF_HEADERS), None)
    if value:  # stronger than a telling word, which a short text may hold too; but headers repeat in joined files
        return False, f"{value!r} is a value of that column"
    short = all(len(c) <= 60 and len(c.split()) <= 6 for c in filled)
    if short and any(len(words(c)) <= 3 and words(c) & WORDS_OF_HEADERS for c in filled):
        return True, "its cells are names"
    if not filled or len(set(filled)) < len(filled):
        return False, "its cells are empty or repeat"
    if not short or any(c[-1] in ".!?" for c in filled):
        return False, "it holds a sentence"
    return (False, f"{values[0]!r} is a value of that column") if values else (True, "its cells look like names")


def _repeats(cell: str, column: Sequence[Any]) -> bool:
    """The cell is one of a column's values, which repeat."""
    below = ["" if value is None else str(value).strip() for value in column]
    return cell in below and len(set(below)) < len(below)


def unique_names(cells: Sequence[Any]) -> list[str]:
    """Column names from a header: trimmed, empty ones numbered, repeats told apart."""
    names: dict[str, None] = {}  # keeps their order
    repeats: Counter[str] = Counter()
    for i, cell in enumerate(cells, 1):
        base = name = ("" if cell is None else str(cell).strip()) or f"column {i}"
        while name in names:
            repeats[base] += 1
            name = f"{base} {repeats[base] + 1}"
        names[name] = None
    return list(names)


def said(header: bool, why: str, names: Sequence[str]) -> str:
    """What was found out about a header, for people."""
    return "first row" if header else f"none ({why}); columns are named {', '.join(names[:3])} ..."
