"""A transformer with a classification head: LoRA on its top layers, or the whole model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..engines.transformer import TransformerHead
from ..machine import memory_to_plan_for
from ..models.adapters import add_lora, merge
from ..models.backbone import TOKENS_PER_BATCH, Backbone, by_length
from .batches import Buckets
from .boundary import Boundary
from .lesson import Fitted, Lesson
from .loop import train

RATES = {"lora": 5e-4, "full": 5e-5}
"""Peak learning rates when none is given; docs/LOG.md has what was tried."""


def lora(lesson: Lesson) -> Fitted:
    """LoRA (Hu et al. 2021) on the top `train_layers` layers; merged afterwards."""
    return _finetune(lesson, "lora")


def whole(lesson: Lesson) -> Fitted:
    """Every weight is trained, in fp32 values with products in the machine's own precision."""
    return _finetune(lesson, "full")


def _finetune(lesson: Lesson, method: str) -> Fitted:
    config, task = lesson.config, lesson.task
    torch.manual_seed(lesson.seed)
    backbone = Backbone.open(lesson.base, max_tokens=config.max_tokens)
    total = sum(p.numel() for p in backbone.body.parameters())
    first = max(0, len(backbone.layers) - config.train_layers) if method == "lora" else 0
    adapters = add_lora(backbone, rank=config.rank, alpha=config.alpha, layers=config.train_layers) \
        if method == "lora" else None
    rows = backbone.tokens([*lesson.texts, *lesson.held_texts])
    store = Boundary(backbone, rows, first, memory=memory_to_plan_for() // 4, progress=lesson.progress,
                     file=lesson.folder / "activations.bin" if lesson.folder else None)
    learned = range(len(lesson.texts))
    held = range(len(lesson.texts), len(rows))
    y = torch.from_numpy(task.encode([*lesson.targets, *lesson.held_targets]))
    head = nn.Linear(backbone.width, len(task.labels))
    scale = _spread(store, learned)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)

    parameters: dict[str, Tensor] = {f"head.{name}": p for name, p in head.named_parameters()}
    if adapters is not None:
        parameters |= {name: p for name, p in backbone.body.named_parameters() if p.requires_grad}
    else:
        parameters |= {name: p.detach().float().clone().requires_grad_()
                       for name, p in backbone.body.named_parameters()}

    def vectors(places: list[int]) -> Tensor:
        if adapters is not None:
            return store.pooled(places)
        short = {f"body.{name}": parameters[name].to(backbone.dtype) for name, _ in backbone.body.named_parameters()}
        return torch.func.functional_call(  # type: ignore[no-any-return]
            backbone, short, (backbone.batch([rows[i] for i in places]),))

    weights = _weights(task.encode(lesson.targets), task.multi_label) if config.balance else None
    drop = nn.Dropout(config.dropout)

    def logits(places: list[int]) -> Tensor:
        return head(drop(vectors(places) / scale))  # type: ignore[no-any-return]

    def loss(places: list[int]) -> Tensor:
        return _loss(logits(places), y[places], task.multi_label, weights)

    lengths = [len(row) for row in rows]

    @torch.no_grad()
    def validate() -> tuple[float, dict[str, float]]:
        places = list(held)
        out = torch.empty(len(places), len(task.labels))
        for some in by_length([lengths[i] for i in places], TOKENS_PER_BATCH):
            out[some] = logits([places[i] for i in some])
        truth = y[places]
        figure = float(_loss(out, truth, task.multi_label, weights))
        guesses = task.decide(task.probabilities(out.numpy()))
        return figure, {"score": _quick_score(truth.numpy(), guesses)}

    def mode(training: bool) -> None:
        backbone.train(training)
        drop.train(training)

    batches = Buckets([lengths[i] for i in learned], config.batch_texts, config.batch_tokens, lesson.seed)
    done = train(parameters, loss, batches, validate, config, seed=lesson.seed,
                 learning_rate=config.learning_rate or RATES[method], mode=mode, work="fine-tune",
                 folder=lesson.folder / "checkpoint" if lesson.folder else None, deadline=lesson.deadline,
                 progress=lesson.progress)
    trained = sum(p.numel() for p in parameters.values())
    if adapters is not None:
        merge(backbone, adapters)
    else:
        with torch.no_grad():
            for name, p in backbone.body.named_parameters():
                p.copy_(parameters[name])
    weight = head.weight.detach().numpy() / scale
    return Fitted(TransformerHead(backbone, weight, head.bias.detach().numpy()), total + head.weight.numel(), trained,
                  done.history, f"{done.ended}; the weights of step {done.best_step} of {done.steps} were kept")


def _spread(store: Boundary, learned: range) -> float:
    """Typical size of a vector's entries: families differ by a factor of a thousand, the head's step does not."""
    with torch.no_grad():
        return float(store.pooled(list(learned[:16])).std()) or 1.0


def _weights(y: np.ndarray[Any, Any], multi_label: bool) -> Tensor:
    """[labels]: the root of how rare a label is, so that rare ones count without drowning the rest."""
    counts = y.sum(0) if multi_label else np.bincount(y)
    counts = np.maximum(counts, 1)
    rare = (len(y) - counts) / counts if multi_label else len(y) / (len(counts) * counts)
    return torch.from_numpy(np.sqrt(rare)).float()


def _loss(logits: Tensor, y: Tensor, multi_label: bool, weights: Tensor | None) -> Tensor:
    if multi_label:
        return F.binary_cross_entropy_with_logits(logits, y.float(), pos_weight=weights)
    return F.cross_entropy(logits, y, weight=weights)


def _quick_score(y: np.ndarray[Any, Any], guesses: np.ndarray[Any, Any]) -> float:
    from sklearn.metrics import f1_score
    return float(f1_score(y, guesses, average="macro", zero_division=0))
