"""Training, validation and test rows: stratified by label, grouped, seeded, and the same for any order of the rows.

Rows that must stay together (the same group, the same cluster of near duplicates, the same text) form a unit. Units
of one row with one label are dealt out class by class. All others follow iterative stratification: Sechidis,
Tsoumakas and Vlahavas, "On the Stratification of Multi-Label Data", ECML PKDD 2011: always deal the label with the
fewest rows left, each unit to the split that lacks most of that label.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UserError
from ..records import Record
from .dataset import SPLITS, Dataset

Ints = NDArray[np.int64]
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
    given = [SPLITS.index(s) if s is not None else -1 for s in dataset.column("split")]
    where = np.array(given, np.int64)
    if len(dataset) and (where >= 0).all():
        lacking = [i for i in range(3) if shares[i] > 0 and not (where == i).any()]
        if not lacking or not (where == 0).any():
            return dataset
        if 2 in lacking and (where == 1).any():
            lacking = [2]
        carve = np.isin(np.arange(3), [0, *lacking])
        shares, where = np.where(carve, shares, 0), np.where(where == 0, -1, where)
    units = _units(dataset, clusters)
    _follow_given(units, where, np.array(given, np.int64))
    free = np.flatnonzero(where < 0)
    if len(free):
        wanted = int((shares > 0).sum())
        distinct = len(np.unique(units[free]))
        if distinct < wanted:
            raise DataError(f"{distinct:,} rows that can be told apart do not fill {wanted} splits.",
                            "Add rows, or make fewer groups.")
        taken = np.array([(where == i).sum() for i in range(3)]) if (np.array(given) < 0).any() else np.zeros(3)
        where[free] = _deal(dataset, free, units, shares, seed, taken)
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
    units = _units(dataset, clusters)
    distinct = len(np.unique(units))
    if not 2 <= k <= distinct:
        raise DataError(f"{distinct:,} rows that can be told apart do not fill {k} folds.",
                        "Add rows, or take fewer folds (at least 2).")
    fold = _deal(dataset, np.arange(len(dataset)), units, np.full(k, 1 / k), seed, np.zeros(k))
    return [(np.flatnonzero(fold != i).tolist(), np.flatnonzero(fold == i).tolist()) for i in range(k)]


def count_splits(dataset: Dataset) -> SplitCounts:
    """Rows and labels of each split."""
    import pyarrow as pa

    splits = dataset.column("split")
    rows = {name: splits.count(name) for name in SPLITS}
    labels: dict[str, dict[str, int]] = {}
    table = pa.table({"target": dataset.table.column("target"), "split": dataset.table.column("split")})
    if not dataset.multi_label:
        counted = table.group_by(["target", "split"]).aggregate([([], "count_all")]).to_pylist()
        tallied = [((c["target"], c["split"]), c["count_all"]) for c in counted]
    else:
        pairs = zip(dataset.targets, splits, strict=True)
        tallied = list(Counter((label, s) for target, s in pairs for label in target or ()).items())
    for (label, name), count in tallied:
        if label is not None and name is not None:
            by_split = labels.setdefault(label, dict.fromkeys(SPLITS, 0))
            by_split[name] += count
    labels = dict(sorted(labels.items()))
    absent = {name: [label for label, by in labels.items() if not by[name]] for name in SPLITS if rows[name]}
    return SplitCounts(rows=rows, labels=labels, absent={name: some for name, some in absent.items() if some})


def _shares(fractions: Sequence[float]) -> NDArray[np.float64]:
    shares = np.asarray(fractions, np.float64)
    if shares.shape != (3,) or (shares < 0).any() or abs(shares.sum() - 1) > 1e-6 or shares[0] == 0:
        raise UserError(f"{list(fractions)} are not the shares of training, validation and test rows.",
                        "Give three numbers that sum to 1, such as 0.7, 0.15, 0.15; the first is above 0.")
    return shares


def _units(dataset: Dataset, clusters: Sequence[int] | None) -> Ints:
    """[rows] number of the unit of each row: rows joined by text, group or cluster, however many steps away."""
    import pyarrow.compute as pc
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(dataset)
    codes = [pc.dictionary_encode(dataset.table.column(dataset.inputs[0])).combine_chunks().indices.to_numpy()]
    if dataset.table.column("group").null_count < n:
        group = pc.dictionary_encode(dataset.table.column("group")).combine_chunks().indices
        codes.append(group.fill_null(-1).to_numpy())
    if clusters is not None:
        if len(clusters) != n:
            raise ValueError(f"{len(clusters)} clusters for {n} rows")
        codes.append(np.unique(np.asarray(clusters, np.int64), return_inverse=True)[1])
    rows, nodes, first = [], [], n
    for code in codes:
        known = np.flatnonzero(code >= 0)
        rows.append(known)
        nodes.append(code[known].astype(np.int64) + first)
        first += int(code.max(initial=-1)) + 1
    row, node = np.concatenate(rows), np.concatenate(nodes)
    graph = coo_array((np.ones(len(row), np.int8), (row, node)), shape=(first, first))
    return np.asarray(connected_components(graph, directed=False)[1][:n], np.int64)


def _follow_given(units: Ints, where: Ints, given: Ints) -> None:
    """A row without a split goes where its unit's rows are: to the test split first, so that nothing leaks into it.

    A training row whose unit also has rows in another split stays in training: what was given is not moved.
    """
    for place in (0, 1, 2):
        mine = np.zeros(int(units.max(initial=-1)) + 1, bool)
        mine[units[where == place]] = True
        where[(given < 0) & mine[units]] = place
    fixed = np.zeros(int(units.max(initial=-1)) + 1, bool)
    fixed[units[where > 0]] = True
    where[(given == 0) & (where < 0) & fixed[units]] = 0


def _deal(dataset: Dataset, free: Ints, units: Ints, shares: NDArray[np.float64], seed: int,
          taken: NDArray[Any]) -> Ints:
    """[free] the part that each free row goes to.

    Args:
        free: positions of the rows to deal out.
        units: [all rows] unit of each row.
        shares: [parts] fractions.
        seed: of the order within a class.
        taken: [parts] rows that are there already.
    """
    parts = shares / shares.sum()
    keys = _keys(dataset, free, seed)
    targets = dataset.targets
    several = dataset.multi_label
    names = sorted({label for t in targets if t is not None for label in (t if several else [t])})
    number = {label: i for i, label in enumerate(names)}
    unit = np.unique(units[free], return_inverse=True)[1]
    sizes = np.bincount(unit)
    simple = sizes[unit] == 1
    if several:
        simple[:] = False
    label = np.array([-1 if several or targets[i] is None else number[targets[i]] for i in free], np.int64)

    members: list[list[int]] = [[] for _ in range(len(sizes))]
    for at in np.flatnonzero(~simple).tolist():
        members[unit[at]].append(at)
    contents = {u: _count(rows, free, targets, number, several) for u, rows in enumerate(members) if rows}
    quotas = _quotas(label[simple], contents, len(names), parts)
    room = parts * (len(free) + taken.sum()) - taken

    result = np.full(len(free), -1, np.int64)
    if contents:
        key = {u: min(keys[at] for at in members[u]) for u in contents}
        for u, part in _iterate(contents, {u: int(sizes[u]) for u in contents}, key, quotas, room).items():
            result[members[u]] = part
    simple_rows = np.flatnonzero(simple)
    order = simple_rows[np.lexsort((keys[simple_rows], label[simple_rows]))]
    edges = np.flatnonzero(np.diff(label[order], prepend=-2, append=len(names) + 1))
    blocks = sorted((int(b - a), int(a)) for a, b in pairwise(edges))  # the rarest first
    for length, start in blocks:
        block = order[start:start + length]
        counts = _fill(length, quotas[label[block[0]]] if label[block[0]] >= 0 else parts * length, room)
        result[block] = np.repeat(np.arange(len(parts)), counts)
        room -= counts
    return result


def _keys(dataset: Dataset, rows: Ints, seed: int) -> NDArray[np.uint64]:
    """[rows] a number for each row from its id and the seed: an order of chance, whatever the file's order."""
    names = dataset.column("id")
    salt = seed.to_bytes(8, "little", signed=True)
    digests = b"".join(hashlib.blake2b(names[i].encode(), digest_size=8, salt=salt).digest() for i in rows.tolist())
    return np.frombuffer(digests, np.uint64)


