"""Which reader a source needs: by what its first bytes are, with its extension as a hint."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from ..tally import Tally
from . import BUILT_IN, READERS
from .encoding import refuse_binary
from .source import Chunk, Options, Source, locate


def chunks(spec: str | Path, tally: Tally, options: Options = Options()) -> Iterator[Chunk]:
    """The raw columns of a source, some rows at a time, in constant memory (except JSON and compressed Parquet).

    Args:
        spec: as `source` of `read`.
        tally: gets what is found out, and the rows that are left out.

    Raises:
        NotFound, DataError: as `read`.
    """
    return chunks_of(locate(spec, options), tally)


def chunks_of(source: Source, tally: Tally) -> Iterator[Chunk]:
    """As `chunks`, for a source that was located already."""
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
        return "folder"
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
    is_json = source.suffix in (".json", ".jsonl", ".ndjson")
    if re.match(r"\[\s*[\]{]", start) or (start.startswith("[") and is_json):
        return "json"
    if start.startswith("{"):
        first, _, rest = start.partition("\n")
        try:
            values = json.loads(first).values()
            lists = any(isinstance(v, list) and all(isinstance(one, dict) for one in v) for v in values)
            return "json" if lists and not rest.strip() and source.suffix != ".jsonl" else "jsonl"
        except (ValueError, RecursionError):  # the line is longer than the head, or broken, or only begins the object
            cut = not rest and source.suffix != ".json" and not re.match(r'\{\s*"[^"]*"\s*:\s*\[\s*\{', first)
            return "jsonl" if cut or source.suffix in (".jsonl", ".ndjson") else "json"
    return "jsonl" if source.suffix in (".jsonl", ".ndjson") else "json" if source.suffix == ".json" else "csv"
