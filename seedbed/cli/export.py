"""`seedbed export`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..workflow.exporting import ExportConfig
from . import show
from .options import Json, flags

if TYPE_CHECKING:
    from ..export.manifest import EngineEntry
    from ..workflow.exporting import Exported

LABELS = ("probability off by", "same answer", "accuracy lost, at most")
TOLD = {"embedder": ("cosine to it, at least", "same nearest document", "nDCG@10 lost, at most"),
        "tagger": ("probability off by", "same entities", "F1 of a row lost, at most")}
"""What the table says of artefacts: of those that give labels, and, by kind of the reference, of others."""


@flags(ExportConfig)
def export(
    source: Annotated[Path, typer.Argument(metavar="RUN_OR_BUNDLE", help="A run folder, or a bundle.")],
    config: ExportConfig,
    json: Json = False,
) -> None:
    """Make the model a file of another runtime, and prove that it answers the same.

    Each artefact is run by its own runtime and held against the model. One that answers otherwise is not added, and
    the exit code is 3.
    """
    from ..workflow import exporting

    done = exporting.export(source, config, progress=show.bar())
    show.close()
    if json:
        show.json(done)
        return
    if done.reference.kind == "writer":
        show.table(("engine", "MB", "reads", "writes", "divergence, nats", "same next word", "loss rises, at most"),
                   [written(one) for one in done.added])
        tell(done)
        show.line(f'Added to {done.folder}. `seedbed generate {done.folder} "..." --engine NAME` uses one; without '
                  "--engine the fastest that is proven on the machine writes.")
        return
    show.table(("engine", "MB", "speed", *TOLD.get(done.reference.kind, LABELS)),
               [row(one) for one in done.added])
    tell(done)
    show.line(f"Added to {done.folder}. `seedbed predict {done.folder} --engine NAME` uses one; without --engine the "
              "fastest that is proven on the machine answers.")


def tell(done: Exported) -> None:
    """What the folder of --edge takes, where there is one."""
    if not done.edge:
        return
    show.line(f"{done.edge.folder}: {done.edge.engine} with a runner, {done.edge.size / 1e6:.1f} MB; answering "
              f"took {done.edge.peak_memory / 1e6:.0f} MB of memory at the peak, Python included.")
    if done.edge.page:
        show.line(f"classify.html in it ({done.edge.page / 1e6:.1f} MB) answers in a browser, without a server "
                  "and without a connection. It proves itself each time it is opened, before it answers.")


def written(entry: EngineEntry) -> list[str | None]:
    """The certificate of a form that writes, for people."""
    made = entry.certificate
    assert made is not None and made.pace is not None
    rises = made.figure("rise of the loss")
    return [entry.name, f"{entry.size / 1e6:.1f}", f"{made.pace.reads:.0f} tokens/s",
            f"{made.pace.writes:.1f} tokens/s ({made.faster:.1f}x)", f"{made.figure('divergence, ') or 0:.2g}",
            f"{made.figure('same next word') or 0:.1%}", None if rises is None else f"{rises:.3f}"]


def row(entry: EngineEntry) -> list[str | None]:
    """An artefact's certificate, for people."""
    made = entry.certificate
    assert made is not None
    off, cosine = made.figure("probability"), made.figure("cosine, texts")
    same = made.figure("same ")
    return [entry.name, f"{entry.size / 1e6:.1f}", f"{made.faster:.1f}x",
            f"{off or 0:.2g}" if cosine is None else f"{cosine:.5f}", None if same is None else f"{same:.1%}",
            None if made.loss is None else f"{made.loss.bound:.1%} (of {made.loss.n:,} {made.loss.of})"]
