"""The texts that `seedbed predict` is given, for models that do not give labels, and the lines that they become."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from . import show


def given(texts: Sequence[str] | None, file: Path | None, text: str | None) -> list[str]:
    """The texts themselves, those of a file's rows, or standard input's, one a line.

    Args:
        text: the file's column of texts; found when None.

    Raises:
        NotFound, DataError: the file is not there or cannot be read.
    """
    if not file:
        return list(texts or (line for line in sys.stdin.read().splitlines() if line.strip()))
    from ..data.read import read

    listener = show.bar()
    reading = read(file, text=text, labelled=False, progress=listener)
    for finding in reading.findings:
        listener.note(f"{finding.message} {finding.fix}")
    listener.note(f"{reading.read:,} rows read, {reading.kept:,} answered.")
    return list(reading.dataset.texts)


def put(lines: Iterable[str], out: Path | None, told: str) -> None:
    """Write lines to a file, and say so; or to standard output.

    Raises:
        NoResources: the disk is full; no file is left.
    """
    if not out:
        sys.stdout.writelines(lines)
        return
    from ..export.beside import beside

    with beside(out.absolute()) as part:
        with part.open("x", encoding="utf-8") as opened:
            opened.writelines(lines)
        part.replace(out)
    show.line(f"Written to {out}: {told}.")
