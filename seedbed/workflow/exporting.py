"""`seedbed export`: forms of a bundle's model for other runtimes, each proven before it is added."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import NotFound, QualityFloor, UserError
from ..export.edge import Edge, free
from ..export.manifest import MANIFEST, REFERENCE, EngineEntry, Manifest, sha256
from ..export.yardstick import READS
from ..options import check, option
from ..progress import SILENT, Progress
from ..records import Record
from .config import RunFolder
from .writer_exporting import export_writer

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..export.certificate import Held

USUAL = ("openvino", "onnx")
"""Targets of models that read, when none is named."""
ONLY = "so only the numbers are compared, and no loss is bounded."
RUN_ROWS = ("validation", "test")
"""Splits of a run that its model has not learned from."""


@dataclass(frozen=True)
class ExportConfig:
    """Exporting. Flags, Python and docs come from these fields."""

    to: tuple[str, ...] = option((), "Targets, each with its precision if you mean another than the default, as in "
                                    "openvino:int4 or gguf:q8_0. When not said: openvino and onnx for labels, "
                                    "entities and vectors, gguf for a model that writes, onnx for an "
                                    "encoder-decoder.")
    floor: float = option(0.05, "The largest loss that is allowed: of accuracy, as a share of the rows; of nDCG@10, "
                                "where texts are embedded; of a row's F1, where entities are marked.",
                          minimum=0.001, maximum=1)
    confidence: float = option(0.95, "How sure it must be that no more is lost.", minimum=0.5, maximum=0.999)
    rows: int = option(1000, "Most held-out rows of the run that both models answer.", minimum=1)
    edge: Path | None = option(None, "Also copy the first artefact into this new folder, with a runner that needs "
                                     "its runtime only (for labels: tokenizers and NumPy too).")
    page: bool = option(False, "Also write classify.html into the folder of --edge: the first ONNX artefact as one "
                               "page that answers in a browser, without a server. npm fetches its runtime, once.")
    seed: int = option(0, "Fixes everything random.", minimum=0)


class Exported(Record):
    """What was added to a bundle."""

    folder: str
    """The bundle."""
    reference: EngineEntry
    added: list[EngineEntry]
    note: str
    """Which held-out rows were answered, or why there are none."""
    edge: Edge | None = None


def export(source: str | Path, config: ExportConfig | None = None, *, progress: Progress = SILENT) -> Exported:
    """Export a bundle's model, hold each artefact against it in its own runtime, and add those that pass.

    Args:
        source: a run folder, or a bundle. Without its run there are no rows to measure a loss on, and only the
            numbers are compared.

    Raises:
        NotFound: no bundle there. MissingExtra: a target's packages are not installed; nothing was begun.
        UserError: a target that is not known, or that the model cannot be exported to; the folder of `edge` is taken;
            a page of what browsers do not run.
        QualityFloor: an artefact answers otherwise than the model; it is not added. Those that passed are.
    """
    config = config or ExportConfig()
    check(config)
    folder = bundle_of(Path(source))
    manifest = Manifest.open(folder)
    kind = "write" if manifest.reference.kind == "writer" else str(manifest.task.get("task"))
    if kind not in KINDS:
        raise UserError(f"{folder} is a bundle for the task {kind!r}, which is not exported.",
                        "Models that give labels, mark entities, embed texts or write are.")
    if config.edge:
        free(config.edge)
    if config.page and kind != "classify":
        raise UserError("--page is for models that give labels.", "Leave it out: --edge DIR writes a runner.")
    if config.page and not config.edge:
        raise UserError("--page writes into the folder of --edge, which is not named.",
                        "Add it: seedbed export RUN --to onnx --edge DIR --page")
    try:
        return KINDS[kind](folder, config, progress)
    finally:
        remember(folder)


def remember(folder: Path) -> None:
    """Tell the store the manifest's new hash, where the bundle is that of a run."""
    from ..store import open_store

    if RunFolder(folder.parent).config.is_file():
        with open_store() as store:
            store.rehash_bundle(folder, sha256(folder / MANIFEST))


def bundle_of(source: Path) -> Path:
    """The bundle folder of a run, or the folder itself.

    Raises:
        NotFound: there is no bundle.
    """
    inner = RunFolder(source).bundle
    if not (source / MANIFEST).is_file() and (inner / MANIFEST).is_file():
        return inner
    Manifest.open(source)
    return source


