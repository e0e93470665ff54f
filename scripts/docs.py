"""Write the parts of docs/ that come from the code: the command line's help, the errors, the settings.

A test fails when a page is stale; `make docs` writes them again.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from seedbed import errors, settings
from seedbed.cli import VERBS, command, door, load

ROOT = Path(__file__).parent.parent
WIDTH = 100


def commands() -> Iterator[tuple[list[str], Any, typer.Context]]:
    """Every verb and verb of a verb: its words after `seedbed`, the command, a context to ask it for help in."""
    root = command()
    top = typer.Context(root, info_name="seedbed", terminal_width=WIDTH, max_content_width=WIDTH,
                        help_option_names=["--help", "-h"])
    yield [], root, top
    for verb in VERBS:
        yield from _within([verb], load(verb), top)


def _within(words: list[str], one: Any, parent: typer.Context) -> Iterator[tuple[list[str], Any, typer.Context]]:
    context = typer.Context(one, info_name=words[-1], parent=parent)
    yield words, one, context
    for name, inner in getattr(one, "commands", {}).items():
        yield from _within([*words, name], inner, context)


def cli() -> str:
    """docs/cli.md, whole."""
    parts = ["# The command line\n\nThis page is made from the program by `make docs`. How to use a verb well stands "
             "on a page of its own: see [the index](index.md).\nWhat each exit code means: [errors](errors.md).\n"]
    for words, one, context in commands():
        title = " ".join(["seedbed", *words])
        text = "\n".join(line.rstrip() for line in one.get_help(context).strip().splitlines())
        parts.append(f"{'#' * (2 + max(0, len(words) - 1))} {title}\n\n```text\n{text}\n```\n")
    parts.append("## Settings\n\nSettings come from the environment. Nothing else is read from it.\n\n"
                 "| variable | meaning |\n| --- | --- |\n"
                 + "".join(f"| `{name}` | {meaning} |\n" for name, meaning in settings.VARIABLES.items()))
    return "\n".join(parts)


def error_table() -> str:
    """The table of error classes in docs/errors.md."""
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.UserError)]
    rows = []
    for kind in sorted(kinds, key=lambda kind: (kind.exit_code, kind.code)):
        about = (inspect.getdoc(kind) or "").splitlines()[0]
        rows.append(f"| {kind.exit_code} | `{kind.code}` | {kind.http_status} | `{kind.__name__}` | {about} |\n")
    rows.append(f"| {door.DEFECT} | `internal_error` | 500 | any other exception | A defect in Seedbed: the "
                "traceback is kept in `crashes` in the home folder, without secrets. |\n")
    return "| exit code | code | HTTP | class | meaning |\n| --- | --- | --- | --- | --- |\n" + "".join(rows)


def put(page: str, name: str, text: str) -> str:
    """The page with the text between its two marks of that name.

    Raises:
        ValueError: the marks are not there.
    """
    made, count = re.subn(f"(<!-- made: {name} -->\n).*?(<!-- end: {name} -->)",
                          lambda found: f"{found[1]}\n{text}\n{found[2]}", page, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"the marks of {name} are there {count} times")
    return made


def pages() -> dict[Path, str]:
    """Every page with something made in it, as it should be."""
    told = ROOT / "docs" / "errors.md"
    return {ROOT / "docs" / "cli.md": cli(), told: put(told.read_text(), "errors", error_table())}


def main() -> None:
    for path, text in pages().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
