"""A label column as targets: trimmed, whole numbers without `.0`, and lists where a row carries several labels."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

SEPARATORS = {"|": "pipe", ";": "semicolon", ",": "comma"}
Label = str | list[str] | None


@dataclass(frozen=True)
class Targets:
    """The labels of a column, lists of labels where there are several a row, None where there is none."""

    values: list[Label]
    multi_label: bool
    trimmed: int
    """How many had spaces around them."""
    how: str = ""
    """How several labels in a row were told, for people."""


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Any column as text: whole numbers without `.0`, lists as JSON."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    kind = column.type
    if pa.types.is_nested(kind):
        return _texts([v if v is None else json.dumps(v, ensure_ascii=False, default=str)
                       for v in column.to_pylist()])
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return _texts([v if v is None else v.decode("utf-8", "replace") for v in column.to_pylist()])
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
    return column.cast(pa.large_string())


def _texts(values: list[str | None]) -> pa.ChunkedArray:
    import pyarrow as pa

    return pa.chunked_array([pa.array(values, pa.large_string())])


def read_targets(column: pa.ChunkedArray, multi_label: bool | None, name: str) -> Targets:
    """The labels of a column.

    Args:
        column: the label column as the source has it.
        multi_label: several labels a row: True and False force it, None finds out.
        name: the column's name, for messages.

    Raises:
        DataError: rows hold lists of labels, and `multi_label` is False.
    """
    import pyarrow as pa

    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        lists = column.to_pylist()
        if multi_label is False:
            raise DataError(f"The label column {name!r} holds lists, and one label a row was asked for.",
                            "Leave the choice out, or name another column.")
        return _several([v if v is None else [str(p) for p in v if p is not None] for v in lists], "lists")
    texts = as_text(column).to_pylist()
    counts = Counter(t for t in texts if t is not None)
    word = _speller(list(counts))
    plain = {raw: word(raw) for raw in counts}
    how = "" if multi_label is False else _separator([w for w in set(plain.values()) if w], sure=bool(multi_label))
    if not multi_label and not how:
        trimmed = sum(n for raw, n in counts.items() if raw.strip() and raw.strip() != raw)
        return Targets([None if t is None else plain[t] or None for t in texts], False, trimmed)
    parts = {raw: _literal(w) if how == "lists" else w.split(how) if how else [w] for raw, w in plain.items()}
    return _several([None if t is None or not plain[t] else parts[t] for t in texts],
                    f"separated by {SEPARATORS[how]}" if how in SEPARATORS else how or "one in each row")


def _several(lists: Sequence[list[str] | None], how: str) -> Targets:
    """Lists of labels without spaces around them and without repeats. An empty list means that no label applies."""
    word = _speller(list({p for parts in lists if parts for p in parts}))
    trimmed = sum(p != p.strip() for parts in lists if parts for p in parts)
    values: list[Label] = [None if parts is None else list(dict.fromkeys(word(p) for p in parts if p.strip()))
                           for parts in lists]
    return Targets(values, True, trimmed, how)


def _speller(values: list[str]) -> Callable[[str], str]:
    """Trims; and takes `.0` off where every value is a whole number."""
    if all(re.fullmatch(r"[-+]?\d+(\.0+)?", v.strip()) for v in values if v.strip()):
        return lambda v: re.sub(r"\.0+$", "", v.strip())
    return str.strip


def _literal(text: str) -> list[str]:
    """A list written as text, as `['a', 'b']` or `["a", "b"]`; any other text is one label."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return [text]
    return [str(p) for p in value] if isinstance(value, list | tuple) else [text]


def _separator(values: list[str], sure: bool) -> str:
    """What stands between several labels in one value: `lists`, a separator, or nothing.

    A separator counts as one where its parts make more sense as labels than the whole values do: there are fewer
    different parts than values, most parts stand in several values, and no part is a sentence.
    """
    if values and all(v.startswith("[") and v.endswith("]") for v in values):
        return "lists"
    for separator in SEPARATORS:
        if not any(separator in v for v in values):
            continue
        if sure:
            return separator
        counts = Counter(p for v in values for p in {p.strip() for p in v.split(separator)})
        shared = sum(n > 1 for n in counts.values())
        if "" not in counts and len(counts) < len(values) and shared >= 0.5 * len(counts) and \
                all(len(p) <= 60 and len(p.split()) <= 4 for p in counts):
            return separator
    return ""
