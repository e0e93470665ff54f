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
                continue
            except RecursionError:
                tally.skip("unreadable_row", number, "nested too deeply")
                continue
            if isinstance(value, dict):
                yield number, value
            else:
                tally.skip("unreadable_row", number, f"{_kind(value)} instead of an object")

    yield from _chunks(rows())


def read_json(source: Source, tally: Tally) -> Iterator[Chunk]:
    """One JSON document: a list of objects, or an object in which one key holds a list of objects.

    Raises:
        DataError: it is not valid JSON (says where), or holds no list of objects.
    """
    text = "".join(open_text(source, tally).lines())
    try:
        start = _list_of_rows(source, text, tally)
        yield from _chunks(_elements(text, start, tally))
    except json.JSONDecodeError as problem:
        raise DataError(f"{source.name}, line {problem.lineno}, column {problem.colno}: {problem.msg}.",
                        "Correct the JSON there; if the file is cut off, export it again.") from None
    except RecursionError:
        raise DataError(f"{source.name} is nested too deeply.", "Give a flat list of objects.") from None


def _list_of_rows(source: Source, text: str, tally: Tally) -> int:
    """Where the list of rows opens."""
    at = _skip(text, 0)
    if text[at:at + 1] == "[":
        return at
    lists, seen = list[tuple[str, int]](), list[str]()
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
                lists.append((str(key), start))
            at = _skip(text, end)
            if text[at:at + 1] == ",":
                at = _skip(text, at + 1)
            elif text[at:at + 1] != "}":
                raise json.JSONDecodeError("Expecting ',' or '}'", text, at)
    if len(lists) == 1 or any(key == "data" for key, _ in lists):
        key, start = next((one for one in lists if one[0] == "data"), lists[0])
        tally.detect("rows", f"the list under {key!r}")
        return start
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
        at = _skip(text, end)
        if text[at:at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at:at + 1] != "]":
            raise json.JSONDecodeError("Expecting ',' or ']'", text, at)


def _skip(text: str, at: int) -> int:
    match = SPACE.match(text, at)
    return match.end() if match else at


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a string", type(None): "null"}.get(type(value), "a number")


def _chunks(rows: Iterator[tuple[int, dict[str, Any]]]) -> Iterator[Chunk]:
    while block := list(islice(rows, CHUNK)):
        yield Chunk(to_columns([row for _, row in block]), [line for line, _ in block])
