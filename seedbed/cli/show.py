"""How verbs speak: results on standard output, progress and notes on standard error.

A result stays readable in a pipe: nothing is cut or coloured there.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..progress import SILENT, Progress

if TYPE_CHECKING:
    from .bars import Listener

_quiet = False
_open: list[Listener] = []


def be_quiet(quiet: bool) -> None:
    """`--quiet`: no progress and no notes. Results are shown all the same."""
    global _quiet
    _quiet = quiet


def line(text: str = "") -> None:
    """One line of a result."""
    _write(text + "\n")


def places(folder: Path, names: Mapping[str, str]) -> None:
    """A line for each of these files and folders that is there, by what it is."""
    for what, name in names.items():
        if (folder / name).exists():
            line(f"{what}: {folder / name}")


def json(value: Any) -> None:
    """A result for programs: dataclasses, records, paths and arrays are turned into plain JSON."""
    from pydantic_core import to_json

    _write(to_json(value, indent=2, inf_nan_mode="constants", fallback=lambda array: array.tolist()).decode() + "\n")


def mark(text: str) -> str:
    """A text that stands out: green on a terminal, in brackets in a pipe."""
    return f"\033[32m{text}\033[0m" if sys.stdout.isatty() else f"⟦{text}⟧"


def visible(text: str) -> str:
    """A text of the data as it may be shown: its control characters, which a terminal would obey, as `\\x1b`."""
    return "".join(f"\\x{ord(c):02x}" if unicodedata.category(c) == "Cc" and c not in "\n\t" else c for c in text)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table; a column of numbers is aligned to the right, None is shown as a dash.

    Args:
        columns: headings.
        rows: one value a column; each is shown as `str` gives it.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = [["–" if value is None else str(value) for value in row] for row in rows]
    terminal = sys.stdout.isatty()
    width = None
    if not terminal:  # a pipe has no width: as wide as the widest cells
        widest = [max(map(cell_len, column)) for column in zip(columns, *shown, strict=True)]
        width = sum(widest) + 2 * len(columns) + 2
    out = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for at, name in enumerate(columns):
        numbers = rows and all(isinstance(row[at], int | float | None) for row in rows)
        out.add_column(Text(name), justify="right" if numbers else "left", overflow="fold")
    for row in shown:
        out.add_row(*map(Text, row))
    console = Console(file=sys.stdout, width=width, color_system="auto" if terminal else None, highlight=False)
    with console.capture() as captured:
        console.print(out)
    _write("".join(f"{text.rstrip()}\n" for text in captured.get().splitlines()))


def bar() -> Progress:
    """A listener for long work: bars with the time left on a terminal, a line now and then elsewhere.

    It needs no closing: the command line's door closes what an error left open.
    """
    if _quiet:
        return SILENT
    from .bars import Bars, Lines

    listener = Bars() if sys.stderr.isatty() else Lines()
    _open.append(listener)
    return listener


def close() -> None:
    """Close every bar, so that nothing is drawn over what comes next."""
    while _open:
        _open.pop().close()


def _write(text: str) -> None:
    for listener in _open:
        listener.pause()
    sys.stdout.write(text)
    for listener in _open:
        listener.go_on()
