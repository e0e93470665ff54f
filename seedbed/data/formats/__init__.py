"""Readers, one file a format. Each turns a source into chunks of columns; other packages can add more.

A reader is a function `(source, tally) -> Iterator[Chunk]`. It counts what it leaves out in the tally. A package that
gives the entry point `seedbed.readers` named `conll` reads the files that end in `.conll`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ...plugins import Registry
from ..tally import Tally
from .source import Chunk, Source

Reader = Callable[[Source, Tally], Iterator[Chunk]]


def _delimited() -> Reader:
    from .delimited import read_delimited
    return read_delimited


def _json() -> Reader:
    from .json_text import read_json
    return read_json


def _jsonl() -> Reader:
    from .json_text import read_jsonl
    return read_jsonl


def _parquet() -> Reader:
    from .parquet import read_parquet
    return read_parquet


def _excel() -> Reader:
    from .excel import read_excel
    return read_excel


def _folder() -> Reader:
    from .folder import read_folder
    return read_folder


def _sql() -> Reader:
    from .sql import read_sql
    return read_sql


BUILT_IN: dict[str, Callable[[], Reader]] = {
    "csv": _delimited, "json": _json, "jsonl": _jsonl, "parquet": _parquet, "excel": _excel, "folder": _folder,
    "sql": _sql}
READERS: Registry[Reader] = Registry("readers", BUILT_IN)
