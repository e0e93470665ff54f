"""A folder of text files: one folder a class (`folder/<label>/*.txt`), or one a split and in it one a class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from ...errors import DataError
from ..columns import split_of
from ..tally import Tally
from .encoding import open_text
from .source import CHUNK, Chunk, Source, readable, to_columns

TEXTS = (".txt", ".text", ".md")
LONGEST = 16_000_000
"""Bytes of a text file that are read; more is no document."""


def read_folder(source: Source, tally: Tally) -> Iterator[Chunk]:
    """One row a text file: columns `text`, `label` and, where the first level of folders are splits, `split`.

    Raises:
        DataError: there is no folder a class with text files in it.
    """
    assert source.path is not None
    found = list(_texts(source.path, tally))
    if not found:
        raise _no_classes(source.path)
    inner = [path.relative_to(source.path).parts for path in found]
    splits = all(split_of(parts[0]) and len(parts) > 2 for parts in inner)
    tally.detect("classes", f"from the {'folders in the splits folders' if splits else 'folders'}")
    files = zip(found, inner, strict=True)
    while block := list(islice(files, CHUNK)):
        texts = [(_text(path, source, tally), parts) for path, parts in block]
        rows = [({"text": text, "label": parts[splits], **({"split": parts[0]} if splits else {})},
                 readable(str(Path(source.name, *parts)))) for text, parts in texts if text is not None]
        if rows:
            yield Chunk(to_columns([values for values, _ in rows]), [1] * len(rows), [name for _, name in rows])


def _texts(folder: Path, tally: Tally) -> Iterator[Path]:
    """Text files below a class's folder, in order of name; other files are counted."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if any(p.startswith(".") for p in parts) or not path.is_file():
            continue
        if len(parts) > 1 and path.suffix.lower() in TEXTS:
            yield path
        else:
            tally.remark("ignored_files", 1, readable(str(Path(*parts))))


def _text(path: Path, source: Source, tally: Tally) -> str | None:
    """The text of a file; None when it is left out, which is counted."""
    size = path.stat().st_size
    if size == 0:
        return ""
    if size > LONGEST:
        tally.skip("huge_cell", 1, readable(path.name))
        return None
    try:
        mine = Tally()
        text = "".join(open_text(replace(source, name=readable(path.name), path=path), mine).blocks())
    except DataError as problem:
        empty = "is empty" in problem.message
        if not empty:
            tally.skip("binary_file", 1, problem.message)
        return "" if empty else None
    for what, value in mine.detected.items():
        tally.detect(what, value)
    if mine.kept:
        tally.remark("undecodable", 1, readable(path.name), mine.kept["undecodable"])
    return text


def _no_classes(folder: Path) -> DataError:
    names = [p.name for p in sorted(folder.iterdir()) if not p.name.startswith(".")]
    tables = [n for n in names if Path(n).suffix.lower() in (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".xlsx")]
    if tables:
        return DataError(f"{folder} is a folder, and has no folder a class with .txt files in it.",
                         f"Name one of its files: {', '.join(tables[:5])}.")
    listed = ", ".join(names[:8]) or "nothing"
    return DataError(f"{folder} has no folder a class with .txt files in it: it holds {listed}.",
                     "Make one folder for each label, with one .txt file for each example.")
