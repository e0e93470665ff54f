"""What written answers score: each figure with its interval, and two sets of answers held against each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..records import Estimate
from ..tasks.metrics import Array, Metric
from ..tasks.write import Write
from .compare import EXCHANGES, correlation
from .figures import Figure
from .intervals import LEVEL, difference_interval, wilson


def figures(task: Write, before: Sequence[str], after: Sequence[str], references: Sequence[str],
            inputs: Sequence[str], baseline: Sequence[str] | None = None, *, seed: int = 0) -> list[Figure]:
    """The task's figures of two sets of answers to the same rows, the leading one first.

    Args:
        before, after: [rows] answers of the model as it was, and as it is.
        references: [rows] what should be written.
        inputs: [rows] what was asked.
        baseline: [rows] answers that need no model (`task.baseline`).
        seed: of the exchanges.

    Raises:
        ValueError: fewer than two rows, or not as many answers as rows.
    """
    sets = [answers for answers in (before, after, baseline) if answers is not None]
    if len(references) < 2 or any(len(answers) != len(references) for answers in sets):
        raise ValueError("answers are of two rows or more, and there is a reference for each")
    counts = [task.scores(answers, references, inputs) for answers in sets]
    found = []
    for metric in task.metrics:
        one, two, *rest = (each[metric.name] for each in counts)
        found.append(figure(metric, one, two, *rest, seed=seed))
    return found


def figure(metric: Metric, before: Array, after: Array, baseline: Array | None = None, *, seed: int = 0) -> Figure:
    """One figure from the counts of each row, [rows, parts] each."""
    gain, p_value = compare(metric, after, before, seed=seed)
    return Figure(name=metric.name, title=metric.title, more=True, before=estimate(metric, before),
                  after=estimate(metric, after), gain=gain, p_value=p_value,
                  baseline=None if baseline is None else estimate(metric, baseline))


def estimate(metric: Metric, counts: Array) -> Estimate:
    """The figure of all rows with its interval over rows.

    The spread is the jackknife's (Tukey 1958), which serves means, ratios and BLEU of a corpus alike. Since a figure
    ends at 0 and at `most`, and few rows can all score 0, the interval is Wilson's with as many cases as that spread
    speaks for (Korn and Graubard 1998) and Student's t. docs/train.md has its coverage beside the bootstrap's.

    Args:
        counts: [rows, parts].
    """
    from scipy.stats import t

    rows = len(counts)
    share = float(metric.of(counts.sum(axis=0))) / metric.most
    if rows < 2:
        return Estimate(value=share * metric.most, low=0.0, high=metric.most, n=rows)
    without = leave_one_out(metric, counts) / metric.most
    variance = (rows - 1) / rows * float(((without - without.mean()) ** 2).sum())
    cases = share * (1 - share) / variance if variance > 1e-18 and 0 < share < 1 else rows
    low, high = wilson(share * cases, cases, float(t.ppf(0.5 + LEVEL / 2, rows - 1)))
    return Estimate(value=share * metric.most, low=float(low) * metric.most, high=float(high) * metric.most, n=rows)


def leave_one_out(metric: Metric, counts: Array) -> Array:
    """[rows] the figure of all rows but each one."""
    return metric.of(counts.sum(axis=0) - counts)


def compare(metric: Metric, one: Array, other: Array, *, seed: int = 0,
            exchanges: int = EXCHANGES) -> tuple[Estimate, float]:
    """One minus other on the same rows, with its interval and the p-value of "neither is better".

    The interval is `difference_interval` with the correlation of the jackknife. The test is the paired randomization
    test, two-sided (Yeh 2000; for BLEU Riezler and Maxwell 2005, "On some pitfalls in automatic evaluation and
    significance testing for MT"): were both equally good, each row's two answers could be exchanged. The arrangement
    that was seen counts as one of the draws (Phipson and Smyth 2010).

    Args:
        one, other: [rows, parts] counts.
    """
    differ = (one != other).any(axis=1)
    if not differ.any():
        return Estimate(value=0.0, low=0.0, high=0.0, n=len(one)), 1.0
    first, second = estimate(metric, one), estimate(metric, other)
    low, high = difference_interval(first, second, correlation(leave_one_out(metric, one),
                                                               leave_one_out(metric, other)))
    difference = first.value - second.value
    gain = Estimate(value=difference, low=min(low, difference), high=max(high, difference), n=len(one))
    rng, apart = np.random.default_rng(seed), (other - one)[differ]
    extreme, total, rest = 0, one.sum(axis=0), other.sum(axis=0)
    for begin in range(0, exchanges, 500):  # [exchanges, rows] coins, some at a time
        moved = rng.integers(0, 2, (min(500, exchanges - begin), len(apart))) @ apart
        extreme += int((np.abs(metric.of(total + moved) - metric.of(rest - moved)) >= abs(difference) - 1e-9).sum())
    return gain, (1 + extreme) / (1 + exchanges)


def verdict(lead: Figure) -> str:
    """One sentence for people on the figure that leads: are the answers better?"""
    gain, before, after = lead.gain, lead.before, lead.after
    assert gain is not None
    said = f"{lead.title} went from {before.value:.3g} to {after.value:.3g}"
    spread = f"{gain.value:+.3g}, from {gain.low:+.3g} to {gain.high:+.3g}, n {gain.n}"
    if gain.low <= 0 <= gain.high:
        return f"Nothing is proven: {said}, and on {gain.n} unseen rows that could be chance ({spread})."
    if gain.value < 0:
        return f"It answers worse than before: {said} ({spread})."
    if lead.baseline is not None and after.value <= lead.baseline.value:
        return (f"It answers better than before, but no better than the baseline, which needs no model: {said} "
                f"({spread}), the baseline has {lead.baseline.value:.3g}.")
    return f"It answers better than before: {said} ({spread})."
