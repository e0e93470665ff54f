"""The run's data: read, check, split and freeze it; a resumed run takes the frozen rows and asks no source again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.health import Health
from ..errors import CorruptFile, DataError, UserError
from ..progress import Progress
from ..tasks.classify import Classify
from ..train.config import TrainConfig
from .config import RunConfig, RunFolder, typed, write

if TYPE_CHECKING:
    from ..data.dataset import Dataset

SMALL = 200
"""Labelled rows below which no rows are set apart: every row is scored by cross-validation instead."""
FOLDS = 5
SPLITS = (0.7, 0.15, 0.15)
SPLITS_WITH_TEST = (0.8, 0.2, 0.0)


@dataclass(frozen=True)
class Data:
    """The frozen splits as the candidates see them.

    Args:
        task: labels and metric.
        train: rows to learn from.
        selection: rows that the choice is made on: the validation split, or in cross-validation the training rows.
        test: rows that nothing but the final score sees; empty when there are none.
        small: the choice is made by cross-validation.
        clusters: of the training rows; near duplicates stay in one fold.
        hash: of the ids and splits of all rows.
    """

    task: Classify
    train: Dataset
    selection: Dataset
    test: Dataset
    small: bool
    clusters: list[int]
    hash: str

    @property
    def judged(self) -> Dataset:
        """The rows that the final figures are of: test, else those of the choice."""
        return self.test if len(self.test) else self.selection


def prepare(source: str, config: RunConfig, training: TrainConfig, progress: Progress) -> tuple[Dataset, Health]:
    """Read, find repeats, split and check; nothing is written.

    Returns:
        The rows with their splits and a column `cluster` of near duplicates, and the data's health.

    Raises:
        UserError: the source cannot be read, or nothing can be learned from it.
    """
    from ..data import duplicates
    from ..data.check import check
    from ..data.read import read
    from ..data.split import split

    columns: dict[str, Any] = {
        "text": config.text, "label": config.label, "group": config.group, "multi_label": config.multi_label,
        "encoding": config.encoding, "delimiter": typed(config.delimiter),
        "progress": progress}
    given = {name: path for name, path in (("validation", config.validation), ("test", config.test)) if path}
    reading = read({"train": source, **given} if given else source, split=config.split, **columns)
    dataset = reading.dataset
    _enough(dataset)
    found = duplicates.find(dataset.texts, seed=config.seed, progress=progress)
    clusters = found.near.tolist()
    splits = Counter(dataset.column("split"))
    if splits["train"] + splits[None] < SMALL and not splits["validation"]:
        dataset = dataset.with_column("split", [s or "train" for s in dataset.column("split")])
    else:
        dataset = split(dataset, fractions=SPLITS_WITH_TEST if splits["test"] else SPLITS, seed=config.seed,
                        clusters=clusters)
    health = check(replace(reading, dataset=dataset), tokenizer=_tokenizer(config, progress),
                   max_tokens=training.max_tokens, seed=config.seed, duplicates=found, progress=progress)
    dataset = dataset.with_column("cluster", clusters)
    data = as_data(dataset, config)
    if data.small:
        parts(data.train, data.clusters, config.seed)
    else:
        _several(data.train, "The training rows")
    return dataset, health


def freeze(dataset: Dataset, health: Health, folder: RunFolder) -> None:
    """Keep what `prepare` gave in the run folder."""
    from ..data.freeze import save_splits

    save_splits(dataset, folder.path)
    write(folder.health, health.model_dump_json(indent=1))


def thaw(folder: RunFolder) -> tuple[Dataset, Health]:
    """What `freeze` kept, proven unchanged.

    Raises:
        NotFound, CorruptFile: it is not there, or was changed.
    """
    from ..data.freeze import open_splits

    dataset = open_splits(folder.path)
    try:
        return dataset, Health.model_validate_json(folder.health.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise CorruptFile(f"{folder.health} cannot be read: {str(problem).splitlines()[0]}.",
                          "Start the run anew in another folder.") from None


def as_data(dataset: Dataset, config: RunConfig) -> Data:
    """The rows by split."""
    clusters = dict(zip(dataset.column("id"), map(int, dataset.column("cluster")), strict=True))
    dataset = type(dataset)(dataset.table.drop_columns(["cluster"]), dataset.inputs)
    train, validation = dataset.part("train"), dataset.part("validation")
    small = not len(validation)
    return Data(Classify.from_targets(dataset.targets, config.metric), train, train if small else validation,
                dataset.part("test"), small, [clusters[i] for i in train.column("id")], dataset.hash)


def parts(rows: Dataset, clusters: list[int], seed: int) -> list[tuple[list[int], list[int]]]:
    """Positions to learn from and positions held out, for each fold of the cross-validation.

    Raises:
        DataError: too few rows that can be told apart, or without one fold only one label is left.
    """
    from ..data.split import folds, units_of

    distinct = len(np.unique(units_of(rows, clusters)))
    out = folds(rows, min(FOLDS, max(2, distinct)), seed, clusters)
    for learn, _ in out:
        _several(rows.take(learn), "Without the rows of one fold of the cross-validation, those that are left")
    return out


def _several(rows: Dataset, what: str) -> None:
    """Raises DataError where there is one label only: nothing can be learned then."""
    if rows.multi_label:
        return
    labels = set(rows.targets)
    if len(labels) < 2:
        raise DataError(f"{what} all have the label {next(iter(labels))!r}.",
                        "Add rows, or take another --group: here rows that must stay together share one label.")


def _enough(dataset: Dataset) -> None:
    """Refuse data from which nothing can be learned.

    Raises:
        DataError: one class only, or a class with a single example.
    """
    targets = dataset.targets
    Classify.from_targets(targets)
    lines: dict[str, list[int]] = {}
    for line, target in zip(dataset.column("line"), targets, strict=True):
        for label in target if isinstance(target, list) else [target]:
            lines.setdefault(label, []).append(line)
    alone = sorted((label, where[0]) for label, where in lines.items() if len(where) < 2)
    if alone:
        label, line = alone[0]
        more = f" (and {len(alone) - 1} more labels)" if len(alone) > 1 else ""
        raise DataError(f"The label {label!r} has fewer than 2 examples: line {line}{more}.",
                        "Add examples of it, rename it to a label that is meant, or remove the row.")


def _tokenizer(config: RunConfig, progress: Progress) -> Path | None:
    """The tokenizer file of the cheapest candidate that has a model, which is fetched when it is not there."""
    from ..catalog import fetch
    from ..catalog.cards import card
    from ..train import ladder

    bases = [rung.base for rung in ladder.RUNGS if rung.base and rung.name in (config.candidates or ladder.NAMES)]
    if not bases:
        return None
    try:
        folder = fetch.pull(card(config.model or bases[0]), progress)
    except UserError:  # offline or damaged: the candidate itself will say so
        return None
    return next(iter(sorted(folder.rglob("tokenizer.json"))), None)
