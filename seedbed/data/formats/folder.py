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
from .source import CHUNK, Chunk, Source, to_columns

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
    splits = all(split_of(p.relative_to(source.path).parts[0]) and len(p.relative_to(source.path).parts) > 2
                 for p in found)
    at = 1 if splits else 0
    tally.detect("classes", f"from the {'folders in the splits folders' if splits else 'folders'}")
    rows = iter(found)
    while block := list(islice(rows, CHUNK)):
        values, names = list[dict[str, str | None]](), list[str]()
        for path in block:
            parts = path.relative_to(source.path).parts
            text = _text(path, source, tally)
            if text is None:
                continue
            values.append({"text": text, "label": parts[at], **({"split": parts[0]} if splits else {})})
            names.append(str(Path(source.name, *parts)))
        if values:
            yield Chunk(to_columns(values), [1] * len(values), names)


def _texts(folder: Path, tally: Tally) -> Iterator[Path]:
    """Text files below a class's folder, in order of name; other files are counted."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if any(p.startswith(".") for p in parts) or not path.is_file():
            continue
        if len(parts) > 1 and path.suffix.lower() in TEXTS:
            yield path
        else:
            tally.remark("ignored_files", 1, str(Path(*parts)))


def _text(path: Path, source: Source, tally: Tally) -> str | None:
    """The text of a file; None when it is left out, which is counted."""
    size = path.stat().st_size
    if size == 0:
        return ""
    if size > LONGEST:
        tally.skip("huge_cell", 1, str(path.relative_to(source.path or path)))
        return None
    try:
        mine = Tally()
        text = "".join(open_text(replace(source, name=path.name, path=path), mine).blocks())
    except DataError as problem:
        empty = "is empty" in problem.message
        if not empty:
            tally.skip("binary_file", 1, problem.message)
        return "" if empty else None
    for what, value in mine.detected.items():
        tally.detect(what, value)
    if mine.kept:
        tally.remark("undecodable", 1, path.name, mine.kept["undecodable"])
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
