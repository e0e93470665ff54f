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
    from ..evaluate.frontier import Frontier


@flags(FloorConfig, into="proof", only=("confidence", "prefer", "to", "rows"))
@flags(CompressConfig)
def compress(
    config: CompressConfig,
    proof: FloorConfig,
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
    decide what stays, the others judge it before and after. With --how and --search both: several plans of what is
    taken away, each in every form.
    """
    from ..errors import UserError

    floor = replace(proof, seed=config.seed, floor=config.floor)
    if not config.how and config.search:
        raise UserError("--search tries plans of what is taken away, and --how names nothing.",
                        "Add --how vocabulary,layers,mlp, or leave --search out to try forms alone.")
    if not config.how:
        from ..workflow.smaller import smaller

        _found(model, smaller(model, floor, progress=show.bar()), json)
    elif out is None:
        raise UserError("--how writes a new model, and no folder is named.", "Name one with --out FOLDER.")
    elif config.search and texts is not None:
        raise UserError("--search proves its choice on a run's own rows, and --texts names others.",
                        "Leave --texts out, or --search.")
    elif config.search:
        from ..workflow.plan_search import search as search_plans

        _found(model, search_plans(model, config, floor, out=out, progress=show.bar()), json)
    else:
        from ..workflow.compressing import shrink

        done = shrink(model, config, out=out, texts=texts, progress=show.bar())
        show.close()
        if json:
            show.json(done)
        else:
            tell(done, out)


def _found(model: str, found: Frontier, json: bool) -> None:
    """Print the forms that were tried, and which is proven."""
    from ..errors import QualityFloor
    from ..evaluate.report import forms
    from ..evaluate.report import smaller as said

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
        form = found.chosen.rsplit(", ", 1)[-1]
        show.line(f'try it: seedbed {verb} {found.folder or model} --engine {form} "..."')


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
