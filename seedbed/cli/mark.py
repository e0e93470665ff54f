"""`seedbed predict` with a run of `seedbed train --task entities`: texts in, labelled spans out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..catalog.fetch import model_places
from . import show
from .given import given, put

if TYPE_CHECKING:
    from ..engines.tagger import Tagged


def tagger_in(folder: Path) -> Path | None:
    """The folder of a tagger: the one that was named, or the model of a run or a bundle."""
    return next((one for one in model_places(folder) if (one / "tagger.json").is_file()), None)


def mark(folder: Path, texts: Sequence[str] | None, file: Path | None, out: Path | None, text: str | None,
         as_json: bool) -> None:
    """Mark texts, the rows of a file, or standard input, a text a line.

    A file or `as_json` gives a line of JSON for each text, `text` and `entities`, which `seedbed train` reads again.
    """
    from ..engines.tagger import Tagger

    tagger, texts = Tagger.open(folder), given(texts, file, text)
    found = tagger.tag(texts, show.bar())
    show.close()
    if file or as_json:
        put((_line(one, marks) for one, marks in zip(texts, found, strict=True)), out,
            f"{len(texts):,} texts, {sum(map(len, found)):,} entities")
        return
    several = len(texts) > 1
    show.table(((*(["text"] if several else []), "label", "entity", "start", "end", "confidence")), [
        (*([str(number)] if several else []), one.label, show.visible(one.text), str(one.start), str(one.end),
         f"{one.confidence:.2f}") for number, marks in enumerate(found, 1) for one in marks])


def _line(text: str, found: Sequence[Tagged]) -> str:
    return json.dumps({"text": text, "entities": [one.model_dump() for one in found]}, ensure_ascii=False) + "\n"
