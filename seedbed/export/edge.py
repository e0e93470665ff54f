"""A folder for a small device: an artefact, a runner of some fifty lines, a page for browsers where it is asked for,
and what it takes on disk and in memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    name, needed = RUNNERS[bundle.yard.gives], (artefact.package, "tokenizers", "numpy")
    task = {**bundle.manifest.task, "temperature": bundle.manifest.temperature}
    with begun(folder) as part:
        artefact.save(part)
        packages = fill(part, name, runner(entry.kind, name), task, needed)
        page = write_page(bundle, entry, artefact, part / PAGE, parts) if parts else None
        peak = _try(bundle, entry, part / name)
        return finish(part, folder, Edge(folder=str(folder), engine=entry.name, size=size(part), peak_memory=peak,
                                         packages=packages, page=page))


@contextmanager
def begun(folder: Path) -> Iterator[Path]:
    """A folder under another name, for `finish` to rename; where that is not reached, nothing is left."""
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    with beside(folder.absolute()) as part:
        yield part


def fill(part: Path, name: str, code: str, task: dict[str, Any], needed: Sequence[str]) -> list[str]:
    """Write the runner, `task.json` and `requirements.txt` beside an artefact; the packages with their versions."""
    packages = [f"{one}=={version(one)}" for one in needed]
    (part / name).write_text(code, encoding="utf-8")
    (part / "requirements.txt").write_text("".join(f"{line}\n" for line in packages))
    (part / "task.json").write_text(json.dumps(task, ensure_ascii=False, indent=1), encoding="utf-8")
    return packages


def size(part: Path) -> int:
    """Bytes on disk, as `Edge.size` counts them."""
    return sum(path.stat().st_size for path in part.iterdir() if path.name != PAGE)


def finish(part: Path, folder: Path, made: Edge) -> Edge:
    """Write down what was measured, and give the folder its name."""
    (part / "edge.json").write_text(made.model_dump_json(indent=1, exclude={"folder"}))
    if folder.exists():
        folder.rmdir()
    part.rename(folder)
    return made


def runner(kind: str, name: str, file: str = "runner.py", other: str = "onnx") -> str:
    """What answers in the folder: of the functions of `runner.py` that open a model only the one for this kind, and
    of those that answer only the one that the runner is called by.

    Args:
        name: what the runner is called.
        file: another such file of this room.
        other: a kind that it has.

    Raises:
        UserError: there is none.
    """
    whole = Path(__file__).with_name(file).read_text("utf-8")
    if f"def open_{kind}(" not in whole:
        raise UserError(f"There is no runner for {kind}.", f"Name another target first: --to {other} --edge FOLDER")
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
    lines, peak = ran(file, entry.name, [probes.texts[i] for i in places])
    told = [json.loads(line) for line in lines]
    said = [np.array(list(one.values()) if isinstance(one, dict) else one) for one in told]
    yard = bundle.yard
    found = yard.worst([yard.apart(mine, yard.values(probes.answers[i]))
                        for mine, i in zip(said, places, strict=True)])
    limit = yard.limit(LIMITS[entry.certificate.precision])
    if not yard.fits(found, limit):
        raise defect(entry.name, f"answers otherwise: {yard.told(found, limit)}")
    return peak


def defect(name: str, said: str) -> QualityFloor:
    """The error of an artefact's runner that does not do what the artefact does in the bundle."""
    return QualityFloor(f"The runner of {name} {said}.", "This is a defect of the runner: use the bundle itself.")


def ran(file: Path, name: str, words: Sequence[str]) -> tuple[list[str], int]:
    """Run a runner in a process of its own: the lines that it printed, and its memory at the peak.

    Args:
        name: of the artefact.
        words: its command line.

    Raises:
        QualityFloor: it fails.
    """
    done = subprocess.run([sys.executable, "-c", MEASURED, str(file), *words], capture_output=True, encoding="utf-8",
                          errors="replace", stdin=subprocess.DEVNULL)
    told = done.stderr.strip().splitlines() or ["it said nothing"]
    if done.returncode:
        raise defect(name, f"fails in a process of its own: {told[-1]}")
    return done.stdout.split("\n")[:-1], int(told[-1])
