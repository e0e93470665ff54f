"""Write rows as CSV, TSV or JSON lines: whole or not at all, never over what is there without being told."""

from __future__ import annotations

import csv
import errno
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ..errors import NoResources, UserError

FORMATS = (".csv", ".tsv", ".jsonl")


class Writer:
    """A file that appears under its name when the last row is written; an error leaves nothing behind.

    Args:
        path: the name's end chooses the format: `.csv`, `.tsv` or `.jsonl`. Missing folders are made.
        force: replace a file that is there.
        but_not: the source that is being read, which is never replaced.

    Raises:
        UserError: another ending, a file that is there, or the source itself.
        NoResources: the disk is full.
    """

    def __init__(self, path: Path, *, force: bool = False, but_not: str | Path | None = None) -> None:
        if path.suffix.lower() not in FORMATS:
            raise UserError(f"{path} does not say a format that can be written.", f"End it in {', '.join(FORMATS)}.")
        if but_not is not None and path.exists() and Path(but_not).exists() and path.samefile(but_not):
            raise UserError(f"{path} is the file that is read.", "Choose another name for --out.")
        if path.exists() and not force:
            raise UserError(f"{path} is there already.", "Choose another name, or replace it with --force.")
        self.path, self._part = path, path.with_name(f".{path.name}.part")
        self._columns: list[str] | None = None
        with disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = self._part.open("w", encoding="utf-8", newline="")

    def write(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Some more rows, as columns of equal length; all calls have the same columns, or fewer."""
        with disk(self.path):
            if self.path.suffix.lower() == ".jsonl":
                for row in zip(*columns.values(), strict=True):
                    self._file.write(_json(dict(zip(columns, row, strict=True))) + "\n")
                return
            out = csv.writer(self._file, delimiter="," if self.path.suffix.lower() == ".csv" else "\t")
            if self._columns is None:
                self._columns = list(columns)
                out.writerow(self._columns)
            if new := [name for name in columns if name not in self._columns]:
                raise UserError(f"Later rows have columns that the first ones lack: {', '.join(new)}.",
                                "Write JSON lines instead: end the name in .jsonl.")
            count = len(next(iter(columns.values()), ()))
            filled = [columns.get(name, [None] * count) for name in self._columns]
            out.writerows([_json(cell) if isinstance(cell, list | dict) else cell for cell in row]
                          for row in zip(*filled, strict=True))

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        try:
            with disk(self.path):
                self._file.close()  # the last bytes may be what the disk has no room for
                if kind is None:
                    self._part.replace(self.path)
        finally:
            self._part.unlink(missing_ok=True)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


@contextmanager
def disk(path: Path) -> Iterator[None]:
    """Turns what the system says while that path is written into the errors of ours."""
    try:
        yield
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoResources(f"The disk is full: {path} could not be written.",
                              "Free some space and run it again.") from None
        raise UserError(f"{path} cannot be written: {problem.strerror}.", "Choose another place for it.") from None
