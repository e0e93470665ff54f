"""`seedbed judge`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..workflow.config import TuneConfig
from . import show
from .options import flags


@flags(TuneConfig, only=("judge", "judge_model", "judge_tokens"))
def judge(
    config: TuneConfig,
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder of `seedbed train`.")],
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON for programs.")] = False,
) -> None:
    """Which answers a judge model and people prefer, and whether they agree.

    With --judge, a model is asked about the answers to the test rows before and after training; what it said already
    is not asked again. It writes RUN/judged.csv: choose between the two answers of a row in its column `person` (1,
    2 or tie), of as many rows as you like, and call `seedbed judge RUN` again.
    """
    from ..evaluate.judge import said
    from ..workflow.judging import SHEET
    from ..workflow.judging import judge as ask
    from .train import figures

    done = ask(folder, config, progress=show.bar())
    show.close()
    if json:
        show.json(done.result)
        return
    for sentence in said(done.result, str(folder)):
        show.line(sentence)
    show.line()
    figures([one for one in done.result.figures if one.name.endswith("_wins")])
    show.line()
    for what, name in (("report", "report.html"), ("your opinion, please", SHEET)):
        show.line(f"{what}: {folder / name}")
