"""Training, validation and test rows: stratified by label, grouped, seeded, and the same for any order of the rows.

Rows that must stay together (the same group, the same cluster of near duplicates, the same text) form a unit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UserError
from ..records import Record
from .dataset import SPLITS, Dataset
from .duplicates import Ints, components
from .stratify import deal

FRACTIONS = (0.7, 0.15, 0.15)
"""Shares of training, validation and test rows."""


class SplitCounts(Record):
    """What is in the splits."""

    rows: dict[str, int]
    """By split."""
    labels: dict[str, dict[str, int]]
    """By label, then by split. A row with several labels counts for each."""
    absent: dict[str, list[str]]
    """By split, the labels that it lacks."""


def split(dataset: Dataset, *, fractions: Sequence[float] = FRACTIONS, seed: int = 0,
          clusters: Sequence[int] | None = None) -> Dataset:
    """The dataset with its `split` column filled.

    Rows that have a split keep it. Where some splits are given and no row is without one, a split that is missing is
    taken out of the training rows, validation first of all; with training and test given, only validation is.
    A class with three rows or more that can be told apart gets at least one in each split.

    Args:
        dataset: rows of one task.
        fractions: shares of training, validation and test rows; they sum to 1.
        seed: another seed gives another split.
        clusters: [rows] number of the row's cluster of near duplicates; a cluster is never separated.

    Raises:
        UserError: fractions that are not three shares.
        DataError: fewer rows that can be told apart than splits.
    """
    shares = _shares(fractions)
    given = np.array([SPLITS.index(s) if s is not None else -1 for s in dataset.column("split")], np.int64)
    where = given.copy()
    if len(dataset) and (where >= 0).all():
        lacking = [i for i in range(3) if shares[i] > 0 and not (where == i).any()]
        if not lacking or not (where == 0).any():
            return dataset
        if 2 in lacking and (where == 1).any():
            lacking = [2]
        carve = np.isin(np.arange(3), [0, *lacking])
        shares, where = np.where(carve, shares, 0), np.where(where == 0, -1, where)
    units = units_of(dataset, clusters)
    _follow_given(units, where, given)
    free = np.flatnonzero(where < 0)
    if len(free):
        wanted = int((shares > 0).sum())
        distinct = len(np.unique(units[free]))
        if distinct < wanted:
            raise DataError(f"{distinct:,} rows that can be told apart do not fill {wanted} splits.",
                            "Add rows, or make fewer groups.")
        taken = np.array([(where == i).sum() for i in range(3)]) if (given < 0).any() else np.zeros(3)
        where[free] = deal(dataset, free, units, shares, seed, taken)
    return dataset.with_column("split", [SPLITS[i] for i in where.tolist()])


def folds(dataset: Dataset, k: int, seed: int = 0,
          clusters: Sequence[int] | None = None) -> list[tuple[list[int], list[int]]]:
    """Positions of training rows and held-out rows for cross-validation, stratified and grouped as `split` does it.

    Args:
        dataset: the rows to divide.
        k: number of folds, at least 2; every row is held out once.
        seed, clusters: as for `split`.

    Raises:
        DataError: fewer rows that can be told apart than folds.
    """
    units = units_of(dataset, clusters)
    distinct = len(np.unique(units))
    if not 2 <= k <= distinct:
        raise DataError(f"{distinct:,} rows that can be told apart do not fill {k} folds.",
                        "Add rows, or take fewer folds (at least 2).")
    fold = deal(dataset, np.arange(len(dataset)), units, np.full(k, 1 / k), seed, np.zeros(k))
    return [(np.flatnonzero(fold != i).tolist(), np.flatnonzero(fold == i).tolist()) for i in range(k)]


def count_splits(dataset: Dataset) -> SplitCounts:
    """Rows and labels of each split."""
    splits = dataset.column("split")
    rows = {name: splits.count(name) for name in SPLITS}
    several, pairs = dataset.multi_label, zip(dataset.targets, splits, strict=True)
    counts = Counter((label, name) for target, name in pairs if target is not None and name is not None
                     for label in (target if several else (target,)))
    labels = {label: {name: counts[label, name] for name in SPLITS}
              for label in sorted({label for label, _ in counts})}
    absent = {name: [label for label, by in labels.items() if not by[name]] for name in SPLITS if rows[name]}
    return SplitCounts(rows=rows, labels=labels, absent={name: some for name, some in absent.items() if some})


def _shares(fractions: Sequence[float]) -> NDArray[np.float64]:
    shares = np.asarray(fractions, np.float64)
    if shares.shape != (3,) or (shares < 0).any() or abs(shares.sum() - 1) > 1e-6 or shares[0] == 0:
        raise UserError(f"{list(fractions)} are not the shares of training, validation and test rows.",
                        "Give three numbers that sum to 1, such as 0.7, 0.15, 0.15; the first is above 0.")
    return shares


def units_of(dataset: Dataset, clusters: Sequence[int] | None) -> Ints:
    """[rows] number of the unit of each row: rows joined by text, group or cluster, however many steps away."""
    import pyarrow.compute as pc

    n = len(dataset)
    codes = [pc.dictionary_encode(dataset.table.column(dataset.inputs[0])).combine_chunks().indices.to_numpy()]
    if dataset.table.column("group").null_count < n:
        group = pc.dictionary_encode(dataset.table.column("group")).combine_chunks().indices
        codes.append(group.fill_null(-1).to_numpy())
    if clusters is not None:
        if len(clusters) != n:
            raise ValueError(f"{len(clusters)} clusters for {n} rows")
        codes.append(np.unique(np.asarray(clusters, np.int64), return_inverse=True)[1])
    rows, nodes, first = [], [], n  # a node for each row, and one for each text, group and cluster
    for code in codes:
        known = np.flatnonzero(code >= 0)
        rows.append(known)
        nodes.append(code[known].astype(np.int64) + first)
        first += int(code.max(initial=-1)) + 1
    return components(first, np.concatenate(rows), np.concatenate(nodes))[:n]


def _follow_given(units: Ints, where: Ints, given: Ints) -> None:
    """A row without a split goes where its unit's rows are: to the test split first, so that nothing leaks into it.

    A training row whose unit also has rows in another split stays in training: what was given is not moved.
    """
    for place in (0, 1, 2):
        where[(given < 0) & np.isin(units, units[where == place])] = place
    where[(given == 0) & (where < 0) & np.isin(units, units[where > 0])] = 0
