"""The proof that a saved model is the trained one."""

from __future__ import annotations

import numpy as np
import pytest

from seedbed.errors import QualityFloor
from seedbed.export.tuned import parity

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, (64, 40)).astype(np.float32)


def test_a_model_that_is_saved_well_agrees() -> None:
    found = parity(LOGITS, LOGITS + 7, "writer")  # a constant changes no probability
    assert (found.n, found.agreement) == (64, 1.0)
    assert found.max_difference == pytest.approx(7, abs=1e-5) and found.max_probability_difference < 1e-6
    rounded = LOGITS + RNG.normal(0, 0.01, LOGITS.shape).astype(np.float32)
    assert 0 < parity(LOGITS, rounded, "tagger").max_probability_difference < 0.02


def test_divergence_is_told_in_nats_by_hand() -> None:
    """A choice of 3 : 1 held against 1 : 1 is 0.75 ln 1.5 + 0.25 ln 0.5 = 0.131 nats away."""
    with pytest.raises(QualityFloor, match=r"off by 0\.131 nats, and 0% of the likeliest"):
        parity(np.log(np.array([[3.0, 1.0]])), np.zeros((1, 2)), "writer")


@pytest.mark.parametrize(("engine", "other"), [
    ("writer", LOGITS[::-1]), ("tagger", np.full_like(LOGITS, np.nan)), ("embedder", LOGITS + 0.03)])
def test_another_model_is_refused(engine: str, other: np.ndarray) -> None:
    with pytest.raises(QualityFloor, match="answers otherwise than the trained one"):
        parity(LOGITS, other, engine)
    with pytest.raises(ValueError, match="gives"):
        parity(LOGITS, LOGITS[:3], engine)
