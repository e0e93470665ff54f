"""A folder for a small device: an artefact, a runner of some fifty lines, a page for browsers where it is asked for,
and what it takes on disk and in memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..engines.base import LABELS, VECTOR
from ..engines.exported import Exported
from ..errors import QualityFloor, UserError
from ..records import Record
from .beside import beside
from .bundle import Bundle
from .certificate import LIMITS
from .manifest import EngineEntry
from .page import NAME as PAGE
from .page import write as write_page
from .probes import KINDS, Probes

if TYPE_CHECKING:
    from ..catalog.web import WebParts

RUNNERS = {LABELS: "classify.py", VECTOR: "embed.py"}
"""What the runner is called, by what the model gives."""
MEASURED = """
import runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
if sys.platform == "linux":  # its ru_maxrss would count the memory of the process that started this one
    peak = next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmHWM"))
else:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak, file=sys.stderr)
"""
"""Runs a file and says on standard error how many bytes of memory it took at the peak."""


class Edge(Record):
    """What was written, and measured by running it."""

    folder: str
    engine: str
    size: int
    """Bytes on disk, without the packages and without the page."""
    peak_memory: int
    """Bytes of the runner's process, Python and packages included, while it answered probe texts of every length."""
    packages: list[str]
    """All that must be installed for the runner, with versions."""
    page: int | None = None
    """Bytes of `classify.html`, which needs a browser and nothing else; None where it was not asked for."""


def write(bundle: Bundle, entry: EngineEntry, folder: Path, parts: WebParts | None = None) -> Edge:
    """Write an artefact with its runner, and let the runner answer some of the bundle's probe texts in a process of
    its own.

    Args:
        bundle: that holds the artefact.
        entry: the artefact.
        folder: must not exist yet, or be empty.
        parts: of a page, where one is wanted. It proves itself in the browser that opens it.

    Raises:
        UserError: the folder is taken; the model is too large for a page.
        QualityFloor: the runner answers otherwise. Nothing was written.
    """
    from ..engines.base import load_classifier

    free(folder)
    artefact = load_classifier(bundle.folder / entry.folder)
    assert isinstance(artefact, Exported)
    packages = [f"{one}=={version(one)}" for one in (artefact.package, "tokenizers", "numpy")]
    name = RUNNERS[bundle.yard.gives]
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    with beside(folder.absolute()) as part:
        artefact.save(part)
        (part / name).write_text(runner(entry.kind, name), encoding="utf-8")
        (part / "requirements.txt").write_text("".join(f"{line}\n" for line in packages))
        task = {**bundle.manifest.task, "temperature": bundle.manifest.temperature}
        (part / "task.json").write_text(json.dumps(task, ensure_ascii=False, indent=1), encoding="utf-8")
        page = write_page(bundle, entry, artefact, part / PAGE, parts) if parts else None
        peak = _try(bundle, entry, part / name)
        size = sum(path.stat().st_size for path in part.iterdir() if path.name != PAGE)
        made = Edge(folder=str(folder), engine=entry.name, size=size, peak_memory=peak, packages=packages,
                    page=page)
        (part / "edge.json").write_text(made.model_dump_json(indent=1, exclude={"folder"}))
        if folder.exists():
            folder.rmdir()
        part.rename(folder)
    return made


def runner(kind: str, name: str) -> str:
    """What answers in the folder: `runner.py`, of its functions that open a model only the one for this kind, and of
    those that answer only the one that the file is called by.

    Raises:
        UserError: there is none.
    """
    whole = Path(__file__).with_name("runner.py").read_text("utf-8")
    if f"def open_{kind}(" not in whole:
        raise UserError(f"There is no runner for {kind}.", "Name another target first: --to onnx --edge FOLDER")
    parts = re.split(r"(?m)^(?=def |if )", whole)
    others = tuple(f"def {Path(one).stem}(" for one in RUNNERS.values() if one != name)
    kept = [part for part in parts if not part.startswith(others) and (
        not part.startswith("def open_") or part.startswith(f"def open_{kind}("))]
    return "".join(kept).replace("NAME.py", name)


def free(folder: Path) -> None:
    """Raises UserError where the folder is taken."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already.", "Name another folder, or remove it first.")


def _try(bundle: Bundle, entry: EngineEntry, file: Path) -> int:
    """Hold the runner against the bundle's stored answers; the peak memory of its process."""
    assert bundle.manifest.probes is not None and entry.certificate is not None
    probes = Probes.open(bundle.folder / bundle.manifest.probes.path)
    places = [i for kind in KINDS for i in probes.of(kind)[:2] if probes.texts[i].strip()]
    command = [sys.executable, "-c", MEASURED, str(file), *(probes.texts[i] for i in places)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
    told = done.stderr.strip().splitlines() or ["it said nothing"]
    if done.returncode:
        raise QualityFloor(f"The runner of {entry.name} fails in a process of its own: {told[-1]}.",
                           "This is a defect of the runner: use the bundle itself.")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    said = [np.array(list(one.values()) if isinstance(one, dict) else one) for one in lines]
    yard = bundle.yard
    found = yard.worst([yard.apart(mine, yard.values(probes.answers[i]))
                        for mine, i in zip(said, places, strict=True)])
    limit = yard.limit(LIMITS[entry.certificate.precision])
    if not yard.fits(found, limit):
        raise QualityFloor(f"The runner of {entry.name} answers otherwise: {yard.told(found, limit)}.",
                           "This is a defect of the runner: use the bundle itself.")
    return int(told[-1])
