from __future__ import annotations

import numpy as np
import pytest

from seedbed.evaluate.preference import preference, verdict

GOOD = np.tile([True, False], 40)
PROMPT = np.repeat(np.arange(40), 2)
TOKENS = np.tile([4, 2], 40)


def nats(good: float, bad: float, wins: int) -> np.ndarray:
    """Of 40 pairs: what an answer costs, nats a token; the two change places when the better one does not win."""
    each = [(good, bad) if at < wins else (bad, good) for at in range(40)]
    return np.array(each).ravel() * TOKENS


def test_shares_margins_and_losses_of_pairs() -> None:
    before, after = nats(1.0, 2.0, 16), nats(0.5, 3.0, 34)
    known = {one.name: one for one in preference(before, after, TOKENS, GOOD, PROMPT, True)}
    assert list(known) == ["preferred", "gained", "preferred_whole", "margin", "good_loss", "bad_loss"]
    lead = known["preferred"]
    assert (lead.before.value, lead.after.value, lead.after.n) == (16 / 40, 34 / 40, 40)
    assert lead.gain and lead.gain.value == pytest.approx(18 / 40) and lead.gain.low > 0
    assert lead.after.low < 34 / 40 < lead.after.high < 1
    whole = known["preferred_whole"]
    assert (whole.before.value, whole.after.value) == (16 / 2 / 40, 34 / 40)  # 4 nats against 4 is a tie
    gains = (before - after).reshape(-1, 2)
    assert known["gained"].after.value == (gains[:, 0] > gains[:, 1]).mean() and known["gained"].before.value == 0.5
    assert known["margin"].after.value == pytest.approx((gains[:, 0] - gains[:, 1]).mean())
    assert known["good_loss"].before.value == pytest.approx((16 * 1 + 24 * 2) / 40)
    assert known["bad_loss"].gain and known["bad_loss"].gain.value == pytest.approx(
        known["bad_loss"].after.value - known["bad_loss"].before.value)


def test_answers_alone_are_compared_with_every_answer_of_the_other_kind() -> None:
    from sklearn.metrics import roc_auc_score

    chance = np.random.default_rng(0)
    good = chance.random(70) < 0.4
    before, after = chance.random(70) * 9, chance.random(70) * 9 - good * 3 + 3
    known = {one.name: one for one in preference(before, after, np.full(70, 3), good, np.arange(70), False)}
    assert known["preferred"].before.value == pytest.approx(roc_auc_score(good, -before))
    assert known["preferred"].after.value == pytest.approx(roc_auc_score(good, -after))
    assert known["gained"].after.value == pytest.approx(roc_auc_score(good, before - after))
    assert known["good_reward"].after.value == pytest.approx((before - after)[good].mean())
    bad = known["bad_reward"]
    assert bad.gain and bad.gain.value == pytest.approx(-(before - after)[~good].mean()) and not bad.more


def test_intervals_hold_what_they_promise_and_count_prompts() -> None:
    """Of one prompt answered many times little is learned: the interval is over prompts."""
    chance, inside = np.random.default_rng(1), {True: 0, False: 0}
    for _ in range(300):
        shift = np.repeat(chance.normal(size=30), 5) * 2  # what a prompt's five pairs share
        gap = shift + chance.normal(size=150)
        after = np.stack([-gap, np.zeros(150)], 1).ravel()
        for clustered in inside:
            prompt = np.repeat(np.arange(30), 10) if clustered else np.repeat(np.arange(150), 2)
            one = preference(after * 0, after, np.ones(300, int), np.tile([True, False], 150), prompt, True)[0].after
            inside[clustered] += one.low <= 0.5 <= one.high
    assert inside[True] / 300 > 0.92 and inside[False] / 300 < 0.75


@pytest.mark.parametrize(("before", "after", "words", "drift"), [
    (nats(1, 2, 10), nats(1, 2, 35), "It has learned to prefer: the better answer is the likelier one in 88% of ", 0),
    (nats(1, 2, 20), nats(1, 2, 21), "Nothing is proven", 0),
    (nats(1, 2, 38), nats(1, 2, 15), "It has become worse", 1),
    (nats(1, 2, 10), nats(3, 4, 35), "It has learned to prefer", 1),
    (nats(2, 1, 40), nats(1.9, 1, 40), "It leans the right way: in 100% of cases", 0)])
def test_the_verdict_follows_the_interval(before: np.ndarray, after: np.ndarray, words: str, drift: bool) -> None:
    said = verdict(preference(before, after, TOKENS, GOOD, PROMPT, True))
    assert said.startswith(words) and said.endswith("raise --chosen-weight.") == drift
