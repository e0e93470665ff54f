"""`seedbed generate`"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..engines.sampling import Sampling
from ..errors import NotFound, UserError
from . import show
from .options import flags


@flags(Sampling, "sampling")
def generate(
    sampling: Sampling,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A run folder of `seedbed train`, a model folder, or "
                                                               "a card of `seedbed models`.")],
    prompt: Annotated[str | None, typer.Argument(help="What to answer; standard input when not given.")] = None,
    system: Annotated[str | None, typer.Option(help="The system's message, before the prompt.")] = None,
    suffix: Annotated[str | None, typer.Option(help="Write what stands between the prompt and this text, with models "
                                                    "that fill in the middle.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Go on with the text as it is, without a template.")] = False,
) -> None:
    """Answer with a model that writes, word by word on standard output."""
    from ..engines.writer import Writer
    from ..workflow.answering import prompt as asking

    folder = _folder(model)
    text = prompt if prompt is not None else sys.stdin.read()
    if not text.strip():
        raise UserError("There is nothing to answer: the prompt is empty.", 'seedbed generate MODEL "..."')
    writer = Writer.open(folder)
    if suffix is not None:
        pieces = writer.fill(text, suffix, sampling)
    elif raw:
        pieces = writer.go_on(text, sampling)
    else:
        before = [{"role": "system", "content": system}] if system else []
        pieces = writer.answer([*before, *asking(folder, text)], sampling)
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
    show.line()


def _folder(model: str) -> Path:
    """The model's folder.

    Raises:
        NotFound: there is none of that name.
    """
    from ..catalog.fetch import pull_writer

    place = Path(model)
    if (place / "model").is_dir():
        return place / "model"
    if place.is_dir():
        return place
    try:
        return pull_writer(model, show.bar())
    except NotFound as problem:
        raise NotFound(f"{problem.message.rstrip('.')}, nor a folder of that name.", problem.hint) from None
