"""Where the model is worse than elsewhere: by length, source, language and whatever else the rows carry."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..tasks.classify import Classify, Floats
from .compare import ALPHA
from .counts import Array, Patterns, Totals, checked, decisions, known_metric, patterns
from .frontier import Fell
from .result import SliceScore
from .scores import RESAMPLES, estimate, redraw

if TYPE_CHECKING:
    from ..data.dataset import Dataset

FEWEST = 10
"""Rows a slice needs to be shown."""
DISTINCT, TOP = 12, 10


def slices(task: Classify, dataset: Dataset, y: NDArray[Any], logits: Floats, *, metric: str | None = None,
           seed: int = 0) -> list[SliceScore]:
    """The metric on parts of the rows.

    Dimensions: length (thirds, by words), source, language where a column has that name, and every other column
    of at most 12 values; of a text column with more values, the 10 commonest. Slices of fewer than 10 rows are
    left out.

    `worse` compares a slice with all other rows by a permutation test (Fisher 1935): rows are dealt at random into
    parts of the same sizes. Many slices are tested at once, and a flag is a hint where to look, so of the flags 5 %
    may be false (Benjamini and Hochberg 1995).

    Args:
        dataset: the rows, in the order of `y` and `logits`.
        y: [rows] class indices, or [rows, labels] 0/1.
        logits: [rows, labels].
        metric: by default the task's.
        seed: of the permutations and intervals.

    Raises:
        DataError: no rows, or logits that are not numbers.
        UserError: unknown metric.
    """
    metric = known_metric(metric or task.metric)
    checked(task, y, [("The candidate", logits)], dataset)
    found = parts(dataset)
    if not found:
        return []
    rng = np.random.default_rng(seed)
    rows = patterns(task, y, decisions(task, logits))
    from scipy.stats import false_discovery_control

    p_values = false_discovery_control(_worse(rows, metric, [mask for _, _, mask in found], rng))
    out = []
    for (dimension, value, mask), p in zip(found, p_values, strict=True):
        part = Patterns(np.bincount(rows.place[mask], minlength=len(rows.counts)), rows.truth, rows.decided,
                        rows.place[mask])
        (redrawn,) = redraw(part, RESAMPLES, rng)
        out.append(SliceScore(dimension=dimension, value=value, score=estimate(metric, part.totals(), redrawn),
                              worse=bool(p < ALPHA)))
    return out


def fallen(dataset: Dataset, before: NDArray[np.bool_], after: NDArray[np.bool_]) -> list[Fell]:
    """Parts of the rows, and labels, where a smaller form of a model loses more than elsewhere.

    Rows that it alone has wrong are counted in each part; how likely so many of them fall there by chance is Fisher's
    exact test (1922, one-sided), corrected for the number of parts (Benjamini and Hochberg 1995, 5 %).

    Args:
        before, after: [rows] whether the original and the smaller form are right.
    """
    from scipy.stats import false_discovery_control, hypergeom

    lost, won = before & ~after, after & ~before
    labels = [("label", name, mask) for name, mask in _labels(dataset) if FEWEST <= mask.sum() < len(before)]
    found = [one for one in labels + parts(dataset) if lost[one[2]].sum() > won[one[2]].sum()]
    if not found:
        return []
    p_values = false_discovery_control([
        float(hypergeom.sf(lost[mask].sum() - 1, len(lost), lost.sum(), mask.sum())) for _, _, mask in found])
    return [Fell(dimension=dimension, value=value, lost=int(lost[mask].sum() - won[mask].sum()), n=int(mask.sum()))
            for (dimension, value, mask), p in zip(found, p_values, strict=True) if p < ALPHA]


def _labels(dataset: Dataset) -> list[tuple[str, NDArray[np.bool_]]]:
    """Rows that have each label."""
    targets = [set(one) if isinstance(one, list) else {one} for one in dataset.targets]
    return [(str(label), np.array([label in one for one in targets])) for label in sorted(set().union(*targets))]


def parts(dataset: Dataset) -> list[tuple[str, str, NDArray[np.bool_]]]:
    """Dimension, name and rows of every part that is large enough to be shown, and is not everything."""
    return [(dimension, value, mask) for dimension, values in _dimensions(dataset)
            for value, mask in _parts(dimension, values) if FEWEST <= mask.sum() < len(dataset)]


def _dimensions(dataset: Dataset) -> list[tuple[str, list[Any]]]:
    found = [("length", [len(text.split()) for text in dataset.texts]), ("source", dataset.column("source"))]
    rest = sorted(dataset.meta, key=lambda name: (name != "language", name))
    return found + [(name, dataset.column(name)) for name in rest]


def _parts(dimension: str, values: list[Any]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Named parts of the rows along one dimension; none when it does not divide them usefully."""
    if dimension == "length":
        return _thirds(np.array(values))
    if not all(isinstance(value, str | bool | int) or value is None for value in values):
        return []
    counts = Counter(value for value in values if value is not None and value != "")
    if len(counts) < 2 or (len(counts) > DISTINCT and not all(_is_name(value) for value in counts)):
        return []
    shown = [value for value, _ in counts.most_common(TOP if len(counts) > DISTINCT else DISTINCT)]
    return [(str(value), np.array([other == value for other in values])) for value in shown]


