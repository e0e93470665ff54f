from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch

from seedbed.engines.base import load_classifier
from seedbed.models import backbone as backbone_module
from seedbed.models.backbone import Backbone
from seedbed.models.runtime import Runtime
from seedbed.tasks.classify import Classify
from seedbed.train import boundary as boundary_module
from seedbed.train import classify, contrast
from seedbed.train.boundary import Boundary
from seedbed.train.config import TrainConfig
from seedbed.train.contrast import Mixed
from seedbed.train.lesson import Fitted, Lesson
from seedbed.train.trainable import Whole

QUICK = TrainConfig(epochs=4, learning_rate=5e-3, batch_texts=8, train_layers=2, rank=4, alpha=8.0, max_tokens=32)
SLOW = dataclasses.replace(QUICK, epochs=12, patience=12, learning_rate=2e-3, train_layers=4)
"""For BERT, whose vectors are of length 1 and normalized after each layer."""


def lesson(family: str, rows: int = 64, config: TrainConfig = QUICK, **options: Any) -> Lesson:
    texts, targets = tiny.sentences(rows)
    held = tiny.sentences(24, seed=5)
    return Lesson(Classify(("bad", "good")), texts, targets, *held, config=config, model=tiny.model(family),
                  **options)


def several(family: str) -> Lesson:
    texts, kinds = tiny.sentences(66, kinds=3)
    targets: list[Any] = [["bad", "good"] if kind == "mixed" else [kind] for kind in kinds]
    return Lesson(Classify(("bad", "good"), multi_label=True), texts, targets, texts[:20], targets[:20], config=SLOW,
                  model=tiny.model(family))


def right(fitted: Fitted, one: Lesson) -> float:
    task = one.task
    guesses = task.decide(task.probabilities(fitted.classifier.logits(one.texts)))
    return float((guesses == task.encode(one.targets)).mean())


def weights(fitted: Fitted) -> list[torch.Tensor]:
    model: Any = fitted.classifier
    return [*model.backbone.body.parameters(), torch.from_numpy(model.weight), torch.from_numpy(model.bias)]


@pytest.mark.parametrize(("method", "family"), [
    *((classify.lora, family) for family in tiny.FAMILIES), (classify.whole, "bert"), (classify.whole, "gemma3")])
