"""docs/export-matrix.md, which the tests of exporters hold to what they find, or write (`make matrix`)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import tiny
from filelock import FileLock

from seedbed.export.targets import TARGETS
from seedbed.export.targets.writers import WRITERS

PAGE = Path(__file__).parents[2] / "docs" / "export-matrix.md"
WRITES = bool(os.environ.get("SEEDBED_WRITE_MATRIX"))
FOUR, UNTRIED = ("int4", "q4_k_m"), "untried"
TITLES = {"classify": "Models that give labels", "embed": "Models that embed",
          "entities": "Models that mark entities", "write": "Models that write"}
FAMILIES = {"classify": (*tiny.FAMILIES, "falcon", "lfm2"), "embed": tiny.FAMILIES,
            "entities": [one for one in tiny.FAMILIES if one != "gemma3"], "write": tiny.WRITERS}
HEAD = """# What can be exported

A tiny model of each architecture is exported to each target, run by that runtime and held against the model (its
certificate, see [export.md](export.md) and [export-writers.md](export-writers.md)). This page is what the tests found
(`make matrix`); a test fails where it is stale.

- *works*: it passed.
- *refused*: seedbed says no beforehand, or the exporter cannot express it.
- *differs*: it answers otherwise than the model, so it is not added.
- *untried*: no test exports it. `seedbed export` tries it, and its certificate decides.

4 bits are not in the table: whether they do is a matter of the weights, and those here are random numbers. Models
that write have heads 16 wide, and Mistral has no sliding window, but where a test of its own gives it one. Gemma 3
marks no entities: transformers has no such model.
"""


def forms(task: str) -> list[str]:
    """Targets with their precisions, as `--to` names them."""
    targets = WRITERS if task == "write" else TARGETS
    return [f"{target.name}:{precision}" for target in map(targets.get, targets)  # type: ignore[arg-type]
            for precision in target.precisions if precision not in FOUR]


def told(task: str, family: str, form: str, outcome: str, reason: str = "") -> None:
    """That a test found this: the page must say so, or is told so."""
    if WRITES:
        with FileLock(Path(tempfile.gettempdir()) / "seedbed-matrix.lock"):  # of the other workers
            _tell(task, family, form, outcome, reason)
    else:
        _tell(task, family, form, outcome, reason)


def _tell(task: str, family: str, form: str, outcome: str, reason: str) -> None:
    cells, reasons = read()
    target = form.partition(":")[0]
    line = f"- {family}, `{target if outcome == 'refused' else form}`, {outcome}: {reason}" if reason else ""
    if not WRITES:
        assert cells.get((task, family, form), UNTRIED) == outcome, f"{PAGE.name} is stale: make matrix"
        assert not line or line in reasons.get(task, set()), f"{PAGE.name} lacks: {line}"
        return
    cells[task, family, form] = outcome
    begins = f"- {family}, `{target}`, ", f"- {family}, `{form}`, "
    kept = {one for one in reasons.get(task, set()) if not one.startswith(begins)}
    reasons[task] = kept | ({line} if line else set())
    write(cells, reasons)


def read() -> tuple[dict[tuple[str, str, str], str], dict[str, set[str]]]:
    """Cells and reasons of the page; those of its tables that still exist."""
    cells, reasons = dict[tuple[str, str, str], str](), dict[str, set[str]]()
    for part in PAGE.read_text(encoding="utf-8").split("\n## ")[1:] if PAGE.exists() else ():
        lines = part.splitlines()
        task = next((one for one, title in TITLES.items() if title == lines[0]), None)
        if task is None:
            continue
        rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines if line.startswith("|")]
        heads = [head.strip("`") for head in rows[0]]
        cells |= {(task, row[0], head): cell for row in rows[2:] for head, cell in zip(heads, row[1:], strict=True)}
        reasons[task] = {line for line in lines if line.startswith("- ")}
    return cells, reasons


def write(cells: dict[tuple[str, str, str], str], reasons: dict[str, set[str]]) -> None:
    """The page anew."""
    parts = [HEAD]
    for task, title in TITLES.items():
        columns = forms(task)
        lines = [f"| | {' | '.join(f'`{form}`' for form in columns)} |", f"| --- |{' --- |' * len(columns)}"]
        lines += [f"| {family} | {' | '.join(cells.get((task, family, form), UNTRIED) for form in columns)} |"
                  for family in FAMILIES[task]]
        why = sorted(reasons.get(task, ()))
        parts += [f"## {title}\n", "\n".join(lines), "", *why, *([""] if why else [])]
    PAGE.write_text("\n".join(parts), encoding="utf-8")
