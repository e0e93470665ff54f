"""A transformer with a classification head: LoRA on its top layers, or the whole model."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..engines.transformer import TransformerHead
from ..models.backbone import Backbone
from ..models.batch import TOKENS_PER_BATCH, by_length
from .batches import batches_of
from .forecast import forecast
from .lesson import Fitted, Lesson
from .loop import train
from .trainable import Adapted, Trainable, Whole, rate

PACE = {"lora": 0.25, "full": 1.0}
"""Shares of the usual learning rates: with more, adapters learn the few labels by heart (docs/LOG.md)."""


def lora(lesson: Lesson) -> Fitted:
    """LoRA (Hu et al. 2021) on the top `train_layers` layers; merged afterwards."""
    return _finetune(lesson, Adapted, "lora")


def whole(lesson: Lesson) -> Fitted:
    """Every weight is trained, in fp32 values with products in the machine's own precision."""
    return _finetune(lesson, Whole, "full")


def _finetune(lesson: Lesson, make: type[Adapted] | type[Whole], method: str) -> Fitted:
    config, task, begun = lesson.config, lesson.task, time.monotonic()
    torch.manual_seed(lesson.seed)
    backbone = Backbone.open(lesson.base, max_tokens=config.max_tokens)
    total = sum(p.numel() for p in backbone.body.parameters())
    learned, labelled = [*lesson.texts, *lesson.unlabelled], len(lesson.texts)
    rows = backbone.tokens([*learned, *lesson.held_texts])
    body: Trainable = make(backbone, rows, lesson)
    train_places = list(range(len(learned)))
    held = list(range(len(learned), len(rows)))
    y = torch.from_numpy(task.encode([*lesson.targets, *lesson.held_targets]))
    y = torch.cat((y[:labelled], y.new_zeros(len(learned) - labelled, *y.shape[1:]), y[labelled:]))
    soft = None if lesson.soft is None else torch.from_numpy(lesson.soft)
    weights = balance(task.encode(lesson.targets), task.multi_label) if config.balance else None
    with torch.no_grad():  # families differ by a factor of a thousand in the size of activations, the head does not
        scale = float(body.vectors(train_places[:16]).std()) or 1.0
    head, drop = nn.Linear(backbone.width, len(task.labels)), nn.Dropout(config.dropout)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)

    def logits(places: list[int]) -> Tensor:
        return head(drop(body.vectors(places) / scale))  # type: ignore[no-any-return]

    def loss(places: list[int]) -> Tensor:
        out, known = logits(places), [at for at, place in enumerate(places) if place < labelled]
        told = _loss(out[known], y[places][known], task.multi_label, weights, config.label_smoothing) \
            if known else out.new_zeros(())
        if soft is None:
            return told
        share = torch.where(torch.tensor(places) < labelled, config.teacher_share, 1.0)
        return (1 - config.teacher_share) * len(known) / len(places) * told + (
            share * _apart(out, soft[places], task.multi_label, config.temperature)).mean()

    @torch.no_grad()
    def validate() -> tuple[float, dict[str, float]]:
        out = torch.empty(len(held), len(task.labels))
        for some in by_length([len(rows[i]) for i in held], TOKENS_PER_BATCH):
            out[some] = logits([held[i] for i in some])
        guesses = task.decide(task.probabilities(out.numpy()))
        truth = y[held]
        plain = float(_loss(out, truth, task.multi_label, None))
        return float(_loss(out, truth, task.multi_label, weights)), {
            "plain_loss": plain, "score": _score(truth.numpy(), guesses)}

    def mode(training: bool) -> None:
        backbone.train(training)
        drop.train(training)

    parameters = {**{f"head.{name}": p for name, p in head.named_parameters()}, **body.parameters}
    batches = batches_of([len(rows[i]) for i in train_places], config, lesson.seed)
    said = forecast(parameters, body.boundary, loss, batches, lesson, begun=begun, epochs=config.epochs,
                    judged=sum(len(rows[i]) for i in held))
    body.boundary.fill(progress=lesson.progress)
    peak = config.learning_rate or PACE[method] * rate(method, backbone.width)
    done = train(parameters, loss, batches, validate, config, seed=lesson.seed, learning_rate=peak, mode=mode,
                 work="fine-tune", folder=lesson.checkpoint, deadline=lesson.deadline, progress=lesson.progress)
    body.finish()
    trained = sum(p.numel() for p in parameters.values())
    return Fitted(TransformerHead(backbone, head.weight.detach().numpy() / scale, head.bias.detach().numpy()),
                  total + head.weight.numel() + head.bias.numel(), trained, done.history, done.note,
                  said.seconds(done.epochs))


def balance(y: np.ndarray[Any, Any], multi_label: bool) -> Tensor:
    """[labels]: the root of how rare a label is, so that rare ones count without drowning the rest."""
    counts = np.maximum(y.sum(0) if multi_label else np.bincount(y), 1)
    rare = (len(y) - counts) / counts if multi_label else len(y) / (len(counts) * counts)
    return torch.from_numpy(np.sqrt(rare)).float()


def _loss(logits: Tensor, y: Tensor, multi_label: bool, weights: Tensor | None, smoothing: float = 0.0) -> Tensor:
    if multi_label:
        return F.binary_cross_entropy_with_logits(logits, y * (1 - smoothing) + smoothing / 2, pos_weight=weights)
    return F.cross_entropy(logits, y, weight=weights, label_smoothing=smoothing)


def _apart(logits: Tensor, soft: Tensor, multi_label: bool, temperature: float) -> Tensor:
    """Cross-entropy of a student with a teacher's soft labels, at a temperature and times its square (Hinton et al.
    2015, "Distilling the knowledge in a neural network"). [rows, labels], [rows, labels] -> [rows]"""
    mine, its = logits / temperature, soft / temperature
    each = F.binary_cross_entropy_with_logits(mine, its.sigmoid(), reduction="none").sum(-1) if multi_label else \
        F.cross_entropy(mine, its.softmax(-1), reduction="none")
    return each * temperature ** 2


def _score(y: np.ndarray[Any, Any], guesses: np.ndarray[Any, Any]) -> float:
    from sklearn.metrics import f1_score
    return float(f1_score(y, guesses, average="macro", zero_division=0))
