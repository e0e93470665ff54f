from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from test_generate import QUICK, rows, steps, straight

from seedbed.models.template import Row
from seedbed.train.boundary import Boundary
from seedbed.train.lesson import Late
from seedbed.train.prefer import Dpo, Kto, Preferences, dpo, kto, mismatched, orpo, prefer

COLOURS = [" blue and blue", " slow and slow", " great and great"]
ALL = ("dpo", "orpo", "kto")


def answers(count: int, seed: int = 0, family: str = "llama") -> list[Row]:
    """Each thing with its own colour, then with that of another."""
    good = rows(family, 3, 0)
    return [row for i in range(seed, seed + count) for row in (
        good[i % 3], mismatched(good[i % 3], good[(i + 1 + i // 3 % 2) % 3], 32))]


def lesson(by: str, **options: Any) -> Preferences:
    options = {"config": dataclasses.replace(QUICK, learning_rate=5e-3), **options}
    return Preferences(answers(12), answers(3, 1), answers(9, 2), by=by, good=[True, False] * 15,
                       model=tiny.model("llama"), **options)


@pytest.mark.parametrize("by", ALL)
def test_the_better_answer_is_preferred_and_the_saved_model_says_so_too(by: str, tmp_path: Path) -> None:
    one = lesson(by)
    tuned = prefer(one)
    before, after = (losses.nats.reshape(-1, 2) for losses in (tuned.before, tuned.after))
    assert np.allclose(before.ravel(), straight(tiny.model("llama"), one.judged), rtol=1e-4)
    ahead = (after[:, 0] < after[:, 1]).mean(), (before[:, 0] < before[:, 1]).mean()
    assert ahead[0] > 0.95 > 0.7 > ahead[1]
    first, *_, last = (step["validation_loss"] for step in tuned.trained.history)
    assert last < first
    tuned.backbone.save(tmp_path / "model")
    assert np.allclose(after.ravel(), straight(tmp_path / "model", one.judged), rtol=1e-3)


def test_losses_are_those_of_the_papers() -> None:
    """Each formula written out in doubles, an answer at a time."""
    chance = torch.Generator().manual_seed(3)
    now, then = (-torch.rand(2, 9, generator=chance, dtype=torch.float64) * 30 for _ in range(2))
    size, beta = torch.randint(1, 12, (2, 9), generator=chance), 0.3

    def sigma(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    def odds(x: float) -> float:
        return math.exp(x) / (1 - math.exp(x))

    each = [-math.log(sigma(beta * (w - rw) - beta * (b - rb))) for w, b, rw, rb in zip(*now, *then, strict=True)]
    assert dpo(now[0] - then[0], now[1] - then[1], beta).tolist() == pytest.approx(each)
    likely = now / size
    each = [-w - beta * math.log(sigma(math.log(odds(w) / odds(b)))) for w, b in zip(*likely.tolist(), strict=True)]
    assert orpo(*likely, beta).tolist() == pytest.approx(each, rel=1e-6)
    gained, good, moved = (now - then)[0], torch.arange(9) % 3 == 0, 0.7
    each = [1 - (sigma(beta * (r - moved)) if g else sigma(beta * (moved - r)))
            for r, g in zip(gained.tolist(), good, strict=True)]
    assert kto(gained, good, torch.tensor(moved), beta).tolist() == pytest.approx(each)
    assert orpo(torch.tensor([-1e-9]), torch.tensor([-50.0]), 0.1).isfinite().all()


def test_before_the_first_step_nothing_is_gained() -> None:
    """So DPO's loss is log 2 and KTO's 1/2 (its rarer kind weighs more): adapters begin as the identity."""
    firsts = {}
    for by in ALL:
        one = lesson(by, config=dataclasses.replace(QUICK, epochs=1, learning_rate=1e-12, batch_texts=99,
                                                    batch_tokens=9999))
        firsts[by] = prefer(dataclasses.replace(one, good=[i % 4 == 0 for i in range(30)])).trained.history[0]
    assert firsts["dpo"]["train_loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert firsts["kto"]["train_loss"] == pytest.approx((6 * 3 + 18) / 24 / 2, abs=1e-4)
    assert firsts["orpo"]["train_loss"] > 1


def test_pairs_stand_together_and_kto_has_a_companion_with_the_same_prompt() -> None:
    pairs = Dpo(lesson("dpo"))
    for epoch in range(3):
        batches = pairs.batches.epoch(epoch)
        assert sorted(place for batch in batches for place in batch) == list(range(24))
        pairs_of = [pair for batch in batches for pair in zip(batch[::2], batch[1::2], strict=True)]
        assert all(a % 2 == 0 and b == a + 1 for a, b in pairs_of)
        assert max(map(len, batches)) <= QUICK.batch_texts
    assert sorted(place for batch in pairs.validation for place in batch) == list(range(24, 30))
    assert list(pairs.judged) == list(range(30, 48))
    alone = Kto(lesson("kto"))
    assert len(alone.rows) == 2 * 30 + 18 and alone.rows[::2][:30] == [*answers(12), *answers(3, 1)]
    for own, other in zip(alone.rows[:60:2], alone.rows[1:60:2], strict=True):
        begin = own.learned.index(True)
        assert other.ids[:begin] == own.ids[:begin] and other.learned.index(True) == begin and other.count
    long = Row(list(range(20)), [False] * 15 + [True] * 5)
    assert mismatched(long, Row([1] * 30, [False] + [True] * 29), 18).count == 3


@pytest.mark.parametrize("by", ALL)
def test_a_stopped_training_goes_on_as_an_undisturbed_one(by: str, tmp_path: Path,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference is that of the model as it was, not of the weights of the checkpoint."""
    undisturbed = prefer(lesson(by, folder=tmp_path / "a"))
    calls, real = [0], Boundary.pass_through

    def stopping(self: Boundary, places: Any, *more: Any, **named: Any) -> Any:
        calls[0] += torch.is_grad_enabled()
        if torch.is_grad_enabled() and calls[0] == 12:  # four of the forecast, then in the third epoch
            raise KeyboardInterrupt
        return real(self, places, *more, **named)
    monkeypatch.setattr(Boundary, "pass_through", stopping)
    with pytest.raises(KeyboardInterrupt):
        prefer(lesson(by, folder=tmp_path / "b"))
    resumed = prefer(lesson(by, folder=tmp_path / "b"))
    assert steps(resumed) == steps(undisturbed)
    assert np.array_equal(resumed.after.nats, undisturbed.after.nats)
    assert np.array_equal(resumed.before.nats, undisturbed.before.nats)


def test_the_chosen_answers_own_loss_keeps_them_likely() -> None:
    free, kept = (prefer(lesson("dpo", config=dataclasses.replace(QUICK, learning_rate=1e-2, chosen_weight=w)))
                  for w in (0.0, 1.0))
    assert kept.after.nats[::2].mean() < free.after.nats[::2].mean()


def test_whole_layers_learn_too() -> None:
    tuned = prefer(lesson("dpo", method="full", config=dataclasses.replace(QUICK, learning_rate=1e-3)))
    gained = (tuned.before.nats - tuned.after.nats).reshape(-1, 2)
    assert (gained[:, 0] > gained[:, 1]).all()


def test_a_budget_that_the_reference_alone_would_use_up_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Late, match="to ask the model as it is about all answers would take"):
        prefer(lesson("dpo", deadline=0.0))
