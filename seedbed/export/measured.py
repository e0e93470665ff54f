"""Time and memory of a form of a model, measured in a process of its own that does nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import CorruptFile
from ..evaluate.costs import Speed
from ..records import Record

SECONDS = 3.0
CODE = "from seedbed.export.measured import answer; answer()"


class Measured(Record):
    """What a form costs on this machine."""

    speed: Speed
    memory: int
    """Peak resident bytes of the process: the runtime, the model, and what answering took."""


def measure(folder: Path, texts: Sequence[str], seconds: float = SECONDS) -> Measured:
    """Open a model in a fresh process and answer.

    Args:
        folder: what `engines.base.load_classifier` opens.
        texts: real texts, for speed depends on length.
        seconds: to spend on answering.

    Raises:
        CorruptFile: it cannot be opened there.
    """
    asked = json.dumps({"folder": str(folder.absolute()), "texts": list(texts), "seconds": seconds})
    done = subprocess.run([sys.executable, "-c", CODE], input=asked, capture_output=True, text=True, check=False,
                          encoding="utf-8")
    if done.returncode:
        said = next(iter(reversed(done.stderr.strip().splitlines())), f"exit code {done.returncode}")
        raise CorruptFile(f"{folder.name} cannot be run in a process of its own: {said[:300]}.",
                          "Take another target or precision.")
    return Measured.model_validate_json(done.stdout.strip().splitlines()[-1])


def answer() -> None:
    """What the process does: it reads what `measure` asks, and prints one line."""
    from ..engines.base import load_classifier
    from ..evaluate.speed import measure_speed
    from ..machine import peak_memory

    asked = json.load(sys.stdin)
    model = load_classifier(Path(asked["folder"]))
    speed = measure_speed(model.logits, asked["texts"], seconds=asked["seconds"])
    print(Measured(speed=speed, memory=peak_memory()).model_dump_json())
