"""`seedbed verify`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import show
from .options import Json

if TYPE_CHECKING:
    from ..export.verify import Verification, Verified

DIGITS = 12


def verify(
    source: Annotated[Path, typer.Argument(metavar="RUN_OR_BUNDLE", help="A bundle, or the run folder it is in.")],
    anew: Annotated[bool, typer.Option("--anew", help="Instead make each step again, and compare: hashes of data, "
                                                      "base and adapter, both merged, each artefact.")] = False,
    json: Json = False,
) -> None:
    """Check a bundle: every file's hash, and every engine's answers.

    Each engine answers the stored probe texts again, on this machine, and is held against the reference and the
    limits of its certificate. The exit code is 3 when something fails.
    """
    if anew:
        _anew(source, json)
        return
    from ..errors import QualityFloor
    from ..export.verify import verify as check
    from ..workflow.exporting import bundle_of

    folder = bundle_of(source)
    found = check(folder, progress=show.bar())
    show.close()
    if json:
        show.json(found)
    else:
        _show(found)
    if found.failed:
        raise QualityFloor(f"{folder} is not as it was certified. {found.failed}.",
                           "Copy it again from where it was made, or export again: seedbed export")


def _anew(source: Path, json: bool) -> None:
    """Print each step that was made again, and how it compares."""
    from ..errors import QualityFloor
    from ..workflow.deriving import derive

    links = derive(source, progress=show.bar())
    show.close()
    if json:
        show.json(links)
    else:
        show.table(("step", "", ""), [(one.name, one.made, one.said) for one in links])
    wrong = next((one for one in links if one.made == "differs"), None)
    if wrong:
        raise QualityFloor(f"{source} does not come from what it names: {wrong.name}, {wrong.said}.",
                           "Copy the run again from where it was made, or train and export again.")


def _show(found: Verification) -> None:
    """The chain from the data to each artefact, and what each check found."""
    show.line(f"data       {found.data_hash[:DIGITS]}")
    show.line(f"base       {found.base_model or 'none'}{f' {found.base_hash[:DIGITS]}' if found.base_hash else ''}")
    for one in found.engines:
        source = f", made from {one.made_from[:DIGITS]}" if one.made_from else ""
        show.line(f"{one.name:<10} {one.digest[:DIGITS]}{source}, {one.files} files: {_state(one)}")
    rows = [(one.name, check.name, check.n, check.note or f"{check.found:.3g}",
             f"{'>=' if check.least else '<='} {check.limit:.3g}", "yes" if check.passed else "NO")
            for one in found.engines for check in one.checks]
    if rows:
        show.line()
        show.table(("engine", "check", "texts", "found", "limit", "passed"), rows)


def _state(one: Verified) -> str:
    return f"FAILED. {one.failed}" if one.failed else one.note or "as certified"
