"""`seedbed generate`"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ..engines.sampling import Sampling
from ..errors import UserError
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
    engine: Annotated[str, typer.Option(help="Which form of the model in a bundle writes (`seedbed export`): "
                                             "reference, gguf-q4_k_m ...; auto is the fastest that is proven "
                                             "here.")] = "auto",
    schema: Annotated[Path | None, typer.Option(help="A file with a JSON schema, which the answer keeps to. "
                                                     "A model that was trained to extract has its own.")] = None,
    free: Annotated[bool, typer.Option("--free", help="Hold the answer to no schema.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Go on with the text as it is, without a template.")] = False,
) -> None:
    """Answer with a model that writes, word by word on standard output."""
    from ..export.writer_engine import open_author
    from ..tasks.schema import of_file
    from ..workflow.answering import form, held_to
    from ..workflow.answering import prompt as asking

    if prompt is None and sys.stdin.isatty():
        raise UserError("There is nothing to answer.", f'Give a prompt: seedbed generate {model} "..."')
    text = prompt if prompt is not None else sys.stdin.read()
    if not text.strip():
        raise UserError("There is nothing to answer: the prompt is empty.", 'seedbed generate MODEL "..."')
    if schema and free:
        raise UserError("--schema and --free cannot both be meant.", "Leave one of them out.")
    wanted = of_file(schema) if schema else ""
    progress = show.bar()
    writer, folder = open_author(model, engine, progress)
    if not wanted and not (free or raw or suffix is not None):
        wanted = held_to(form(folder), writer, progress)
    sampling = replace(sampling, schema=wanted)
    if suffix is not None:
        pieces = writer.fill(text, suffix, sampling)
    elif raw:
        pieces = writer.go_on(text, sampling)
    else:
        before = [{"role": "system", "content": system}] if system else []
        pieces = writer.answer([*before, *asking(folder, text)], sampling)
    said = ""
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
        said += piece
    show.line()
    if wanted and not _whole(said):
        progress.note(f"The answer is no whole JSON: it ended after {sampling.max_tokens} tokens, or at a stop text.")


def _whole(said: str) -> bool:
    try:
        json.loads(said)
    except ValueError:
        return False
    return True
