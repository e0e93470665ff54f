"""The verb `runs`: what was run, what won and how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from . import show
from .options import Json

if TYPE_CHECKING:
    from ..store.records import Score

app = typer.Typer(invoke_without_command=True, no_args_is_help=False)
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="Show at most so many runs.")]
WHEN = "%Y-%m-%d %H:%M"


@app.callback()
def runs(context: typer.Context, limit: Limit = 50, json: Json = False) -> None:
    """List runs, the newest first: winner, score with interval, state. Times are of this machine's zone."""
    if context.invoked_subcommand:
        return
    from ..store import open_store

    with open_store() as store:
        found = store.runs(limit)
        where = store.where
    if json:
        show.json(found)
    elif not found:
        show.line(f"There are no runs yet in {where}.")
    else:
        show.table(["name", "task", "winner", "score", "started", "state"],
                   [[run.name, run.task, run.winner, run.score and _shown(run.score),
                     run.started.astimezone().strftime(WHEN), run.state] for run in found])


@app.command("show")
def detail(name: Annotated[str, typer.Argument(help="Name of a run, or its folder.")], json: Json = False) -> None:
    """Show one run: its data, every candidate's scores, its bundles."""
    from ..evaluate.report.wording import count, seconds, short_metric
    from ..store import open_store

    with open_store() as store:
        run = store.run(name)
    if json:
        show.json(run)
        return
    took = f", took {seconds(run.seconds)}" if run.seconds is not None else ""
    show.line(f"{run.name}: {run.state}{took}, started {run.started.astimezone().strftime(WHEN)}")
    show.line(f"folder   {run.folder}")
    if run.dataset:
        parts = ", ".join(f"{split} {count(n)}" for split, n in run.dataset.rows.items())
        show.line(f"data     {run.dataset.source} ({parts}; hash {run.dataset.hash[:12]})")
    if run.winner:
        show.line(f"winner   {run.winner}, chosen by {short_metric(run.metric)}")
    for bundle in run.bundles:
        show.line(f"bundle   {bundle.path} (format {bundle.format}, hash {bundle.hash[:12]})")
    if run.scores:
        show.line()
        show.table(["candidate", "split", "metric", "score"],
                   [[s.candidate, s.split, short_metric(s.metric), _shown(s)] for s in run.scores])


def _shown(score: Score) -> str:
    from ..evaluate.report.wording import estimate

    return estimate(score.score, score.metric)
