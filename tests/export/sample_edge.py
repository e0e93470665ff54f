"""A device folder answers in a process that has little memory and nothing but the runtime."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from seedbed.export import edge
from seedbed.export.bundle import Bundle, open_bundle
from seedbed.export.manifest import EngineEntry

TEXTS = ["great lovely box", "broken awful box", "", "naïve 好", "the box came on monday " * 12]
MEMORY = 512 << 20
CODE = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
for name in ('torch', 'transformers', 'seedbed', 'onnx', 'nncf', 'sklearn', 'jax'):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
""".replace("MEMORY", str(MEMORY))


def engine(bundle: Bundle, name: str) -> EngineEntry:
    return next(one for one in bundle.manifest.engines if one.name == name)


def answers_alone(bundle: Bundle, name: str, place: Path) -> None:
    """Write the folder, and hold its answers against those of the bundle's engine."""
    made = edge.write(bundle, engine(bundle, name), place / "device")
    assert made.size == sum(p.stat().st_size for p in (place / "device").iterdir() if p.name != "edge.json")
    assert 20e6 < made.peak_memory < MEMORY
    text = (place / "device" / "classify.py").read_text()
    assert len(text.splitlines()) < 50 and text.count("def open_") == 1
    done = subprocess.run([sys.executable, "-c", CODE, str(place / "device" / "classify.py"), *TEXTS],
                          capture_output=True, text=True, cwd=place)
    assert done.returncode == 0 and "rror" not in done.stderr, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    expected = [one.scores for one in open_bundle(bundle.folder, engine=name).predict(TEXTS)]
    assert [list(one) for one in said] == [["bad", "good"]] * len(TEXTS)
    assert np.allclose([list(one.values()) for one in said], [list(one.values()) for one in expected], atol=0.02)
