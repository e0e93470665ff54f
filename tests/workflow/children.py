"""`seedbed` in processes of its own that know the tiny models: to the end, or stopped at a moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from made_tables import SEEDBED, lasting, make_cards


class Children:
    """Processes in a folder, whose home is `home` in it.

    Args:
        folder: where they work.
        models: where the tiny models are.
        alone: they have one thread each; else as many as this process, to compare with what it did itself.
    """

    def __init__(self, folder: Path, models: Path, alone: bool = True) -> None:
        self.folder = folder
        make_cards(folder / "home")
        self.environment = {**os.environ, "SEEDBED_HOME": str(folder / "home"), "SEEDBED_MODELS": str(models),
                            **({"SEEDBED_THREADS": "1", "OMP_NUM_THREADS": "1"} if alone else {})}

    def run(self, *words: str, code: int = 0, **more: Any) -> subprocess.CompletedProcess[str]:
        """To its end, which has this exit code."""
        done = subprocess.run([*SEEDBED, *words], cwd=self.folder, env=self.environment, capture_output=True,
                              text=True, check=False, **more)
        assert done.returncode == code, done.stderr
        return done

    def stop(self, words: list[str], when: Callable[[], bool], sign: signal.Signals = signal.SIGKILL) -> str:
        """Send the signal as soon as `when()`; what it said."""
        child = subprocess.Popen([*SEEDBED, *words], cwd=self.folder, env=self.environment, text=True,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        until = time.monotonic() + 240
        while not when() and child.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        child.send_signal(sign)
        _, said = child.communicate(timeout=120)
        assert child.returncode == (130 if sign == signal.SIGINT else -sign), said
        return said

    def past(self, checkpoint: str, steps: int = 0) -> Callable[[], bool]:
        """Whether there is that checkpoint in the folder, of so many steps."""
        def when() -> bool:
            try:
                return bool(json.loads((self.folder / checkpoint / "state.json").read_text())["step"] >= steps)
            except (OSError, ValueError):
                return False
        return when

    def result(self, run: str) -> dict[str, Any]:
        """What a run found, without what time and place change in it."""
        values: dict[str, Any] = json.loads((self.folder / run / "result.json").read_text())
        return lasting({**values, "config": None})  # type: ignore[no-any-return]

    def weights(self, run: str) -> bytes:
        return (self.folder / run / "bundle" / "model" / "model.safetensors").read_bytes()
