from __future__ import annotations

import numpy as np
import pytest

from seedbed.data.marks import Span
from seedbed.evaluate.entities import count, gain, score
from seedbed.tasks.entities import Entities

TASK = Entities(("L", "P", "Q"))
TRUTH = [[Span(0, 3, "P"), Span(10, 14, "L")], [Span(0, 3, "P")], [], [Span(5, 9, "L")]]
FOUND = [[Span(0, 3, "P"), Span(10, 13, "L")], [Span(0, 3, "L")], [Span(1, 2, "P")], []]


def test_exact_and_partial_figures_by_hand() -> None:
    s = score(count(TASK, TRUTH, FOUND))
    assert (s.rows, s.entities) == (4, 4)
    assert s.precision.value == pytest.approx(1 / 4) and s.recall.value == pytest.approx(1 / 4)
    assert s.micro_f1.value == pytest.approx(2 / 8) and s.partial_f1.value == pytest.approx(4 / 8)
    assert {one.label: (one.support, one.f1.value) for one in s.per_label} == {
        "L": (2, 0.0), "P": (2, pytest.approx(1 / 2)), "Q": (0, 0.0)}
    assert s.macro_f1.value == pytest.approx(1 / 4)  # Q is neither true nor found
    for e in (s.precision, s.recall, s.micro_f1, s.macro_f1, s.partial_f1, *(one.f1 for one in s.per_label)):
        assert 0 <= e.low <= e.value <= e.high <= 1 and e.n == 4


def test_a_span_is_paired_once() -> None:
    long, short = [[Span(0, 10, "P")]], [[Span(0, 2, "P"), Span(3, 5, "P"), Span(9, 12, "P")]]
    assert count(TASK, long, short).table[0, 1].tolist() == [0, 1, 3, 1]
    assert count(TASK, short, long).table[0, 1].tolist() == [0, 1, 1, 3]
    assert score(count(TASK, TRUTH, TRUTH)).micro_f1.value == 1


def some(rows: int, each: int, right: float, rng: np.random.Generator) -> tuple[list[list[Span]], list[list[Span]]]:
    """Rows whose entities are found all together, or not at all: as few cases as rows."""
    truth = [[Span(10 * i, 10 * i + 3, "P") for i in range(each)] for _ in range(rows)]
    return truth, [row if rng.random() < right else [] for row in truth]


def test_entities_of_one_row_are_no_further_cases() -> None:
    one = score(count(TASK, *some(60, 1, 0.5, np.random.default_rng(1)))).recall
    many = score(count(TASK, *some(60, 20, 0.5, np.random.default_rng(1)))).recall
    assert many.value == one.value
    assert many.high - many.low == pytest.approx(one.high - one.low, rel=0.1)


def test_the_interval_of_f1_holds_the_truth() -> None:
    """F1 of infinitely many rows is 2r / (1 + r) where a share r is found and nothing else."""
    rng, held, wanted = np.random.default_rng(5), 0, 2 * 0.6 / 1.6
    for _ in range(150):
        e = score(count(TASK, *some(40, 3, 0.6, rng))).micro_f1
        held += e.low <= wanted <= e.high
    assert held >= 138  # 95 % of 150 less two standard errors


def test_a_gain_is_paired() -> None:
    rng = np.random.default_rng(2)
    truth, found = some(80, 2, 0.5, rng)
    better = [row if one or rng.random() < 0.3 else [] for row, one in zip(truth, found, strict=True)]
    old, new = count(TASK, truth, found), count(TASK, truth, better)
    e = gain(new, old)
    assert e.value == pytest.approx(score(new).micro_f1.value - score(old).micro_f1.value) and e.low > 0
    apart = score(new).micro_f1, score(old).micro_f1
    assert e.high - e.low < sum(one.high - one.low for one in apart) / 2 ** 0.5
    assert gain(old, old).value == 0
