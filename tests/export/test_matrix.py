"""Which models each target writes, for docs/export-matrix.md: `make matrix` writes it anew.

Each cell is an export of a tiny model of the true architecture, run by its own runtime and held against the model.
Targets whose exports take a minute are only asked whether they refuse; the tests of each export what they do not.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matrix_page import FAMILIES, FOUR, told

from seedbed.errors import CorruptFile, QualityFloor, UserError
from seedbed.export.artefact import Source, add, first_line
from seedbed.export.targets import TARGETS, need
from seedbed.export.targets.writers import WRITERS
from seedbed.workflow.forms import SLOW

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
SHAPES: dict[str, dict[str, Any]] = {
    "llama": {"head_dim": 16}, "qwen2": {"num_attention_heads": 2, "num_key_value_heads": 1},
    "mistral": {"head_dim": 16, "sliding_window": None}}
SHAPES |= {family: {"num_layers": 2, "num_decoder_layers": 2} if "t5" in family else
           {"encoder_layers": 2, "decoder_layers": 2} for family in ("t5", "flan_t5", "bart", "marian")}


def found(task: str, family: str, target: Any, precision: str, model: Any,
          make: Callable[[Any, str], object]) -> None:
    form = f"{target.name}:{precision}"
    try:
        target.refuse(model, precision)
        if target.name in SLOW:
            return
        make(target, precision)
    except (QualityFloor, CorruptFile) as problem:
        told(task, family, form, "differs", problem.message.split(":")[0])
    except UserError as problem:
        told(task, family, form, "refused", problem.message)
    else:
        told(task, family, form, "works")


@pytest.mark.parametrize(("task", "family"), [(task, family) for task in ("classify", "embed", "entities")
                                              for family in FAMILIES[task]])
def test_models_that_read(task: str, family: str, tmp_path: Path) -> None:
    import sample_embedder
    import sample_export
    import sample_tagger

    from seedbed.export.bundle import open_bundle

    samples: dict[str, Any] = {"classify": sample_export, "embed": sample_embedder, "entities": sample_tagger}
    samples[task].made(tmp_path / "bundle", family)
    source = Source(open_bundle(tmp_path / "bundle", engine="reference"), None)
    for target in map(TARGETS.get, TARGETS):
        need(target)
        for precision in (one for one in target.precisions if one not in FOUR):
            found(task, family, target, precision, source.reference,
                  lambda target, precision: add(source, target, precision, {}))


@pytest.mark.parametrize("family", FAMILIES["write"])
def test_models_that_write(family: str, tmp_path: Path) -> None:
    from sample_writer import FACTS, made

    from seedbed.export.writer_artefact import prove
    from seedbed.export.writer_reference import Reference

    model = made(tmp_path / "model", family, **SHAPES.get(family, {}))

    def make(target: Any, precision: str) -> None:
        part = tmp_path / f"{target.name}-{precision}"
        part.mkdir()
        try:
            target.write(model, part, precision, FACTS)
        except UserError:
            raise
        except Exception as problem:
            raise UserError(first_line(problem), "") from problem
        if failed := prove(part, model, Reference.open(model), target, precision).failed:
            raise QualityFloor(failed[0].told, "")
    for target in map(WRITERS.get, WRITERS):
        need(target)
        for precision in (one for one in target.precisions if one not in FOUR):
            found("write", family, target, precision, model, make)