def _count(rows: list[int], free: Ints, targets: list[Any], number: dict[str, int], several: bool) -> dict[int, int]:
    """Rows of each label in a unit."""
    counts: dict[int, int] = {}
    for at in rows:
        target = targets[free[at]]
        for label in (target or ()) if several else () if target is None else (target,):
            counts[number[label]] = counts.get(number[label], 0) + 1
    return counts


def _quotas(simple: Ints, contents: dict[int, dict[int, int]], labels: int,
            parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """[labels, parts] rows of each label wanted in each part; one at least where the label has enough units.

    A label of two units gets one in the first part and one in the last: it can be learned from, and tested on.
    """
    rows = np.bincount(simple[simple >= 0], minlength=labels).astype(np.float64)
    units = rows.copy()
    for content in contents.values():
        for label, count in content.items():
            rows[label] += count
            units[label] += 1
    quotas = rows[:, None] * parts
    wanted = np.flatnonzero(parts > 0)
    floor = np.zeros_like(quotas)
    floor[np.ix_(units >= len(wanted), wanted)] = 1
    floor[np.ix_((units >= 2) & (units < len(wanted)), wanted[[0, -1]])] = 1
    low = quotas < floor
    lifted = np.where(low, floor, quotas)
    spare = np.where(low, 0, quotas - floor)  # what the other parts can give
    excess = lifted.sum(1) - rows
    total = spare.sum(1)
    factor = np.divide(excess, total, out=np.zeros_like(excess), where=total > 0)
    return np.asarray(lifted - spare * factor[:, None])


def _fill(length: int, quota: NDArray[np.float64], room: NDArray[np.float64]) -> Ints:
    """[parts] how many of `length` rows go to each part: as the quotas left say, then where most room is."""
    left = np.maximum(quota, 0)
    scale = left * (length / left.sum()) if left.sum() > 0 else np.full(len(quota), length / len(quota))
    counts = np.floor(scale + 1e-9).astype(np.int64)
    counts[(left >= 1) & (counts == 0)] = 1  # a part that was promised one
    while counts.sum() > length:
        counts[np.argmax(counts - scale + (counts > 1) * length)] -= 1
    behind = scale - counts
    order = np.lexsort((-(room - counts), -np.round(behind, 9)))
    for part in order[:length - int(counts.sum())]:
        counts[part] += 1
    return counts


def _iterate(contents: dict[int, dict[int, int]], sizes: dict[int, int], key: dict[int, Any],
             quotas: NDArray[np.float64], room: NDArray[np.float64]) -> dict[int, int]:
    """Part of each unit, by iterative stratification. Takes what it deals out from `quotas` and `room`."""
    holders: dict[int, list[int]] = {}
    for u, content in contents.items():
        for label in content or {-1: 0}:
            holders.setdefault(label, []).append(u)
    left = {label: sum(contents[u].get(label, 0) for u in units) for label, units in holders.items()}
    want, space = quotas.tolist(), room.tolist()
    allowed = [i for i, share in enumerate(quotas.sum(0).tolist() if quotas.size else room.tolist()) if share > 0]
    where: dict[int, int] = {}
    bare = left.pop(-1, None)
    while left or bare is not None:
        if left:
            label = min(left, key=lambda one: (left[one], one))
            del left[label]
        else:
            label, bare = -1, None
        for u in sorted((u for u in holders[label] if u not in where), key=lambda u: (-sizes[u], key[u])):
            need = want[label] if label >= 0 else space
            part = max(allowed, key=lambda i: (round(need[i], 9), space[i]))
            where[u] = part
            space[part] -= sizes[u]
            for one, count in contents[u].items():
                want[one][part] -= count
                if one in left:
                    left[one] -= count
    quotas[:], room[:] = want, space
    return where
