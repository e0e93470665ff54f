"""Time and memory of a form of a model, measured in a process of its own that does nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import CorruptFile
from ..evaluate.costs import Pace, Speed
from ..models.paired import row_of, source_of
from ..records import Record

SECONDS = 3.0
ROUNDS = 2
"""How often a model that writes reads and writes the same; the last time counts."""
CODE = "from seedbed.export import measured; measured.{}()"


class Measured(Record):
    """What a form costs on this machine."""

    speed: Speed | None = None
    """Of a classifier."""
    pace: Pace | None = None
    """Of a model that writes."""
    load: float
    """Seconds until it was open, with its runtime."""
    memory: int
    """Peak resident bytes of the process: the runtime, the model, and what answering took."""


def measure(folder: Path, texts: Sequence[str], seconds: float = SECONDS) -> Measured:
    """Open a classifier in a fresh process and answer.

    Args:
        folder: what `engines.base.load_classifier` opens.
        texts: real texts, for speed depends on length.
        seconds: to spend on answering.

    Raises:
        CorruptFile: it cannot be opened there.
    """
    return _alone("answer", folder, {"texts": list(texts), "seconds": seconds})


def measure_writer(folder: Path, model: Path, target: str, ids: Sequence[int]) -> Measured:
    """Open a form of a model that writes in a fresh process, read a text and write the end of it token by token.

    Args:
        folder: as a target of `targets.writers` wrote it.
        model: folder of the reference, for its tokenizer; the same as `folder` where it is what is measured.
        target: name of that target, empty for the reference.
        ids: tokens of the text.

    Raises:
        CorruptFile: it cannot be opened there.
    """
    return _alone("write", folder, {"model": str(model.absolute()), "target": target, "ids": list(ids),
                                    "source": source_of(ids)})


def _alone(what: str, folder: Path, asked: dict[str, Any]) -> Measured:
    given = json.dumps({"folder": str(folder.absolute()), **asked})
    done = subprocess.run([sys.executable, "-c", CODE.format(what)], input=given, capture_output=True, text=True,
                          check=False, encoding="utf-8", errors="replace")
    if done.returncode:
        said = next(iter(reversed(done.stderr.strip().splitlines())), f"exit code {done.returncode}")
        raise CorruptFile(f"{folder.name} cannot be run in a process of its own: {said[:300]}.",
                          "Take another target or precision.")
    return Measured.model_validate_json(done.stdout.strip().splitlines()[-1])


def answer() -> None:
    """What the process of a classifier does: it reads what `measure` asks, and prints one line."""
    asked, begun = json.load(sys.stdin), time.monotonic()
    from ..engines.base import load_classifier
    from ..evaluate.speed import measure_speed
    from ..machine import peak_memory

    model = load_classifier(Path(asked["folder"]))
    load = time.monotonic() - begun
    speed = measure_speed(model.logits, asked["texts"], seconds=asked["seconds"])
    print(Measured(speed=speed, load=load, memory=peak_memory()).model_dump_json())


def write() -> None:
    """What the process of a model that writes does, likewise."""
    asked, begun = json.load(sys.stdin), time.monotonic()
    from ..engines.writer import Writer
    from ..machine import peak_memory
    from .targets.writers import WRITERS
    from .writer_reference import paced, timed

    folder, model, ids = Path(asked["folder"]), Path(asked["model"]), row_of(asked["ids"], asked["source"])
    pace = None
    if asked["target"]:
        runtime = WRITERS.get(asked["target"]).author(folder, model).runtime
        load = time.monotonic() - begun
        for _ in range(ROUNDS):
            runtime.forget()
            pace = timed(ids, lambda all_, new: runtime.logits(all_))
    else:
        root = Writer.open(folder).backbone.root
        load = time.monotonic() - begun
        for _ in range(ROUNDS):
            pace = paced(root, ids)
    print(Measured(pace=pace, load=load, memory=peak_memory()).model_dump_json())