def test_it_learns_what_words_decide(method: Callable[[Lesson], Fitted], family: str, tmp_path: Path) -> None:
    one = lesson(family, config=SLOW if family == "bert" else QUICK)
    fitted = method(one)
    assert right(fitted, one) > 0.8
    assert 1 <= len(fitted.history) <= one.config.epochs
    assert min(e["validation_loss"] for e in fitted.history) < 0.69
    assert "weights of step" in fitted.note
    model: Any = fitted.classifier
    tables = sum(m.weight.numel() for m in model.backbone.body.modules() if isinstance(m, torch.nn.Embedding))
    assert (fitted.trained_parameters >= fitted.parameters - tables) == (method is classify.whole)
    fitted.classifier.save(tmp_path)
    again = load_classifier(tmp_path)
    assert np.allclose(again.logits(one.texts), fitted.classifier.logits(one.texts), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", [classify.lora, classify.whole, contrast.contrast])
def test_several_labels_a_text(method: Callable[[Lesson], Fitted]) -> None:
    one = several("bert")
    fitted = method(one)
    assert fitted.classifier.logits(["great broken"]).shape == (1, 2)
    assert right(fitted, one) > 2 / 3  # the share of the commonest answer of each label


@pytest.mark.parametrize(("method", "family"), [(classify.lora, "llama"), (classify.whole, "bert"),
                                                (contrast.contrast, "bert")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_seed_gives_the_same_weights(method: Callable[[Lesson], Fitted], family: str, dtype: torch.dtype,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone_module, "runtime", lambda: Runtime(dtype, 1, None, None, "a test"))
    config = dataclasses.replace(QUICK, epochs=1, dropout=0.3)
    found = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed * 17 + len(found))  # what came before must not matter
        found.append(weights(method(lesson(family, 24, config, seed=seed))))
    assert all(torch.equal(a, b) for a, b in zip(found[0], found[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(found[0], found[2], strict=True))
    assert found[0][0].dtype == dtype


def test_a_resumed_candidate_ends_as_an_undisturbed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of LoRA with dropout; the same lesson again."""
    config = dataclasses.replace(QUICK, epochs=2, dropout=0.3)
    straight = classify.lora(lesson("llama", 40, config, folder=tmp_path / "a"))
    calls, real = [0], Boundary.pass_through

    def pooled(self: Boundary, places: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == 9:  # the scale and the forecast took five
            raise KeyboardInterrupt
        return real(self, places, **named)
    monkeypatch.setattr(Boundary, "pass_through", pooled)
    with pytest.raises(KeyboardInterrupt):
        classify.lora(lesson("llama", 40, config, folder=tmp_path / "b"))
    assert (tmp_path / "b" / "checkpoint" / "state.json").is_file()
    resumed = classify.lora(lesson("llama", 40, config, folder=tmp_path / "b"))
    assert all(torch.equal(a, b) for a, b in zip(weights(straight), weights(resumed), strict=True))
    assert [{**e, "seconds": 0} for e in straight.history] == [{**e, "seconds": 0} for e in resumed.history]


def test_contrast_draws_labels_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    # random lower layers give all texts nearly one vector, from which the upper half alone learns nothing
    monkeypatch.setattr(contrast, "upper_half", lambda layers: layers)
    one = lesson("bert", 48, dataclasses.replace(QUICK, learning_rate=2e-3))

    def apart(model: Backbone) -> float:
        """Mean cosine of equal labels less that of different ones."""
        vectors = torch.nn.functional.normalize(model.embed(one.texts), dim=-1)
        y = torch.from_numpy(one.y)
        cosine, equal = vectors @ vectors.t(), y[:, None] == y[None]
        other = ~torch.eye(len(y), dtype=torch.bool)
        return float(cosine[equal & other].mean() - cosine[~equal].mean())
    before = apart(Backbone.open(one.base))
    fitted = contrast.contrast(one)
    model: Any = fitted.classifier
    assert apart(model.backbone) > before + 0.2
    assert right(fitted, one) > 0.9
    assert "head: C " in fitted.note
    assert fitted.trained_parameters < fitted.parameters  # the tables are frozen


@pytest.mark.parametrize("held", [0, 1])
def test_contrast_without_pairs_to_judge_by(held: int) -> None:
    one = lesson("bert", 12)
    one = dataclasses.replace(one, held_texts=one.held_texts[:held], held_targets=one.held_targets[:held])
    fitted = contrast.contrast(one)
    assert all("validation_loss" not in entry for entry in fitted.history)
    assert np.isfinite(fitted.classifier.logits(one.texts)).all()


def test_mixed_batches_hold_labels_evenly() -> None:
    labels = [0] * 90 + [1] * 6 + [2] * 4
    batches = Mixed(labels, 3).epoch(1)
    assert batches == Mixed(labels, 3).epoch(1) != Mixed(labels, 3).epoch(2)
    assert all(len(set(batch)) == len(batch) for batch in batches)
    counts = np.array([[sum(labels[i] == k for i in batch) for k in range(3)] for batch in batches])
    assert (counts[:, 1:] >= 4).all()
    assert (counts[:, 0] <= 16).all()


def test_balance_is_the_root_of_rarity() -> None:
    y = np.array([0] * 16 + [1] * 4)
    assert classify.balance(y, False).tolist() == pytest.approx([(20 / 32) ** 0.5, (20 / 8) ** 0.5])
    many = np.zeros((20, 2), np.int64)
    many[:4, 0] = 1
    assert classify.balance(many, True).tolist() == pytest.approx([(16 / 4) ** 0.5, (19 / 1) ** 0.5])


@pytest.mark.parametrize("layers", [None, 1])
@pytest.mark.parametrize("family", ["gemma3", "bert"])
def test_whole_trains_the_layers_it_is_told_and_no_table(family: str, layers: int | None) -> None:
    one = lesson(family)
    model = Backbone.open(tiny.model(family))
    rows = model.tokens(one.texts[:6])
    before = {name: p.detach().clone() for name, p in model.body.named_parameters()}
    body = Whole(model, rows, one, layers)
    frozen = 0 if layers is None else len(model.layers) - layers
    assert body.boundary.first == frozen
    inside = {id(p) for layer in model.layers[frozen:] for p in layer.parameters()}
    below = {id(p) for layer in model.layers[:frozen] for p in layer.parameters()}
    names = {name for name, p in model.body.named_parameters() if id(p) in inside}
    assert names <= set(body.parameters)
    assert not any("embeddings.weight" in name or "embed_tokens" in name for name in body.parameters)
    assert not any(id(p) in below for name, p in model.body.named_parameters() if name in body.parameters)
    assert torch.allclose(body.vectors([0, 1]), model(model.batch(rows[:2])), atol=1e-5)
    body.vectors([0, 1]).square().sum().backward()
    with torch.no_grad():
        for parameter in body.parameters.values():
            if parameter.grad is not None:
                parameter -= parameter.grad
    body.finish()
    changed = {name for name, p in model.body.named_parameters() if not torch.equal(p, before[name])}
    assert changed
    assert changed <= set(body.parameters)
    assert torch.allclose(body.vectors([0, 1]), model(model.batch(rows[:2])), atol=1e-5)


@pytest.mark.parametrize("first", [0, 2])
@pytest.mark.parametrize("family", ["gemma3", "bert"])
def test_a_boundary_in_a_file_equals_one_in_memory(family: str, first: int, tmp_path: Path) -> None:
    model = Backbone.open(tiny.model(family))
    rows = model.tokens([*tiny.TEXTS, *tiny.sentences(20)[0]])
    file = tmp_path / "deep" / "activations.bin"
    kept, mapped = Boundary(model, rows, first), Boundary(model, rows, first, file=file, memory=10)
    assert file.is_file() == (first > 0)
    assert kept.missing == mapped.missing == (sum(map(len, rows)) if first else 0)
    mapped.fill([0, 3])
    kept.fill([3, 0])
    assert kept.missing == mapped.missing == (sum(map(len, rows)) - len(rows[0]) - len(rows[3]) if first else 0)
    kept.fill()
    mapped.fill()
    assert kept.missing == mapped.missing == 0
    if first:
        assert file.stat().st_size == sum(map(len, rows)) * 32 * 4
    for places in ([0, 4, 7], [28, 1], list(range(len(rows)))):
        straight = model(model.batch([rows[i] for i in places]))
        assert torch.equal(kept.pass_through(places), mapped.pass_through(places))
        assert float((kept.pass_through(places) - straight).abs().max() / straight.abs().max()) < 1e-5
    again = Boundary(model, rows, first, file=file, memory=10)
    assert torch.allclose(again.pass_through([3]), kept.pass_through([3]), atol=1e-5)  # filled when it is asked for


def test_a_boundary_on_a_full_disk_is_an_error_and_not_a_dead_process(tmp_path: Path,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapped file takes space when it is written to; without it the kernel kills the process."""
    def full(number: int, begin: int, size: int) -> None:
        assert (begin, size) == (0, 5 * 32 * 4)
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(boundary_module.os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        Boundary(Backbone.open(tiny.model("llama")), [[1, 2, 3], [4, 5]], 2, file=tmp_path / "a.bin", memory=10)


@pytest.mark.parametrize("many", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_it_learns_from_a_teacher_alone(many: bool) -> None:
    """Half of the labels are wrong and most texts have none; the teacher knows."""
    one = several("bert") if many else lesson("bert", config=SLOW)
    right_y = torch.from_numpy(one.y if many else np.eye(2, dtype=np.int64)[one.y]).float()
    soft = (right_y * 8 - 4).numpy()
    wrong = [one.targets[(i * 7 + 1) % 12] for i in range(12)]
    taught = dataclasses.replace(one, texts=one.texts[:12], targets=wrong, unlabelled=one.texts[12:], soft=soft,
                                 config=dataclasses.replace(SLOW, teacher_share=1.0, temperature=2.0))
    alone = dataclasses.replace(taught, unlabelled=[], soft=None)
    assert right(classify.whole(taught), one) > right(classify.whole(alone), one) + 0.1


def test_a_teacher_without_a_share_changes_nothing() -> None:
    one = lesson("bert", 24)
    soft = np.zeros((24, 2), np.float32)
    without = dataclasses.replace(one, soft=soft, config=dataclasses.replace(QUICK, teacher_share=0.0))
    pairs = zip(weights(classify.lora(one)), weights(classify.lora(without)), strict=True)
    assert all(torch.equal(first, second) for first, second in pairs)
