from __future__ import annotations

import dataclasses
import time
from typing import Any

import pytest
import tiny
import torch

from seedbed.models.backbone import Backbone
from seedbed.tasks.classify import Classify
from seedbed.train import classify, contrast, forecast
from seedbed.train.batches import Buckets
from seedbed.train.config import TrainConfig
from seedbed.train.forecast import Forecast
from seedbed.train.lesson import Fitted, Late, Lesson
from seedbed.train.trainable import Adapted, Trainable, Whole

CONFIG = TrainConfig(epochs=3, batch_texts=8, train_layers=2, rank=4, max_tokens=32)


class Heard:
    """A listener that keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def start(self, *args: Any, **named: Any) -> None: ...
    advance = metric = done = start


def lesson(family: str = "llama", **options: Any) -> Lesson:
    texts, targets = tiny.sentences(64)
    return Lesson(Classify(("bad", "good")), texts, targets, *tiny.sentences(24, seed=5), config=CONFIG,
                  model=tiny.model(family), **options)


class Clock:
    """A clock that only the work turns: a token of a frozen pass takes 1 s, of a step 10 s."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, body: Trainable) -> None:
        self.now, self.tokens = 1000.0, [len(row) for row in body.boundary.rows]
        monkeypatch.setattr(forecast.time, "monotonic", lambda: self.now)
        fill = body.boundary.fill

        def slow(places: Any = None, **named: Any) -> None:
            before = body.boundary.missing
            fill(places, **named)
            self.now += before - body.boundary.missing
        monkeypatch.setattr(body.boundary, "fill", slow)

    def loss(self, places: list[int], body: Trainable) -> torch.Tensor:
        body.boundary.fill(places)
        self.now += 10 * sum(self.tokens[i] for i in places)
        return body.vectors(places).square().sum()


def made(family: str, one: Lesson) -> Trainable:
    backbone = Backbone.open(tiny.model(family), max_tokens=32)
    rows = backbone.tokens([*one.texts, *one.held_texts])
    return Adapted(backbone, rows, one) if family == "llama" else Whole(backbone, rows, one)


def test_seconds_follow_from_a_token_of_each_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()
    one = lesson(progress=heard)
    body = made("llama", one)
    assert body.boundary.first == 2
    clock = Clock(monkeypatch, body)
    learn, held = sum(clock.tokens[:64]), sum(clock.tokens[64:])
    batches = Buckets(clock.tokens[:64], 8, 2048, 0)
    said = forecast.forecast(body.parameters, body.boundary, lambda places: clock.loss(places, body), batches, one,
                             begun=990.0, epochs=3, judged=held, read=learn)
    assert said.start == pytest.approx(clock.now - 990 + body.boundary.missing)
    assert said.epoch == pytest.approx(10 * learn + 10 / 3 * held)
    assert said.end == pytest.approx(learn * 4 / 2)  # four layers in all, of which two were timed
    assert said.seconds(3) == said.start + 3 * said.epoch + said.end
    assert 0 < body.boundary.missing < learn + held  # the rest is left to whoever trains
    assert all(p.grad is None for p in body.parameters.values())
    assert not body.boundary.backbone.training
    assert heard.notes == [f"At most 3 passes over the texts: about {said.seconds(3) / 60:.1f} min, as the first "
                           "batches tell."]


def test_without_frozen_layers_nothing_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    one = lesson("bert")
    body = made("bert", one)
    assert (body.boundary.first, body.boundary.missing) == (0, 0)
    clock = Clock(monkeypatch, body)
    said = forecast.forecast(body.parameters, body.boundary, lambda places: clock.loss(places, body),
                             Buckets(clock.tokens[:64], 8, 2048, 0), one, begun=0.0, epochs=1, judged=0, read=30)
    assert said.end == pytest.approx(30 * 10 / 3)


@pytest.mark.parametrize(("left", "begins"), [(0.45, False), (0.6, True)])
def test_half_an_epoch_must_fit_the_budget(left: float, begins: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    one = lesson()

    def ask(deadline: float | None = None) -> Forecast:
        body = made("llama", one)
        clock = Clock(monkeypatch, body)
        return forecast.forecast(body.parameters, body.boundary, lambda places: clock.loss(places, body),
                                 Buckets(clock.tokens[:64], 8, 2048, 0), dataclasses.replace(one, deadline=deadline),
                                 begun=1000.0, epochs=3, judged=0)
    free = ask()
    deadline = 1000 + free.start + left * free.epoch
    if begins:
        assert ask(deadline) == free
    else:
        with pytest.raises(Late, match=r"one pass over the texts would take about .* raise it with --budget"):
            ask(deadline)


@pytest.mark.parametrize("method", [classify.lora, classify.whole, contrast.contrast])
def test_every_method_that_has_steps_is_forecast(method: Any) -> None:
    one = lesson("bert")
    fitted: Fitted = method(one)
    assert fitted.predicted_seconds is not None and fitted.predicted_seconds > 0
    with pytest.raises(Late):
        method(dataclasses.replace(one, deadline=time.monotonic() - 1))
