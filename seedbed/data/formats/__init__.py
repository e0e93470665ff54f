"""Readers, one file a format, and which of them a source needs: told by its first bytes, its extension as a hint.

A reader is a function `(source, tally) -> Iterator[Chunk]`. It counts what it leaves out in the tally. A package that
gives the entry point `seedbed.readers` named `conllu` reads the files that end in `.conllu`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module

from ...plugins import Registry
from ..tally import Tally
from .conll import SUFFIXES, looks_like
from .encoding import refuse_binary
from .source import Chunk, Source

Reader = Callable[[Source, Tally], Iterator[Chunk]]


def _reader(module: str, function: str) -> Reader:
    """Imported when it is asked for."""
    return getattr(import_module(f".{module}", __name__), function)  # type: ignore[no-any-return]


BUILT_IN: dict[str, Callable[[], Reader]] = {
    "csv": partial(_reader, "delimited", "read_delimited"), "json": partial(_reader, "json_text", "read_json"),
    "jsonl": partial(_reader, "json_text", "read_jsonl"), "parquet": partial(_reader, "parquet", "read_parquet"),
    "conll": partial(_reader, "conll", "read_conll"),
    "excel": partial(_reader, "excel", "read_excel"), "folder": partial(_reader, "folder", "read_folder"),
    "documents": partial(_reader, "documents", "read_documents"),
    "sql": partial(_reader, "sql", "read_sql")}
READERS: Registry[Reader] = Registry("readers", BUILT_IN)


def chunks(source: Source, tally: Tally) -> Iterator[Chunk]:
    """The raw columns of a source, some rows at a time, in constant memory (except JSON and compressed Parquet).

    Args:
        source: what `locate` gave.
        tally: gets what is found out, and the rows that are left out.

    Raises:
        NotFound, DataError: as `read`.
    """
    name = _format(source)
    tally.detect("format", name + (f" ({source.compression})" if source.compression else ""))
    return READERS.get(name)(source, tally)


def _format(source: Source) -> str:
    """Name of the reader: by a plugin's extension or scheme, else by content, with the extension as a hint."""
    scheme = source.url.split("://")[0].split("+")[0].lower()
    for name in (scheme, source.suffix.removeprefix(".")):
        if name and name not in BUILT_IN and name in READERS:
            return name
    if source.url:
        return "sql"
    assert source.path is not None
    if source.path.is_dir():
        return "documents" if source.options.documents else "folder"
    if source.suffix == ".xlsx" and not source.compression:
        return "excel"
    head = source.head()
    if head.startswith(b"PAR1") or (head and source.suffix in (".parquet", ".pq")):
        return "parquet"
    if head.startswith(b"PK\x03\x04"):  # a workbook inside a compressed file
        return "excel"
    return _text_format(source, head)


def _text_format(source: Source, head: bytes) -> str:
    start = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace").lstrip()
    if source.suffix in (".xls", ".xlsx", ".ods"):
        refuse_binary(source.name, head)
    is_json, is_lines = source.suffix == ".json", source.suffix in (".jsonl", ".ndjson")
    if re.match(r"\[\s*[\]{]", start) or (start.startswith("[") and (is_json or is_lines)):
        return "json"
    if re.match(r'\{\s*["}]', start):
        first, _, rest = start.partition("\n")
        try:
            values = json.loads(first).values()
            lists = any(isinstance(v, list) and all(isinstance(one, dict) for one in v) for v in values)
            return "json" if lists and not rest.strip() and source.suffix != ".jsonl" else "jsonl"
        except (ValueError, RecursionError):  # the line is longer than the head, or broken, or only begins the object
            cut = not rest and not is_json and not re.match(r'\{\s*"[^"]*"\s*:\s*\[\s*\{', first)
            return "jsonl" if cut or is_lines else "json"
    if source.suffix in SUFFIXES or looks_like(start):
        return "conll"
    return "jsonl" if is_lines else "json" if is_json else "csv"
