"""Which models each target writes. docs/export-matrix.md is what these tests find: `make matrix` writes it anew.

Each cell is an export of a tiny model of the true architecture, run by its own runtime and held against the model.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny

from seedbed.errors import QualityFloor, UserError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
PAGE = Path(__file__).parents[2] / "docs" / "export-matrix.md"
WRITES = bool(os.environ.get("SEEDBED_WRITE_MATRIX"))
CLASSIFY = (*tiny.FAMILIES, "falcon", "lfm2")
SHAPES: dict[str, dict[str, Any]] = {
    "llama": {"head_dim": 16}, "qwen2": {"num_attention_heads": 2, "num_key_value_heads": 1},
    "mistral": {"head_dim": 16, "sliding_window": None}}
SHAPES |= {family: {"num_layers": 2, "num_decoder_layers": 2} if "t5" in family else
           {"encoder_layers": 2, "decoder_layers": 2} for family in tiny.PAIRED}
FOUR = ("int4", "q4_k_m")
WRITE = tiny.WRITERS
FORMS = {"classify": "Models that give labels", "write": "Models that write"}
HEAD = """# What can be exported

A tiny model of each architecture is exported to each target, run by that runtime and held against the model (its
certificate, see [export.md](export.md) and [export-writers.md](export-writers.md)). This page is what the tests found
(`make matrix`); a test fails where it is stale.

- *works*: it passed.
- *refused*: seedbed says no beforehand, or the exporter cannot express it.
- *differs*: it answers otherwise than the model, so it is not added.

4 bits are not in the table: whether they do is a matter of the weights, and those here are random numbers. Models
that write have heads 16 wide, and Mistral has no sliding window. What else is not here was not tried. LiteRT and
ExecuTorch, whose exports take a minute each, have tests of their own (`tests/export/test_litert.py`,
`test_executorch.py`, and `test_litert_writer.py`, `test_executorch_writer.py`): BERT, and Llama, Qwen2, Mistral
and Gemma 3, which write there too. Encoder-decoders (T5, FLAN-T5, BART, Marian) run on the plain ONNX Runtime and
OpenVINO.
Models that embed and that mark entities are the graph of those that give labels with another end; in fp32 BERT,
Llama, Qwen2 and Mistral (and Gemma 3 that embeds) have slow tests (`tests/export/test_vectors.py`, `test_tags.py`).
"""
Cells = dict[str, str]
found: dict[tuple[str, str], tuple[Cells, set[str]]] = {}


def outcome(make: Callable[[], object], reasons: set[str], family: str, form: str) -> str:
    try:
        make()
    except QualityFloor as problem:
        reasons.add(f"- {family}, `{form}`, differs: {problem.message.split(':')[0]}")
        return "differs"
    except UserError as problem:
        reasons.add(f"- {family}, `{form.partition(':')[0]}`, refused: {problem.message}")
        return "refused"
    return "works"


def classifier(family: str, folder: Path) -> tuple[Cells, set[str]]:
    from sample_export import made

    from seedbed.export.artefact import Source, add
    from seedbed.export.targets import TARGETS, need
    from seedbed.workflow.forms import SLOW

    bundle, cells, reasons = made(folder / "bundle", family), Cells(), set[str]()
    source = Source(bundle, None)
    for target in map(TARGETS.get, (name for name in TARGETS if name not in SLOW)):
        need(target)
        for precision in (one for one in target.precisions if one not in FOUR):
            def make(target=target, precision=precision) -> None:  # type: ignore[no-untyped-def]
                target.refuse(bundle.classifier, precision)
                add(source, target, precision, {})
            form = f"{target.name}:{precision}"
            cells[form] = outcome(make, reasons, family, form)
    return cells, reasons


def writer(family: str, folder: Path) -> tuple[Cells, set[str]]:
    from sample_writer import FACTS, made

    from seedbed.errors import CorruptFile
    from seedbed.export.artefact import first_line
    from seedbed.export.targets import need
    from seedbed.export.targets.writers import WRITERS
    from seedbed.export.writer_artefact import prove
    from seedbed.export.writer_reference import Reference
    from seedbed.workflow.forms import SLOW

    model, cells, reasons = made(folder / "model", family, **SHAPES.get(family, {})), Cells(), set[str]()
    for target in map(WRITERS.get, (name for name in WRITERS if name not in SLOW)):
        need(target)
        for precision in (one for one in target.precisions if one not in FOUR):
            def make(target=target, precision=precision) -> None:  # type: ignore[no-untyped-def]
                part = folder / f"{target.name}-{precision}"
                target.refuse(model, precision)
                part.mkdir()
                try:
                    target.write(model, part, precision, FACTS)
                except UserError:
                    raise
                except Exception as problem:
                    raise UserError(first_line(problem), "") from problem
                failed = prove(part, model, Reference.open(model), target, precision).failed
                if failed:
                    raise QualityFloor(failed[0].told, "")
            form = f"{target.name}:{precision}"
            try:
                cells[form] = outcome(make, reasons, family, form)
            except CorruptFile as problem:
                cells[form] = "differs"
                reasons.add(f"- {family}, `{form}`, differs: {problem.message}")
    return cells, reasons


@pytest.fixture(scope="module", autouse=True)
def page() -> Iterator[None]:
    """Writes the page, where that was asked for."""
    yield
    if not WRITES:
        return
    parts = [HEAD]
    for task, title in FORMS.items():
        rows = {family: cells for (one, family), (cells, _) in found.items() if one == task}
        forms = next(iter(rows.values()))
        lines = [f"| | {' | '.join(f'`{form}`' for form in forms)} |", f"| --- |{' --- |' * len(forms)}"]
        lines += [row(family, cells) for family, cells in rows.items()]
        reasons = sorted(line for (one, _), (_, some) in found.items() if one == task for line in some)
        parts += [f"## {title}\n", "\n".join(lines), "", *reasons, ""]
    PAGE.write_text("\n".join(parts))


def row(family: str, cells: Cells) -> str:
    return f"| {family} | {' | '.join(cells.values())} |"


@pytest.mark.parametrize(("task", "family"), [*(("classify", one) for one in CLASSIFY),
                                              *(("write", one) for one in WRITE)])
def test_page_says_what_is_found(task: str, family: str, tmp_path: Path) -> None:
    cells, reasons = found[task, family] = (classifier if task == "classify" else writer)(family, tmp_path)
    if WRITES:
        return
    said = PAGE.read_text()
    part = said[said.index(f"## {FORMS[task]}"):]
    assert row(family, cells) in part
    assert not {line for line in reasons if line not in part}