def _is_name(value: Any) -> bool:
    """Text that is no number: a column of many numbers counts something, and its single values are no parts."""
    return isinstance(value, str) and not value.strip().lstrip("+-").replace(".", "", 1).replace(",", "").isdigit()


def _thirds(words: NDArray[np.int64]) -> list[tuple[str, NDArray[np.bool_]]]:
    low, high = (int(q) for q in np.quantile(words, [1 / 3, 2 / 3], method="lower"))
    if low == high:
        return [(f"short (up to {low} words)", words <= low), (f"long (over {low} words)", words > low)]
    return [(f"short (up to {low} words)", words <= low),
            (f"medium ({low + 1} to {high} words)", (words > low) & (words <= high)),
            (f"long (over {high} words)", words > high)]


def _worse(rows: Patterns, metric: str, masks: list[NDArray[np.bool_]], rng: np.random.Generator) -> Array:
    """One-sided p-value of "this part is no worse than the rest" for each mask.

    One shuffle serves every part: its first m rows are a random part of m rows.
    """
    width, cells = rows.truth.shape[1], len(rows.counts)
    truth, decided = rows.truth, rows.decided[0]
    columns = np.hstack([truth * decided, decided, truth, (truth == decided).all(axis=1)[:, None],
                         np.ones((cells, 1))]).astype(np.float32)  # [patterns, 3 labels + 2]

    def gap(part: Array) -> Array:  # [..., 3 labels + 2] -> metric of the part minus metric of the rest
        inside, outside = (Totals(side[..., :width], side[..., width:2 * width], side[..., 2 * width:3 * width],
                                  side[..., -2], side[..., -1]) for side in (part, whole - part))
        return inside.metric(metric) - outside.metric(metric)

    whole = (rows.counts @ columns).astype(np.float64)
    sizes, which = np.unique([int(mask.sum()) for mask in masks], return_inverse=True)
    seen = np.stack([np.bincount(rows.place[mask], minlength=cells) for mask in masks]) @ columns
    observed = gap(seen.astype(np.float64))
    # So many that one bad part alone can pass the correction: the smallest p-value is 1 / (draws + 1).
    draws = max(int(np.clip(20_000_000 // rows.rows, 500, 2000)), 40 * len(masks))
    segment = np.repeat(np.arange(len(sizes)), np.diff(sizes, prepend=0)) * cells  # rows between two sizes
    as_bad = np.zeros(len(masks))
    for _ in range(draws):
        shuffled = rng.permutation(rows.place)[:sizes[-1]]
        counts = np.bincount(shuffled + segment, minlength=len(sizes) * cells).reshape(len(sizes), cells)
        dealt = np.cumsum(counts.astype(np.float32) @ columns, axis=0, dtype=np.float64)
        as_bad += gap(dealt)[which] <= observed + 1e-12
    return (1 + as_bad) / (1 + draws)
