"""`seedbed compress`"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..compress.config import CompressConfig
from ..workflow.smaller import FloorConfig
from . import show
from .options import Json, flags

if TYPE_CHECKING:
    from ..compress.result import Compressed


@flags(FloorConfig, into="search", only=("confidence", "prefer", "to", "rows"))
@flags(CompressConfig)
def compress(
    config: CompressConfig,
    search: FloorConfig,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A run folder, a bundle, a model folder, or a card of "
                                                               "`seedbed models`.")],
    out: Annotated[Path | None, typer.Option(help="With --how the folder to write: a model folder, or a bundle where "
                                                  "MODEL is one.")] = None,
    texts: Annotated[str | None, typer.Option(metavar="FILE", help="Your texts, in any format that `seedbed train` "
                                                                   "(or `run`) reads, or a folder of documents; a "
                                                                   "run has its own.")] = None,
    json: Json = False,
) -> None:
    """Make a model smaller, and measure what that costs.

    Without --how: every form of a run's model, be it a classifier or one that writes, is tried, and the smallest
    that is proven to lose no more than the floor (1 % of the answers; 0.02 nats a token) is added to its bundle;
    where none is, the exit code is 3. With --how that is taken away, and a new model is written; most of your texts
    decide what stays, the others judge it before and after.
    """
    if not config.how:
        _search(model, replace(search, seed=config.seed, floor=config.floor), json)
        return
    from ..errors import UserError
    from ..workflow.compressing import shrink

    if out is None:
        raise UserError("--how writes a new model, and no folder is named.", "Name one with --out FOLDER.")
    done = shrink(model, config, out=out, texts=texts, progress=show.bar())
    show.close()
    if json:
        show.json(done)
    else:
        tell(done, out)


def _search(model: str, config: FloorConfig, json: bool) -> None:
    """The smallest form that is proven."""
    from ..errors import QualityFloor
    from ..evaluate.report import forms
    from ..evaluate.report import smaller as said
    from ..workflow.smaller import smaller

    found = smaller(model, config, progress=show.bar())
    show.close()
    if json:
        show.json(found)
    else:
        columns, rows = forms.table(found)
        show.table(columns, rows)
        show.line()
    if found.chosen is None:
        raise QualityFloor(said.headline(found), "Accept a larger loss with --floor, or give the run more test rows.")
    if not json:
        for line in (said.headline(found), *said.fallen(found)):
            show.line(line)
        verb = "generate" if found.writes else "predict"
        show.line(f'try it: seedbed {verb} {model} --engine {found.chosen} "..."')


def tell(done: Compressed, out: Path) -> None:
    """Print what was taken away, what it cost, and where the model is."""
    from ..evaluate.report import wording as w
    from .train import figures

    for step in done.steps:
        show.line(step.said)
    parameters, size = done.parameters, done.size
    show.line(f"{parameters['before']:,} parameters before, {parameters['after']:,} after "
              f"({parameters['after'] / parameters['before']:.1%}); {w.size(size['before'])} on disk before, "
              f"{w.size(size['after'])} after; {w.seconds(done.seconds)}.")
    for note in done.notes:
        show.line(note)
    show.line()
    figures(done.figures)
    show.line()
    show.line(f"{'bundle' if done.kind == 'classifier' else 'model'}: {out}")
