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
    words = _Words(METRICS[metric], len(y), scores, best, winner, names, comparisons, passed, learned, margin,
                   detectable)
    return Choice(candidate=winner, rule=words.rule(), comparisons=comparisons, best=best, detectable=detectable,
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


class _Words:
    """Puts the figures into the rule."""

    def __init__(self, metric: str, rows: int, scores: dict[str, float], best: str, winner: str, names: list[str],
                 comparisons: dict[str, Comparison], passed: set[str], learned: set[str], margin: float,
                 detectable: float | None) -> None:
        self.metric, self.rows, self.scores, self.best, self.winner = metric, rows, scores, best, winner
        self.names, self.comparisons, self.passed, self.learned = names, comparisons, passed, learned
        self.margin, self.detectable = margin, detectable

    def rule(self) -> str:
        if len(self.names) == 1:
            parts = [f"There was one candidate, {self.winner}: {self.metric} {self.scores[self.winner]:.3f} "
                     f"on {self.rows:,} rows."]
        else:
            parts = [f"The cheapest candidate wins that is not statistically worse than the best "
                     f"(paired randomization test on the same {self.rows:,} rows, one-sided at {ALPHA:.0%}"
                     f"{self._corrected()}), scores at most {self.margin:g} below it, and is proven to have learned "
                     f"something.", f"Best: {self.best}, {self.metric} {self.scores[self.best]:.3f}."]
        if not self.learned:
            parts.append(f"But no candidate is proven better than {FLOOR}: {self.rows:,} rows do not show that "
                         f"anything was learned. {self.winner} has the best score and is taken as tentative; label "
                         f"more rows before relying on it.")
        elif self.winner != self.best:
            parts.append(f"Chosen: {self.winner}, {self.scores[self.winner]:.3f}, which is cheaper and "
                         f"{self._against(self.winner)}.")
        elif len(self.names) > 1:
            parts.append("Chosen: the best itself.")
        cheaper = self.names[:self.names.index(self.winner)]
        reasons = [f"{name} ({self.scores[name]:.3f}) {self._why_not(name)}" for name in cheaper]
        if reasons and self.learned:
            parts.append(f"Cheaper, but not chosen: {'; '.join(reasons)}.")
        if self.winner == self.best and self.winner not in self.learned and self.learned:
            parts.append(f"{self.winner} itself is not proven better than {FLOOR}; treat it as tentative.")
        return " ".join([*parts, *self._power()])

    def _corrected(self) -> str:
        count = len(self.comparisons)
        return f", corrected for {count} comparisons by Holm's method" if count > 1 else ""

    def _against(self, name: str) -> str:
        one = self.comparisons[name]
        if not one.difference.value and not one.difference.low and not one.difference.high:
            return "scores the same"
        return (f"{one.difference.value:.3f} lower (95 % interval of the difference {one.difference.low:.3f} to "
                f"{one.difference.high:.3f}, p {f'= {one.p_value:.3f}' if one.p_value >= 0.001 else '< 0.001'})")

    def _why_not(self, name: str) -> str:
        if name not in self.passed and self.comparisons[name].worse:
            return f"is worse, {self._against(name)}"
        if name not in self.passed:
            return f"is not proven worse, but is {self._against(name)}, more than {self.margin:g}"
        return f"is not proven better than {FLOOR}"

    def _power(self) -> list[str]:
        if self.detectable is None:
            return []
        if self.detectable < 1e-9:
            return ["It and its closest rival answered alike on every row."]
        return [f"What {self.rows:,} rows can show: a true difference of {self.detectable:.3f} would be found four "
                f"times in five, a smaller one less often."]
