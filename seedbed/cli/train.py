"""`seedbed train`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..train.config import TextConfig
from ..workflow.config import TuneConfig
from . import recipe, show
from .options import Json, flags

if TYPE_CHECKING:
    from ..evaluate.figures import Figure, TuneResult
    from ..evaluate.search import Search
    from ..records import Estimate


@flags(TextConfig, "training")
@flags(TuneConfig)
def train(
    config: TuneConfig,
    training: TextConfig,
    context: typer.Context,
    source: Annotated[str | None, typer.Argument(
        metavar="FILE", help="Conversations (messages, ShareGPT, Alpaca), prompts with completions, or plain texts, "
                             "in any format that `seedbed run` reads; any table with --ask and --answer; or a folder "
                             "of documents or source files. For --task entities: doccano, Prodigy, Label Studio, "
                             "CoNLL, texts with lists of spans; for --task embed: pairs of a question and a "
                             "document.")] = None,
    out: recipe.Out = None,
    file: recipe.ConfigFile = None,
    explain: recipe.Explain = False,
    resume: recipe.Resume = None,
    json: Json = False,
) -> None:
    """Teach a model to write, to mark entities or to embed texts.

    Answers, summaries, translations, fields, code: --task says what, and how it is asked and judged.

    Only the assistant's words are learned, unless a row is plain text. The model is judged on rows that it has not
    seen, before and after. Ctrl-C keeps the state; --resume goes on.
    """
    from ..workflow import tune

    asked = recipe.new(context, config, training)
    with tune.together() as leading:
        if not leading:
            return
        if asked is None:
            done = tune.resume(str(resume), progress=show.bar())
        else:
            source, config, training, out = asked
            done = tune.finetune(source, config, training, out=out, progress=show.bar())
    show.close()
    if json:
        show.json(done.result)
    else:
        tell(done.result, done.folder.path)


def tell(result: TuneResult, folder: Path) -> None:
    """Print the verdict, the figures and where everything is."""
    from ..evaluate.judge import said
    from ..evaluate.report import wording as w
    from ..evaluate.report.tuned import trial

    show.line(result.verdict)
    show.line(f"{w.plural(result.rows['train'], 'row')} learned from, {result.tokens['learned']:,} of "
              f"{result.tokens['all']:,} tokens learned" + (
                  f", {result.tokens['cut']:,} cut off (--max-tokens)" if result.tokens["cut"] else "")
              + f"; judged on {w.plural(result.judged, 'row')} of the test split.")
    if result.search:
        _searched(result.search)
    show.line(f"{result.note}; {w.seconds(result.seconds)} in all, {w.seconds(result.training_seconds)} to train "
              f"(predicted {w.seconds(result.predicted_seconds)}), "
              f"{w.size(result.peak_memory)}" + (
                  f" (predicted {w.size(result.predicted_memory)})" if result.predicted_memory else "") + ".")
    show.line()
    figures(result.figures)
    for sentence in said(result, str(folder)):
        show.line(sentence)
    show.line()
    show.places(folder, {"report": "report.html", "bundle": "bundle", "adapter": "adapter", "figures": "result.json",
                         "your opinion, please": "judged.csv", "search": "search.svg"})
    show.line(f"try it: {trial(result.task, str(folder))}")


def figures(some: Sequence[Figure]) -> None:
    """Print a table of them."""
    columns = [name for name in ("baseline", "before", "after", "gain")
               if any(getattr(one, name) for one in some)]
    show.table(("figure (n)", *columns), [
        (f"{one.title} ({one.after.n}{', tentative' if one.after.tentative else ''})",
         *(_estimate(getattr(one, name)) for name in columns)) for one in some])


def _estimate(e: Estimate | None) -> str:
    return "" if e is None else f"{e.value:.3f} ({e.low:.3f} to {e.high:.3f})"


def _searched(found: Search) -> None:
    from ..evaluate.report import wording as w

    show.line(found.verdict)
    show.line()
    names = list(found.trials[0].options)
    show.table(("", "trial", *(name.replace("_", " ") for name in names), "validation loss", "passes", "training"), [
        ("*" if one.number == found.best else "", "0, the defaults" if not one.number else one.number,
         *(f"{one.options[name]:.3g}" for name in names), f"{one.loss:.3f}", len(one.curve), w.seconds(one.seconds))
        for one in found.leaders[:5]])
    show.line()
