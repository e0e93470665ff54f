"""What a candidate scores on one split, every figure with an interval that keeps its promise when cases are few."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..records import Estimate
from ..tasks.classify import Classify, Floats
from .counts import Array, Patterns, Totals, checked, decisions, known_metric, patterns
from .intervals import correlations, f1_interval, mean_interval, share, wilson
from .result import ClassScore, Scores

RESAMPLES = 1000
BIAS = 2.0
"""How often the bootstrap's estimate of the bias is added to the interval of macro-F1: measured, see `macro_f1`."""


def score(task: Classify, y: NDArray[Any], logits: Floats,
          split: Literal["validation", "test", "cross-validation"], *,
          temperature: float = 1.0, seed: int = 0, resamples: int = RESAMPLES) -> Scores:
    """All scores of one candidate on one split.

    Precision, recall and accuracy are shares with Wilson's interval (1927); a class's F1 has the interval of Lam,
    Gopal and Qian (2023); macro-F1 that of `macro_f1` below; log loss that of `mean_loss`.
    A class without examples in `y` keeps n = 0 and, where it was never given either, the interval 0 to 1; it then
    does not enter macro-F1, as in scikit-learn.

    Args:
        y: [rows] class indices, or [rows, labels] 0/1 for multi-label (`task.encode`).
        logits: [rows, labels].
        split: which rows these are, for the reader.
        temperature: divides the logits for log loss; decisions do not depend on it.
        seed, resamples: of the bootstrap (Efron 1979) that gives correlations and bias.

    Raises:
        DataError: no rows, or logits that are not numbers.
        UserError: the task's metric is unknown.
    """
    known_metric(task.metric)
    checked(task, y, [("The candidate", logits)])
    decided = decisions(task, logits)
    rows = patterns(task, y, decided)
    totals, (redrawn,) = rows.totals(), redraw(rows, resamples, np.random.default_rng(seed))
    figures = {name: estimate(name, totals, redrawn) for name in ("macro_f1", "accuracy", "micro_f1")}
    confusion: list[list[int]] = []
    if not task.multi_label:
        width = len(task.labels)
        confusion = np.bincount(y * width + decided, minlength=width * width).reshape(width, width).tolist()
    return Scores(split=split, n=len(y), metric=task.metric, score=figures[task.metric], **figures,
                  log_loss=mean_loss(losses(task, y, logits, temperature)), per_class=_per_class(task, totals),
                  confusion=confusion)


def redraw(rows: Patterns, resamples: int, rng: np.random.Generator) -> list[Totals]:
    """Counts of each candidate over many draws of the rows with replacement; the draws are the same for all."""
    parts = [[rows.totals(i, weights) for i in range(len(rows.decided))] for weights in rows.draws(resamples, rng)]
    return [Totals(*(np.concatenate([getattr(part[i], field.name) for part in parts]) for field in fields(Totals)))
            for i in range(len(rows.decided))]


def estimate(metric: str, totals: Totals, redrawn: Totals) -> Estimate:
    """One metric with its interval, from the counts and the same counts redrawn."""
    if metric == "accuracy":
        return share(float(totals.right), float(totals.rows))
    return macro_f1(totals, redrawn) if metric == "macro_f1" else micro_f1(totals, redrawn)


def macro_f1(totals: Totals, redrawn: Totals) -> Estimate:
    """Macro-F1 over the labels that occur, with an interval of three parts.

    1. Each class's F1 has its own interval (`f1_interval`), which stays open at 0 and 1 where the bootstrap's closes.
    2. They are added by MOVER (Zou and Donner 2008) with the correlations of the bootstrap.
    3. F1 of a rare class is biased downwards. The bootstrap shows part of that bias (Efron and Tibshirani 1993,
       chapter 10); twice its size is added on the side it points away from. Twice was tuned: once covered too
       little with some five examples a class. docs/evaluation.md has its coverage on populations it was not tuned on.

    A class that a draw lost altogether keeps its observed F1 there, so that every draw averages the same classes.
    """
    f1 = totals.f1()
    known = ~np.isnan(f1)
    if not known.any():  # multi-label rows without any label, given or true
        return Estimate(value=0.0, low=0.0, high=1.0, n=int(totals.rows))
    low, high = (side[known] for side in f1_interval(totals.hits, totals.given, totals.has))
    drawn = redrawn.f1()[:, known]  # [resamples, known classes]
    drawn = np.where(np.isnan(drawn), f1[known], drawn)
    value, shift = float(f1[known].mean()), float(drawn.mean() - f1[known].mean())
    down, up = mean_interval(f1[known], low, high, correlations(drawn))
    return Estimate(value=value, low=max(0.0, min(value, down - BIAS * max(0.0, shift))),
                    high=min(1.0, max(value, up + BIAS * max(0.0, -shift))), n=int(totals.rows))


