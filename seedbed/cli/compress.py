"""`seedbed compress`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..compress.config import CompressConfig
from . import show
from .options import Json, flags

if TYPE_CHECKING:
    from ..compress.result import Compressed


@flags(CompressConfig)
def compress(
    config: CompressConfig,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A run folder, a bundle, a model folder, or a card of "
                                                               "`seedbed models`.")],
    out: Annotated[Path, typer.Option(help="The folder to write: a model folder, or a bundle where MODEL is one.")],
    texts: Annotated[str | None, typer.Option(metavar="FILE", help="Your texts, in any format that `seedbed train` "
                                                                   "(or `run`) reads, or a folder of documents; a "
                                                                   "run has its own.")] = None,
    json: Json = False,
) -> None:
    """Make a model smaller, and measure what that costs.

    Most of your texts decide what stays; the others judge the model before and after.
    """
    from ..workflow.compressing import shrink

    done = shrink(model, config, out=out, texts=texts, progress=show.bar())
    show.close()
    if json:
        show.json(done)
    else:
        tell(done, out)


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
