"""Dealing rows out to parts, stratified by label: what `split` and `folds` stand on.

Units of one row with one label are dealt out class by class. All others follow iterative stratification: Sechidis,
Tsoumakas and Vlahavas, "On the Stratification of Multi-Label Data", ECML PKDD 2011: always deal the label with the
fewest rows left, each unit to the part that lacks most of that label.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset
from .duplicates import Ints

BARE = -1
"""Stands for the label of a unit that has none."""


def deal(dataset: Dataset, free: Ints, units: Ints, shares: NDArray[np.float64], seed: int,
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
    contents: dict[int, Counter[int]] = {u: Counter(
        number[one] for at in rows if (target := targets[free[at]]) is not None
        for one in (target if several else (target,))) for u, rows in enumerate(members) if rows}
    quotas = _quotas(label[simple], contents, len(names), parts)
    room = parts * (len(free) + taken.sum()) - taken

    result = np.full(len(free), -1, np.int64)
    if contents:
        key = {u: min(keys[at] for at in members[u]) for u in contents}
        for u, part in _iterate(contents, sizes.tolist(), key, quotas, room).items():
            result[members[u]] = part
    simple_rows = np.flatnonzero(simple)
    order = simple_rows[np.lexsort((keys[simple_rows], label[simple_rows]))]
    edges = np.flatnonzero(np.diff(label[order], prepend=-2, append=len(names) + 1))
    for length, start in sorted((int(b - a), int(a)) for a, b in pairwise(edges)):  # the rarest first
        block = order[start:start + length]
        counts = _fill(length, quotas[label[block[0]]] if label[block[0]] >= 0 else parts, parts, room)
        result[block] = np.repeat(np.arange(len(parts)), counts)
        room -= counts
    return result


def _keys(dataset: Dataset, rows: Ints, seed: int) -> NDArray[np.uint64]:
    """[rows] a number for each row from its id and the seed: an order of chance, whatever the file's order."""
    names = dataset.column("id")
    salt = seed.to_bytes(8, "little", signed=True)
    digests = b"".join(hashlib.blake2b(names[i].encode(), digest_size=8, salt=salt).digest() for i in rows.tolist())
    return np.frombuffer(digests, np.uint64)


def _quotas(simple: Ints, contents: dict[int, Counter[int]], labels: int,
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


def _fill(length: int, quota: NDArray[np.float64], parts: NDArray[np.float64], room: NDArray[np.float64]) -> Ints:
    """[parts] how many of `length` rows go to each part: as the quotas left say, then where most room is."""
    left = np.maximum(quota, 0)
    scale = left * (length / left.sum()) if left.sum() > 0 else parts * length
    counts = np.floor(scale + 1e-9).astype(np.int64)
    counts[(left >= 1) & (counts == 0)] = 1  # a part that was promised one
    while counts.sum() > length:
        counts[np.argmax(counts - scale + (counts > 1) * length)] -= 1
    behind = scale - counts
    order = np.lexsort((-(room - counts), -np.round(behind, 9)))
    for part in order[:length - int(counts.sum())]:
        counts[part] += 1
    return counts


def _iterate(contents: dict[int, Counter[int]], sizes: list[int], key: dict[int, Any],
             quotas: NDArray[np.float64], room: NDArray[np.float64]) -> dict[int, int]:
    """Part of each unit, by iterative stratification. Takes what it deals out from `quotas` and `room`."""
    holders: dict[int, list[int]] = {}
    for u, content in contents.items():
        for label in content or (BARE,):
            holders.setdefault(label, []).append(u)
    left: dict[int, float] = {label: sum(contents[u][label] for u in units) for label, units in holders.items()}
    if BARE in left:
        left[BARE] = math.inf  # last of all
    fewest = [(rows, label) for label, rows in left.items()]
    heapify(fewest)
    want, space = quotas.tolist(), room.tolist()
    allowed = [i for i, share in enumerate(quotas.sum(0).tolist() if quotas.size else space) if share > 0]
    where: dict[int, int] = {}
    while fewest:
        rows, label = heappop(fewest)
        if left.get(label) != rows:
            continue  # some of its rows were dealt since, or all
        del left[label]
        for u in sorted((u for u in holders[label] if u not in where), key=lambda u: (-sizes[u], key[u])):
            need = space if label == BARE else want[label]
            part = max(allowed, key=lambda i: (round(need[i], 9), space[i]))
            where[u] = part
            space[part] -= sizes[u]
            for one, count in contents[u].items():
                want[one][part] -= count
                if one in left:
                    left[one] -= count
                    heappush(fewest, (left[one], one))
    room[:] = space
    if want:  # without labels there are no quotas
        quotas[:] = want
    return where
