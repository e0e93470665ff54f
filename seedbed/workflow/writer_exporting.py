"""`seedbed export` of a model that writes: forms for other runtimes, each proven before it is added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CorruptFile, NotFound, UserError
from ..export.manifest import Manifest
from ..progress import Progress
from ..train.config import TextConfig
from .config import RunFolder, TuneConfig, read_config

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..models.template import Row
    from .exporting import ExportConfig, Exported

ROWS, TOKENS = 48, 512
"""Held-out rows whose loss is compared, at most, and tokens of each: both models read every one."""
LEARNED = 32
"""Rows of the training split that show which weights matter, at most: 16 served as well as 64 (docs/LOG.md)."""
ASKED = 3
"""Questions among them that the runner of `--edge` answers, at most."""
USUAL, USUAL_PAIRED = ("gguf",), ("onnx",)
"""Targets where none is named, the latter of encoder-decoders."""


def export_writer(folder: Path, config: ExportConfig, progress: Progress) -> Exported:
    """Export a model that writes, as `exporting.export` says."""
    from ..export.targets import asked, need
    from ..export.targets.writers import WRITERS, suited
    from ..export.writer_artefact import add
    from ..export.writer_edge import runner
    from ..export.writer_edge import write as write_edge
    from ..export.writer_reference import Reference
    from ..models.paired import holds_paired
    from .apart import parts_for
    from .exporting import ExportConfig, Exported, each

    for one in ("floor", "confidence"):
        if getattr(config, one) != getattr(ExportConfig, one):
            raise UserError(f"--{one} is for models that give labels; of one that writes each precision has its own "
                            "limits (docs/export-writers.md).", "Leave it out.")
    manifest = Manifest.open(folder)
    model = folder / manifest.reference.folder
    named = asked(config.to or (USUAL_PAIRED if holds_paired(model) else USUAL), WRITERS)
    wanted = [(suited(target, model), precision) for target, precision in named]
    tools = [need(target) for target, _ in wanted]
    for file in manifest.reference.files:
        file.check(folder, whole=True)
    for target, precision in wanted:
        target.refuse(model, precision)
    if config.edge:
        if holds_paired(model):
            raise UserError("There is no runner for an encoder-decoder.",
                            "Leave --edge out: seedbed generate BUNDLE answers with what is exported.")
        runner(wanted[0][0].name)
    rows = run_rows(folder, manifest, min(ROWS, config.rows), config.seed)
    progress.note(rows.note)
    with parts_for((target for target, _ in wanted), folder, manifest, progress) as parts:
        reference = Reference.open(model, rows.held, rows.learned, rows.unit, apart=parts)
        added = each([partial(add, folder, reference, target, precision, versions)
                      for (target, precision), versions in zip(wanted, tools, strict=True)], progress)
    edge = write_edge(folder, added[0], model, config.edge, rows.asked[:ASKED]) if config.edge else None
    return Exported(folder=str(folder), reference=manifest.reference, added=added, note=rows.note, edge=edge)


@dataclass(frozen=True)
class RunRows:
    """Rows of the bundle's run, as its model reads them.

    Args:
        note: what to tell of them.
        held: that it has not learned from.
        learned: that it has.
        unit: number of the unit of each of `held`, whose rows are alike; None where there are none.
        asked: the questions of `held`, without the task's instruction.
    """

    note: str
    held: Sequence[Row] = ()
    learned: Sequence[Row] = ()
    unit: Sequence[int] | None = None
    asked: Sequence[str] = ()


def run_rows(folder: Path, manifest: Manifest, most: int, seed: int, *, whole: bool = False,
             model: Path | None = None) -> RunRows:
    """Rows to prove a form with, and rows that show which weights matter.

    Args:
        most: rows of the test split.
        seed: draws them where there are more.
        whole: as much of each row as the training read, and not `TOKENS` alone.
        model: whose tokenizer reads them; the bundle's when None.

    Raises:
        CorruptFile: the run's rows were changed.
    """
    from ..data.conversations import conversations
    from ..data.freeze import open_splits
    from ..data.split import units_of
    from ..export.targets.writers import READ
    from ..models.template import open_template, rows_of
    from ..tasks.write import question_and_answer
    from .tune import course_of
    from .writing import WritingCourse

    only = "so the models are compared on texts of our own, and the loss on yours is not measured."
    run = folder.parent
    try:
        dataset = open_splits(run)
        _, told, training = read_config(RunFolder(run), TuneConfig, TextConfig)
    except (NotFound, CorruptFile, UserError) as problem:
        if isinstance(problem, CorruptFile):
            raise
        return RunRows(f"The bundle is not in its run folder, {only}")
    course = course_of(replace(told, teacher=None))
    if dataset.hash != manifest.data_hash or type(course) is not WritingCourse:
        return RunRows(f"The rows in {run} are not answers that the model learned from as they stand, {only}")
    template = open_template(model or folder / manifest.reference.folder,
                             min(training.max_tokens, READ) if whole else TOKENS)

    def read(part: Dataset) -> list[Row]:
        found = course.reader(told, dataset)(part)
        return rows_of(template, [one for _, one in found], [place for place, _ in found])
    test = drawn(dataset.part("test"), most, seed)
    try:
        held, learned = read(test), read(drawn(dataset.part("train"), LEARNED, seed))
    except UserError:  # a row that is too long, or questions whose answers a teacher wrote
        return RunRows(f"Some rows of the run cannot be read, {only}")
    return RunRows(f"The loss on {len(held):,} rows that the model has not learned from is compared; "
                   f"{len(learned):,} that it has show which weights matter.", held, learned,
                   units_of(test, None).tolist(), [asked for one in conversations(test)
                                                   if (asked := question_and_answer(one)[0]).strip()])


def drawn(rows: Dataset, most: int, seed: int) -> Dataset:
    """So many of them at most, in their order."""
    import numpy as np

    if len(rows) <= most:
        return rows
    return rows.take(sorted(np.random.default_rng(seed).choice(len(rows), most, replace=False).tolist()))
