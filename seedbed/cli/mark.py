"""`seedbed predict` with a run of `seedbed train --task entities`: texts in, labelled spans out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..catalog.fetch import model_places
from ..errors import UserError
from . import show
from .given import given, put

if TYPE_CHECKING:
    from ..engines.marks import Marks, Tagged
    from ..export.bundle import Bundle


def tagger_in(folder: Path) -> Path | None:
    """The folder of a tagger: the one that was named, or the model of a run or a bundle."""
    return next((one for one in model_places(folder) if (one / "tagger.json").is_file()), None)


def mark(folder: Path, texts: Sequence[str] | None, file: Path | None, out: Path | None, text: str | None,
         as_json: bool, engine: str) -> None:
    """Mark texts, the rows of a file, or standard input, a text a line.

    A file or `as_json` gives a line of JSON for each text, `text` and `entities`, which `seedbed train` reads again.
    """
    found_by, texts = _opened(folder, engine), given(texts, file, text)
    found = found_by.tag(texts, show.bar())
    show.close()
    if file or as_json:
        put((_line(one, marks) for one, marks in zip(texts, found, strict=True)), out,
            f"{len(texts):,} texts, {sum(map(len, found)):,} entities")
        return
    several = len(texts) > 1
    show.table(((*(["text"] if several else []), "label", "entity", "start", "end", "confidence")), [
        (*([str(number)] if several else []), one.label, show.visible(one.text), str(one.start), str(one.end),
         f"{one.confidence:.2f}") for number, marks in enumerate(found, 1) for one in marks])


def _opened(folder: Path, engine: str) -> Bundle | Marks:
    """The bundle that a tagger's folder is in; else the tagger, as runs of earlier versions have it.

    Raises:
        UserError: there is no such engine.
    """
    from ..export.bundle import open_bundle
    from ..export.engine import AUTO
    from ..export.manifest import MANIFEST, REFERENCE

    if (folder.parent / MANIFEST).is_file():
        return open_bundle(folder.parent, engine=engine, progress=show.bar())
    if engine not in (AUTO, REFERENCE):
        raise UserError(f"{folder} holds no engine {engine!r}: it is not in a bundle.", "Leave out --engine.")
    from ..engines.tagger import Tagger

    return Tagger.open(folder)


def _line(text: str, found: Sequence[Tagged]) -> str:
    return json.dumps({"text": text, "entities": [one.model_dump() for one in found]}, ensure_ascii=False) + "\n"
