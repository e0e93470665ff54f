from __future__ import annotations

import numpy as np
import pytest

from seedbed.data.marks import Span
from seedbed.evaluate.entities import count, figures
from seedbed.evaluate.figures import Figure
from seedbed.tasks.entities import Entities

TASK = Entities(("L", "P", "Q"))
TRUTH = [[Span(0, 3, "P"), Span(10, 14, "L")], [Span(0, 3, "P")], [], [Span(5, 9, "L")]]
FOUND = [[Span(0, 3, "P"), Span(10, 13, "L")], [Span(0, 3, "L")], [Span(1, 2, "P")], []]


def of(table: np.ndarray, before: np.ndarray | None = None) -> dict[str, Figure]:
    """Figures of one tagger, by name."""
    before = table if before is None else before
    return {one.name: one for one in figures(TASK, before, table, before)}


def test_exact_and_partial_figures_by_hand() -> None:
    found = of(count(TASK, TRUTH, FOUND))
    assert {name: one.after.value for name, one in found.items()} == pytest.approx({
        "micro_f1": 2 / 8, "precision": 1 / 4, "recall": 1 / 4, "macro_f1": 1 / 4, "partial_f1": 4 / 8, "f1:L": 0,
        "f1:P": 1 / 2, "f1:Q": 0})  # Q is neither true nor found, and not in macro-F1
    assert [found[f"f1:{label}"].title for label in TASK.labels] == [
        "F1 of L, 2 entities", "F1 of P, 2 entities", "F1 of Q, 0 entities"]
    for name, one in found.items():
        e = one.after
        assert 0 <= e.low <= e.value <= e.high <= 1 and e.n == {"f1:L": 3, "f1:P": 3, "f1:Q": 0}.get(name, 4)


def test_a_rare_label_that_was_never_found_is_open() -> None:
    """Two of 100 rows have it: that none was found says little, however many rows there are."""
    truth = [[Span(0, 3, "P")] if i else [Span(0, 3, "L")] for i in (0, 0, *range(1, 99))]
    found = of(count(TASK, truth, [[] if i < 2 else row for i, row in enumerate(truth)]))
    rare, macro = found["f1:L"].after, found["macro_f1"].after
    assert (rare.value, rare.n, rare.tentative) == (0, 2, True) and rare.high > 0.9
    assert macro.value == 0.5 and macro.high > 0.9


def test_a_span_is_paired_once() -> None:
    long, short = [[Span(0, 10, "P")]], [[Span(0, 2, "P"), Span(3, 5, "P"), Span(9, 12, "P")]]
    assert count(TASK, long, short)[0, 1].tolist() == [0, 1, 3, 1]
    assert count(TASK, short, long)[0, 1].tolist() == [0, 1, 1, 3]
    assert of(count(TASK, TRUTH, TRUTH))["micro_f1"].after.value == 1


def some(rows: int, each: int, right: float, rng: np.random.Generator) -> tuple[list[list[Span]], list[list[Span]]]:
    """Rows whose entities are found all together, or not at all: as few cases as rows."""
    truth = [[Span(10 * i, 10 * i + 3, "P") for i in range(each)] for _ in range(rows)]
    return truth, [row if rng.random() < right else [] for row in truth]


def test_entities_of_one_row_are_no_further_cases() -> None:
    one, many = (of(count(TASK, *some(60, each, 0.5, np.random.default_rng(1))))["recall"].after for each in (1, 20))
    assert many.value == one.value
    assert many.high - many.low == pytest.approx(one.high - one.low, rel=0.1)


def test_the_interval_of_f1_holds_the_truth() -> None:
    """F1 of infinitely many rows is 2r / (1 + r) where a share r is found and nothing else."""
    rng, held, wanted = np.random.default_rng(5), 0, 2 * 0.6 / 1.6
    for _ in range(150):
        e = of(count(TASK, *some(40, 3, 0.6, rng)))["micro_f1"].after
        held += e.low <= wanted <= e.high
    assert held >= 138  # 95 % of 150 less two standard errors


def test_a_gain_is_paired() -> None:
    rng = np.random.default_rng(2)
    truth, found = some(80, 2, 0.5, rng)
    better = [row if one or rng.random() < 0.3 else [] for row, one in zip(truth, found, strict=True)]
    old, new = count(TASK, truth, found), count(TASK, truth, better)
    one = of(new, old)["micro_f1"]
    e = one.gain
    assert e and e.value == pytest.approx(one.after.value - one.before.value) and e.low > 0
    assert one.p_value and one.p_value < 0.001
    assert e.high - e.low < (one.after.high - one.after.low + one.before.high - one.before.low) / 2 ** 0.5
