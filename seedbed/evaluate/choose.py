"""The rule that chooses between candidates: the cheapest that is not worse than the best, said with its figures."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import TENTATIVE_BELOW, Record
from ..tasks.classify import Classify, Floats
from .compare import ALPHA, chance_test, compare_decisions, exchange_test
from .counts import METRICS, checked, decisions, known_metric, patterns
from .intervals import holm
from .result import Comparison

MARGIN = 0.02
POWER = 0.8
FLOOR = "always giving the commonest label, or than chance"


class Choice(Record):
    """Who won, and why."""

    candidate: str
    rule: str
    """The rule in words, with the figures put in."""
    comparisons: dict[str, Comparison]
    """Every other candidate against the best; p-values corrected for their number."""
    best: str
    """The best score, whoever won."""
    detectable: float | None
    """The smallest true difference that these rows would show with 80 % power; None with one candidate."""
    learned: bool
    """Some candidate is proven better than always giving the commonest label, and than chance."""
    tentative: bool
    """The winner is not proven to have learned, or there are fewer than 30 rows."""


def choose(task: Classify, y: NDArray[Any], logits_by_candidate: Mapping[str, Floats], ranks: Mapping[str, int], *,
           metric: str | None = None, seed: int = 0, margin: float = MARGIN) -> Choice:
    """Choose the cheapest candidate that is not statistically worse than the best.

    1. The best is the candidate with the highest score on these rows; of equals, the cheapest.
    2. Every other one is tested against it (`compare`). The p-values are corrected by Holm (1979): "worse" is a
       claim shown to people, so among all of them a false one may occur in 5 % of runs at most.
    3. Absence of proof is not proof of absence. With few rows almost nothing is significant, and the test alone
       would pick the cheapest whatever it loses. So a cheaper candidate must also score at most `margin` below
       the best. Where rows suffice to show a loss of `margin` this changes nothing, because a larger loss would
       be significant already; it decides only where the test is blind. Demanding instead that the whole interval
       exclude a loss of `margin` (non-inferiority) would take some 2,000 rows to ever choose a cheap candidate.
       docs/evaluation.md has what each rule costs, simulated.
    4. A candidate must be proven to have learned: better than always giving the commonest label (paired test) and
       better than its own answers shuffled (`chance_test`), both at 5 % (an intersection-union test, Berger 1982)
       and corrected by Holm over candidates. If none is, the best score wins, and the rule says it is tentative.

    Args:
        y: [rows] class indices, or [rows, labels] 0/1.
        logits_by_candidate: [rows, labels] each, on the same rows.
        ranks: cost rank of each, 0 the cheapest.
        metric: by default the task's.
        margin: a loss, in the metric, that is accepted for a cheaper candidate when the rows cannot tell.

    Raises:
        DataError: no rows, or logits that are not numbers.
        UserError: unknown metric.
        ValueError: no candidates.
    """
    metric = known_metric(metric or task.metric)
    names = sorted(logits_by_candidate, key=lambda name: (ranks[name], name))
    if not names:
        raise ValueError("no candidates to choose from")
    checked(task, y, list(logits_by_candidate.items()))
    decided = {name: decisions(task, logits_by_candidate[name]) for name in names}
    scores = {name: float(patterns(task, y, decided[name]).totals().metric(metric)) for name in names}
    best = max(names, key=lambda name: scores[name])  # max keeps the first, the cheapest
    others = [name for name in names if name != best]
    found = {name: compare_decisions(task, y, decided[best], decided[name], best=best, metric=metric, seed=seed)
             for name in others}
    comparisons = _corrected({name: record for name, (record, _) in found.items()})
    learned = _learned(task, y, decided, metric, seed)
    passed = {name for name in names
              if name == best or (not comparisons[name].worse and scores[best] - scores[name] <= margin + 1e-12)}
    winner = next((name for name in names if name in passed and name in learned), best)
    rival = winner if winner != best else max(others, key=lambda name: scores[name], default=None)
    power = NormalDist().inv_cdf(1 - ALPHA) + NormalDist().inv_cdf(POWER)
    detectable = power * found[rival][1] if rival is not None else None
    rule = _rule(METRICS[metric], len(y), scores, best, winner, passed, learned, comparisons, margin, detectable)
    return Choice(candidate=winner, rule=rule, comparisons=comparisons, best=best, detectable=detectable,
                  learned=bool(learned), tentative=winner not in learned or len(y) < TENTATIVE_BELOW)


def _corrected(found: dict[str, Comparison]) -> dict[str, Comparison]:
    adjusted = holm([record.p_value for record in found.values()])
    note = f"; p corrected for {len(found)} comparisons (Holm)" if len(found) > 1 else ""
    return {name: record.model_copy(update={"p_value": p, "worse": p < ALPHA, "test": record.test + note})
            for (name, record), p in zip(found.items(), adjusted, strict=True)}


def _learned(task: Classify, y: NDArray[Any], decided: dict[str, NDArray[Any]], metric: str, seed: int) -> set[str]:
    """The candidates that are proven better than the commonest answer and than chance."""
    constant = (y.mean(axis=0) >= 0.5).astype(np.int64) if task.multi_label else \
        np.asarray(np.bincount(y).argmax(), np.int64)
    commonest = np.broadcast_to(constant, y.shape)
    varied = [name for name, answers in decided.items() if (answers != answers[0]).any()]
    p_values = []
    for name in varied:
        rng = np.random.default_rng(seed)
        p_values.append(max(exchange_test(patterns(task, y, decided[name], commonest), metric, rng, 1000),
                            chance_test(task, y, decided[name], metric, rng)))
    return {name for name, p in zip(varied, holm(p_values), strict=True) if p < ALPHA}


def _rule(metric: str, rows: int, scores: dict[str, float], best: str, winner: str, passed: set[str],
          learned: set[str], comparisons: dict[str, Comparison], margin: float, detectable: float | None) -> str:
    """The rule with the figures put in; `scores` are in order of cost."""
    def against(name: str) -> str:
        one = comparisons[name]
        if not one.difference.value and not one.difference.low and not one.difference.high:
            return "scores the same"
        p_value = f"= {one.p_value:.3f}" if one.p_value >= 0.001 else "< 0.001"
        return (f"{one.difference.value:.3f} lower (95 % interval of the difference {one.difference.low:.3f} to "
                f"{one.difference.high:.3f}, p {p_value})")

    def why_not(name: str) -> str:
        if name in passed:
            return f"is not proven better than {FLOOR}"
        if comparisons[name].worse:
            return f"is worse, {against(name)}"
        return f"is not proven worse, but is {against(name)}, more than {margin:g}"

    if len(scores) == 1:
        parts = [f"There was one candidate, {winner}: {metric} {scores[winner]:.3f} on {rows:,} rows."]
    else:
        several = f", corrected for {len(comparisons)} comparisons by Holm's method" if len(comparisons) > 1 else ""
        parts = [f"The cheapest candidate wins that is not statistically worse than the best (paired randomization "
                 f"test on the same {rows:,} rows, one-sided at {ALPHA:.0%}{several}), scores at most {margin:g} "
                 f"below it, and is proven to have learned something.",
                 f"Best: {best}, {metric} {scores[best]:.3f}."]
    if not learned:
        parts.append(f"But no candidate is proven better than {FLOOR}: {rows:,} rows do not show that anything was "
                     f"learned. {winner} has the best score and is taken as tentative; label more rows before "
                     f"relying on it.")
    elif winner != best:
        parts.append(f"Chosen: {winner}, {scores[winner]:.3f}, which is cheaper and {against(winner)}.")
    elif len(scores) > 1:
        parts.append("Chosen: the best itself.")
    names = list(scores)
    reasons = [f"{name} ({scores[name]:.3f}) {why_not(name)}" for name in names[:names.index(winner)]]
    if reasons and learned:
        parts.append(f"Cheaper, but not chosen: {'; '.join(reasons)}.")
    if learned and winner not in learned:
        parts.append(f"{winner} itself is not proven better than {FLOOR}; treat it as tentative.")
    if detectable is not None:
        parts.append("It and its closest rival answered alike on every row." if detectable < 1e-9 else
                     f"What {rows:,} rows can show: a true difference of {detectable:.3f} would be found four times "
                     f"in five, a smaller one less often.")
    return " ".join(parts)