def _read(folder: Path, config: ExportConfig, progress: Progress) -> Exported:
    """Of a model that reads."""
    from ..catalog.web import pull_web
    from ..export.artefact import Source, add
    from ..export.bundle import open_bundle
    from ..export.edge import RUNNERS, runner
    from ..export.edge import write as write_edge
    from ..export.page import KIND as IN_BROWSERS
    from ..export.page import refuse
    from ..export.targets import TARGETS, asked, need

    wanted = asked(config.to or USUAL, TARGETS)
    tools = [need(target) for target, _ in wanted]
    bundle = open_bundle(folder, verify=True, engine=REFERENCE)
    for target, precision in wanted:
        target.refuse(bundle.model, precision)
    at = 0
    if config.page:
        kinds = [target.name for target, _ in wanted]
        at = kinds.index(IN_BROWSERS) if IN_BROWSERS in kinds else at
        refuse(kinds[at])
    if config.edge:
        if bundle.yard.gives not in RUNNERS:
            raise UserError("--edge has no runner of models that mark entities.", "Leave it out: the bundle itself, "
                            "with tokenizers, NumPy and the runtime, answers without torch.")
        runner(wanted[at][0].name, RUNNERS[bundle.yard.gives])
    parts = pull_web(progress) if config.page else None
    held, note = HELD[bundle.kind](folder, bundle.manifest, config)
    progress.note(note)
    source = Source(bundle, held, config.seed)
    added = each([partial(add, source, target, precision, versions)
                  for (target, precision), versions in zip(wanted, tools, strict=True)], progress)
    edge = write_edge(open_bundle(folder), added[at], config.edge, parts) if config.edge else None
    return Exported(folder=str(folder), reference=bundle.manifest.reference, added=added, note=note, edge=edge)


def each(steps: Sequence[Callable[[], EngineEntry]], progress: Progress) -> list[EngineEntry]:
    """Add one artefact after the other; one that fails keeps none of the others from being added.

    Raises:
        QualityFloor: the first that failed, with the names of those that were added.
    """
    work, added, failed = "export", list[EngineEntry](), list[QualityFloor]()
    progress.start(work, len(steps), "artefacts")
    for step in steps:
        try:
            added.append(step())
        except QualityFloor as problem:
            failed.append(problem)
        progress.advance(work)
    progress.done(work)
    if failed:
        done = f" Added: {', '.join(one.name for one in added)}." if added else ""
        raise QualityFloor(failed[0].message + done, failed[0].hint)
    return added


def _held_labels(folder: Path, manifest: Manifest, config: ExportConfig) -> tuple[Held | None, str]:
    """Labelled rows that the model has not learned from; what to tell of them. See `held_rows`."""
    from ..export.certificate import Held

    rows, note = held_rows(folder, manifest, config.rows, config.seed)
    return None if rows is None else Held(rows.texts, rows.targets, config.floor, config.confidence), note


def _held_pairs(folder: Path, manifest: Manifest, config: ExportConfig) -> tuple[Held | None, str]:
    """Questions that the model has not learned from, with the documents of all splits; what to tell of them."""
    from ..data.pairs import pairs
    from ..export.certificate import Held
    from ..export.vectors import Search
    from .embedding import judged, sought

    rows, note = _rows(folder, manifest)
    if rows is None:
        return None, note
    places = [i for i, split in enumerate(rows.column("split")) if split in RUN_ROWS]
    questions, documents = judged(pairs(rows.part("train")), [], pairs(rows.take(places)), config.seed, config.rows)
    held = Held([*questions, *documents], Search(*sought(rows.take(places), questions, documents)), config.floor,
                config.confidence)
    return held, f"{len(questions):,} questions that the model has not learned from search {len(documents):,} " \
                 "documents with both."


def _held_spans(folder: Path, manifest: Manifest, config: ExportConfig) -> tuple[Held | None, str]:
    """Rows with labelled spans that the model has not learned from; what to tell of them. See `held_rows`."""
    from ..data.spans import spans_of
    from ..data.split import units_of
    from ..export.certificate import Held
    from ..export.tags import Marked

    rows, note = held_rows(folder, manifest, config.rows, config.seed)
    if rows is None:
        return None, note
    marked = Marked(spans_of(rows), units_of(rows, None).tolist())
    return Held(rows.texts, marked, config.floor, config.confidence), note


def held_rows(folder: Path, manifest: Manifest, most: int, seed: int) -> tuple[Dataset | None, str]:
    """At most so many rows of the bundle's run that its model has not learned from; what to tell of them.

    Raises:
        CorruptFile: the run's rows were changed.
    """
    import numpy as np

    rows, note = _rows(folder, manifest)
    if rows is None:
        return None, note
    places = [i for i, split in enumerate(rows.column("split")) if split in RUN_ROWS]
    if not places:
        return None, f"The run kept no rows that the model has not learned from, {ONLY}"
    if len(places) > most:
        drawn = np.random.default_rng(seed).choice(len(places), most, replace=False)
        places = sorted(places[i] for i in drawn)
    return rows.take(places), f"{len(places):,} rows that the model has not learned from are answered by both."


def _rows(folder: Path, manifest: Manifest) -> tuple[Dataset | None, str]:
    """All rows of the bundle's run, or why they cannot be had.

    Raises:
        CorruptFile: they were changed.
    """
    from ..data.freeze import open_splits

    try:
        rows = open_splits(folder.parent)
    except NotFound:
        return None, f"The bundle is not in its run folder, {ONLY}"
    if rows.hash != manifest.data_hash:
        return None, f"The rows in {folder.parent} are not those that the model learned from, {ONLY}"
    return rows, ""


KINDS: dict[str, Callable[[Path, ExportConfig, Progress], Exported]] = {
    **dict.fromkeys(READS, _read), "write": export_writer}
"""How a bundle is exported, by its kind of task."""
HELD = {"classify": _held_labels, "embed": _held_pairs, "entities": _held_spans}
"""By kind of task, the rows that tell what an artefact loses."""
