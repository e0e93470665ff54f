"""`seedbed run`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..train.config import TrainConfig
from ..train.ladder import NOT_ASKED
from ..workflow import RunConfig
from . import recipe, show
from .options import Json, flags

if TYPE_CHECKING:
    from ..evaluate.result import Result


@flags(TrainConfig, "training")
@flags(RunConfig)
def run(
    config: RunConfig,
    training: TrainConfig,
    context: typer.Context,
    source: Annotated[str | None, typer.Argument(
        metavar="FILE", help="CSV, TSV, JSON, JSONL, Parquet or Excel file (compressed too), a folder of text "
                             "files by class, or a database URL with a query.")] = None,
    out: recipe.Out = None,
    file: recipe.ConfigFile = None,
    explain: recipe.Explain = False,
    resume: recipe.Resume = None,
    json: Json = False,
) -> None:
    """From labelled text to a proven, running small model.

    Checks the data, freezes the splits, trains candidates from cheap to dear, and takes the cheapest that is not
    statistically worse than the best. Ctrl-C keeps the state; --resume goes on.
    """
    from .. import workflow

    asked = recipe.new(context, config, training)
    if asked is None:
        done = workflow.resume(str(resume), progress=show.bar())
    else:
        source, config, training, out = asked
        done = workflow.run(source, config, training, out=out, progress=show.bar())
    show.close()
    if json:
        show.json(done.result)
    else:
        tell(done.result, done.folder.path)


def tell(result: Result, folder: Path) -> None:
    """Print the verdict, the candidates and where everything is."""
    from ..evaluate.report import story, wording

    best = result.winner
    judged = best.test or best.selection
    show.line(result.verdict.headline)
    if judged:
        right = wording.right_in(judged, bool(result.task.get("multi_label")), story.HELD[judged.split])
        show.line(f"{best.title}. {right}. {result.baseline_note}".rstrip())
    show.line(result.verdict.rule)
    if result.curve:
        show.line(result.curve.verdict)
    for caution in result.verdict.cautions:
        show.line(f"mind: {caution}")
    show.line()
    rows = []
    for one in result.candidates:
        if one.reason == NOT_ASKED:
            continue
        scores = one.test or one.selection
        rows.append(("*" if one.name == result.verdict.candidate else "", one.title,
                     wording.estimate(scores.score, scores.metric) if scores else None,
                     scores.split if scores else None,
                     wording.seconds(one.seconds) if one.status == "trained" else None,
                     wording.rate(one.speed.texts_per_second) if one.speed else None,
                     wording.size(one.size) if one.size else None,
                     one.reason if one.status != "trained" else ""))
    metric = wording.short_metric(str(result.task.get("metric", "score")))
    show.table(("", "candidate", metric, "on", "training", "texts/s", "size", ""), rows)
    show.line()
    show.places(folder, {"report": "report.html", "figures": "result.json", "bundle": "bundle"})
    if (folder / "bundle").exists():
        answer, serve = story.commands(str(folder / "bundle"))
        show.line(f"answer: {answer}")
        show.line(f"serve: {serve}")
