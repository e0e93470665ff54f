"""A model on another device learns what it learns on the CPU, and nothing of it is left behind there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
PROVEN = ("lora", "preferences", "a teacher")
"""The other cases of `on_second_device.py` were not yet seen to pass."""


@pytest.mark.slow
def test_methods_that_write_on_a_device_that_refuses_what_is_on_the_cpu(tmp_path: Path) -> None:
    paths = os.pathsep.join((str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")))
    done = subprocess.run([sys.executable, str(HERE / "on_second_device.py"), str(tmp_path), *PROVEN],
                          capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths})
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert "two devices" in found.pop("left behind")
    assert len(found) == len(PROVEN)
    for name, (here, there) in found.items():
        assert len(here) > 8 and np.allclose(here, there, rtol=1e-4), (name, here[:9], there[:9])
