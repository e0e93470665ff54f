"""`seedbed predict` with a run of `seedbed train --task embed`: texts in, vectors out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import show
from .given import given, put

ROWS = 1024
"""Texts that are answered at once; their lines are written before the next."""


def embeds(folder: Path) -> Path | None:
    """The bundle of a model that embeds: the one that was named, or that of a run."""
    from ..export.manifest import MANIFEST, Manifest

    return next((one for one in (folder / "bundle", folder) if (one / MANIFEST).is_file()
                 and Manifest.open(one).task.get("task") == "embed"), None)


def embed(folder: Path, texts: Sequence[str] | None, file: Path | None, out: Path | None, text: str | None,
          engine: str) -> None:
    """Embed texts, the rows of a file, or standard input, a text a line; each becomes a line of JSON, `text` and
    `vector`."""
    from ..export.bundle import open_bundle

    listener = show.bar()
    bundle, some = open_bundle(folder, engine=engine, progress=listener), given(texts, file, text)

    def lines() -> Iterator[str]:
        listener.start("embed", len(some), "texts")
        for at in range(0, len(some), ROWS):
            part = some[at:at + ROWS]
            for one, vector in zip(part, bundle.embed(part), strict=True):
                numbers = ", ".join(map(str, vector))  # of fp32 as short as it can be read back
                yield f"{json.dumps({'text': one}, ensure_ascii=False)[:-1]}, \"vector\": [{numbers}]}}\n"
            listener.advance("embed", len(part))
        listener.done("embed")
    put(lines(), out, f"{len(some):,} texts")
