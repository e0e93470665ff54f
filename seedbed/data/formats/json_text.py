"""JSON: a list of objects, or an object that holds one (`{"data": [...]}`); and JSONL, one object a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from ...errors import DataError
from ..tally import Tally
from .encoding import open_text
from .source import CHUNK, Chunk, Source, to_columns

SPACE = re.compile(r"[ \t\n\r]*")
decode = json.JSONDecoder(strict=False).raw_decode
"""Not strict: control characters inside strings are taken as they are; other programs write them."""
HUGE_NUMBER = "a number of thousands of digits"
MOST_CELLS = 50_000_000
"""Of a chunk; more come from keys that change with every row, and would fill the memory with empty cells."""


def read_jsonl(source: Source, tally: Tally) -> Iterator[Chunk]:
    """One JSON object a line. A line that is not an object is left out."""
    text = open_text(source, tally)

    def rows() -> Iterator[tuple[int, dict[str, Any]]]:
        for number, line in enumerate(text.lines(), 1):
            stripped = line.strip()
            if not stripped:
                continue
            try:
                value, end = decode(stripped)
                if stripped[end:].strip():
                    raise json.JSONDecodeError("More text after the object", stripped, end)
            except json.JSONDecodeError as problem:
                tally.skip("unreadable_row", number, f"{problem.msg} at character {problem.pos + 1}")
            except ValueError:
                tally.skip("unreadable_row", number, HUGE_NUMBER)
            except RecursionError:
                tally.skip("unreadable_row", number, "nested too deeply")
            else:
                if isinstance(value, dict):
                    yield number, value
                else:
                    tally.skip("unreadable_row", number, f"{_kind(value)} instead of an object")

    yield from _chunks(source, rows())


def read_json(source: Source, tally: Tally) -> Iterator[Chunk]:
    """One JSON document: a list of objects, or an object in which one key holds a list of objects.

    Raises:
        DataError: it is not valid JSON (says where), or holds no list of objects.
    """
    text = "".join(open_text(source, tally).lines())
    try:
        start = _list_of_rows(source, text, tally)
        yield from _chunks(source, _elements(text, start, tally))
    except json.JSONDecodeError as problem:
        raise DataError(f"{source.name}, line {problem.lineno}, column {problem.colno}: {problem.msg}.",
                        "Correct the JSON there; if the file is cut off, export it again.") from None
    except ValueError:
        raise DataError(f"{source.name} holds {HUGE_NUMBER}.", "Write it as a string.") from None
    except RecursionError:
        raise DataError(f"{source.name} is nested too deeply.", "Give a flat list of objects.") from None


def _list_of_rows(source: Source, text: str, tally: Tally) -> int:
    """Where the list of rows opens."""
    at = _skip(text, 0)
    if text[at:at + 1] == "[":
        return at
    lists, seen = dict[str, int](), list[str]()
    if text[at:at + 1] == "{":
        at = _skip(text, at + 1)
        while text[at:at + 1] != "}":
            key, end = decode(text, at)
            at = _skip(text, end)
            if text[at:at + 1] != ":":
                raise json.JSONDecodeError("Expecting ':'", text, at)
            start = _skip(text, at + 1)
            value, end = decode(text, start)
            seen.append(str(key))
            if isinstance(value, list) and any(isinstance(v, dict) for v in value):
                lists[str(key)] = start
            at = _next(text, end, "}")
    if len(lists) == 1 or "data" in lists:
        key = "data" if "data" in lists else next(iter(lists))
        tally.detect("rows", f"the list under {key!r}")
        return lists[key]
    found = f"the keys {', '.join(seen[:10])}" if seen else "no object"
    raise DataError(f"{source.name} holds no list of objects: it has {found}.",
                    'Give [{"text": ..., "label": ...}, ...] or {"data": [...]}, or one object a line (.jsonl).')


def _elements(text: str, at: int, tally: Tally) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of the list that opens at `at`, each with its line."""
    line, counted = 1, 0
    at = _skip(text, at + 1)
    while text[at:at + 1] != "]":
        line, counted = line + text.count("\n", counted, at), at
        value, end = decode(text, at)
        if isinstance(value, dict):
            yield line, value
        else:
            tally.skip("unreadable_row", line, f"{_kind(value)} instead of an object")
        at = _next(text, end, "]")


def _next(text: str, at: int, close: str) -> int:
    """Where the next element begins, after its comma, or where `close` stands.

    Raises:
        JSONDecodeError: neither follows.
    """
    at = _skip(text, at)
    if text[at:at + 1] == ",":
        return _skip(text, at + 1)
    if text[at:at + 1] != close:
        raise json.JSONDecodeError(f"Expecting ',' or '{close}'", text, at)
    return at


def _skip(text: str, at: int) -> int:
    match = SPACE.match(text, at)
    return match.end() if match else at


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a string", type(None): "null"}.get(type(value), "a number")


def _chunks(source: Source, rows: Iterator[tuple[int, dict[str, Any]]]) -> Iterator[Chunk]:
    while block := list(islice(rows, CHUNK)):
        keys = len({key for _, row in block for key in row})
        if keys * len(block) > MOST_CELLS:
            raise DataError(f"{source.name} has {keys:,} different keys in {len(block):,} objects, "
                            "too many for columns.",
                            "Give every object the same keys; what changes from row to row belongs into values.")
        yield Chunk(to_columns([row for _, row in block]), [line for line, _ in block])