def micro_f1(totals: Totals, redrawn: Totals) -> Estimate:
    """F1 of all labels counted together.

    With one label a row it is the accuracy. With several, the decisions of one row hang together: the interval is
    that of `clustered`, of the share behind F1 (`f1_interval`).
    """
    n = int(totals.rows)
    given, has, hits = (float(part.sum()) for part in (totals.given, totals.has, totals.hits))
    if given == n == has and (totals.given.sum() == redrawn.given.sum(-1)).all():
        return share(hits, n)
    whole = given + has - hits
    if not whole:
        return Estimate(value=0.0, low=0.0, high=1.0, n=n)
    hit = redrawn.hits.sum(-1)
    drawn = hit / np.maximum(redrawn.given.sum(-1) + redrawn.has.sum(-1) - hit, 1)
    low, high = (2 * side / (1 + side) for side in clustered(hits, whole, drawn, n))
    part = hits / whole
    return Estimate(value=2 * part / (1 + part), low=low, high=high, n=n)


def clustered(part: float, whole: float, drawn: Array, rows: int) -> tuple[float, float]:
    """Interval of a share whose cases hang together within rows: Wilson's, with the sample size that the variance of
    its bootstrap speaks for (Korn and Graubard 1998).

    Args:
        part, whole: counts; the whole is above 0.
        drawn: [draws] the share when rows are drawn again.
    """
    share, variance = part / whole, float(drawn.var())
    effective = min(whole, share * (1 - share) / variance) if variance > 0 else min(whole, rows)
    low, high = (float(side) for side in wilson(share * effective, effective))
    return low, high


def losses(task: Classify, y: NDArray[Any], logits: Floats, temperature: float = 1.0) -> Array:
    """Negative log-likelihood of each row's target [rows]; for multi-label the mean over labels."""
    scaled = np.asarray(logits, np.float64) / temperature
    if task.multi_label:
        return np.asarray((np.logaddexp(0, scaled) - y * scaled).mean(axis=1))
    top = scaled.max(axis=1)
    total = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
    return np.asarray(total - scaled[np.arange(len(y)), y])


def mean_loss(values: Array) -> Estimate:
    """Mean loss with a t interval corrected for skewness, for a few rows cost most of the loss.

    Johnson (1978), "Modified t tests and confidence intervals for asymmetrical populations". One row says nothing
    of the spread; its interval runs to twice the loss, and n says why.
    """
    n, mean = len(values), float(values.mean())
    if n < 2:
        return Estimate(value=mean, low=0.0, high=2 * mean, n=n)
    from scipy.stats import t
    spread = values - mean
    variance = float((spread ** 2).sum() / (n - 1))
    shift = float((spread ** 3).mean()) / (6 * variance * n) if variance > 1e-18 else 0.0
    half = float(t.ppf(0.975, n - 1)) * (variance / n) ** 0.5
    low, high = mean + shift - half, mean + shift + half
    return Estimate(value=mean, low=max(0.0, min(mean, low)), high=max(mean, high), n=n)


def _per_class(task: Classify, totals: Totals) -> list[ClassScore]:
    low, high = f1_interval(totals.hits, totals.given, totals.has)
    f1 = np.nan_to_num(totals.f1())
    return [ClassScore(label=label, support=int(totals.has[i]), precision=share(totals.hits[i], totals.given[i]),
                       recall=share(totals.hits[i], totals.has[i]),
                       f1=Estimate(value=float(f1[i]), low=min(float(low[i]), float(f1[i])),
                                   high=max(float(high[i]), float(f1[i])), n=int(totals.has[i])))
            for i, label in enumerate(task.labels)]
