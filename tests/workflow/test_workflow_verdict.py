"""The words that come first: short enough, and true of the figures."""

from __future__ import annotations

import pytest

from seedbed.evaluate.choose import Choice
from seedbed.evaluate.result import Abstention
from seedbed.records import Estimate
from seedbed.workflow.verdict import headline


def choice(learned: bool = True, tentative: bool = False) -> Choice:
    return Choice(candidate="lora", rule="", comparisons={}, best="lora", detectable=None, learned=learned,
                  tentative=tentative)


def refuse(coverage: float | None, error: tuple[float, float] = (0.05, 0.02), target: float = 0.125) -> Abstention:
    if coverage is None:
        return Abstention(target_error=target, threshold=None, coverage=None, error=None, reason="too few")
    return Abstention(target_error=target, threshold=0.7, reason="promised",
                      coverage=Estimate(value=coverage, low=coverage, high=coverage, n=100),
                      error=Estimate(value=error[0], low=error[1], high=0.3, n=90) if coverage else None)


CASES = {
    "nothing learned": (choice(learned=False, tentative=True), refuse(None), "Not usable yet"),
    "few rows": (choice(tentative=True), None, "A first sign"),
    "cross-validated": (choice(), None, "It has learned; label more texts"),
    "no threshold": (choice(), refuse(None), "a person check each answer"),
    "a threshold that answers nothing": (choice(), refuse(0.0), "a person check each answer"),
    "a broken promise": (choice(), refuse(0.8, (0.3, 0.2)), "than it promised"),
    "some": (choice(), refuse(0.6), "a person reads the rest"),
    "all": (choice(), refuse(1.0), "Good enough to answer alone"),
}


@pytest.mark.parametrize("name", CASES)
def test_headline(name: str) -> None:
    choice, refuse, told = CASES[name]
    words = headline(choice, refuse)
    assert told in words
    assert len(words) <= 90


def test_every_headline_is_another() -> None:
    assert len({headline(choice, refuse) for choice, refuse, _ in CASES.values()}) == len(CASES) - 1
