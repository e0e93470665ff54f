"""A transformer learns to mark entities: a linear head over every token, LoRA on the top layers or whole layers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.marks import Span
from ..data.personal import excerpt
from ..engines.tagger import Tagger, head_of
from ..models.backbone import Backbone
from ..models.batch import TOKENS_PER_BATCH, by_length
from ..models.windows import windows
from ..tasks.entities import IGNORED, Entities
from .batches import Buckets
from .forecast import forecast
from .lesson import Session
from .loop import Trained, train
from .trainable import Adapted, Trainable, Whole

LORA_RATE, WHOLE_RATE = 5e-4, 5e-5
"""Peak learning rates when none is given."""
WINDOW = 256
"""Most tokens that are read at once: attention grows with the square, and entities are told by what is near."""
DROPOUT = 0.1
"""Before the head."""
LOOKED_AT = 16
"""Windows whose activations say what is usual; the head learns what is not."""


@dataclass(frozen=True)
class EntityLesson(Session):
    """What a tagger shall learn.

    Args:
        config: texts of more than `max_tokens` tokens (`WINDOW` at most) are read in windows.
        task: the labels.
        texts, spans: the training split.
        held_texts, held_spans: the validation split, for early stopping.
    """

    task: Entities
    texts: list[str]
    spans: list[list[Span]]
    held_texts: list[str] = field(default_factory=list)
    held_spans: list[list[Span]] = field(default_factory=list)


@dataclass(frozen=True)
class Misfits:
    """Spans that the model's tokens cannot give exactly.

    Args:
        count, total: of the training and validation spans.
        lost: of `count`, those that get no token at all.
        example: one of them, in words; empty where there is none.
    """

    count: int
    total: int
    lost: int
    example: str


@dataclass(frozen=True)
class Marker:
    """A trained tagger.

    Args:
        misfits: what its tokenizer cannot express.
        tokens: of the training texts, each once.
        parameters, trained_parameters: how many it has, and how many were trained.
        predicted_seconds: what its first seconds said, for as many epochs as it had.
        training_seconds: what it took until then: opening the model, judging it as it is, and training.
    """

    tagger: Tagger
    misfits: Misfits
    tokens: int
    parameters: int
    trained_parameters: int
    trained: Trained
    predicted_seconds: float
    training_seconds: float


def lora(lesson: EntityLesson) -> Marker:
    """LoRA (Hu et al. 2021) on the top `train_layers` layers; merged afterwards."""
    return _fit(lesson, Adapted, LORA_RATE)


def whole(lesson: EntityLesson) -> Marker:
    """Every weight of the top `train_layers` layers, in fp32 values."""
    def top(backbone: Backbone, rows: Sequence[list[int]], session: Session) -> Whole:
        return Whole(backbone, rows, session, session.config.train_layers)

    return _fit(lesson, top, WHOLE_RATE)


def _fit(lesson: EntityLesson, make: Callable[[Backbone, Sequence[list[int]], Session], Trainable],
         rate: float) -> Marker:
    config, task, begun = lesson.config, lesson.task, time.monotonic()
    torch.manual_seed(lesson.seed)
    backbone = Backbone.open(lesson.base, max_tokens=min(config.max_tokens, WINDOW))
    head_of(backbone.body.config, task.tags)  # what could not be saved is told before it is trained
    total = sum(p.numel() for p in backbone.body.parameters())
    if backbone.causal:
        lesson.progress.note("The model reads from left to right: a token is told without the words after it. "
                             "An encoder sees both sides.")
    rows, tags, count, misfits = _rows(lesson, backbone)
    lesson.progress.note(f"{len(lesson.texts):,} texts are read in {count:,} windows of at most "
                         f"{backbone.max_tokens} tokens.")
    if misfits.count:
        lesson.progress.note(f"{misfits.count:,} of {misfits.total:,} spans begin or end inside a token and are "
                             f"learned as whole tokens, {misfits.lost:,} have no token of their own: "
                             f"{misfits.example}.")
    body = make(backbone, rows, lesson)
    with torch.no_grad():  # tokens share a large mean, and sizes differ from place to place by a factor of a thousand
        few = range(min(LOOKED_AT, count))
        some = body.vectors(few, pool=False).float().cpu()
        some = some[_padded([tags[i] for i in few], some.shape[1]) != IGNORED]  # [tokens, width]
        middle, scale = some.mean(0), some.std(0).clamp(min=1e-6)
    head, drop = nn.Linear(backbone.width, len(task.tags)), nn.Dropout(DROPOUT)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)

    def losses(places: list[int], smoothing: float = 0.0) -> tuple[Tensor, int]:
        """Sum over the tokens that count, and how many those are."""
        hidden = body.vectors(places, pool=False).cpu()                        # [rows, tokens, width]
        truth = _padded([tags[i] for i in places], hidden.shape[1])
        told = truth != IGNORED
        logits = head(drop((hidden[told].float() - middle) / scale))           # [told tokens, tags]
        return F.cross_entropy(logits, truth[told], reduction="sum", label_smoothing=smoothing), int(told.sum())

    def loss(places: list[int]) -> Tensor:
        value, tokens = losses(places, config.label_smoothing)
        return value / max(1, tokens)

    held = list(range(count, len(rows)))

    @torch.no_grad()
    def validate() -> tuple[float | None, dict[str, float]]:
        if not held:
            return None, {}
        parts = [losses([held[i] for i in some])
                 for some in by_length([len(rows[i]) for i in held], TOKENS_PER_BATCH)]
        return sum(float(value) for value, _ in parts) / max(1, sum(tokens for _, tokens in parts)), {}

    def mode(training: bool) -> None:
        backbone.train(training)
        drop.train(training)

    parameters = {**{f"head.{name}": p for name, p in head.named_parameters()}, **body.parameters}
    batches = Buckets([len(row) for row in rows[:count]], config.batch_texts, config.batch_tokens, lesson.seed)
    said = forecast(parameters, body.boundary, loss, batches, lesson, begun=begun, epochs=config.epochs,
                    judged=sum(len(rows[i]) for i in held))
    body.boundary.fill(progress=lesson.progress)
    done = train(parameters, loss, batches, validate, config, seed=lesson.seed,
                 learning_rate=config.learning_rate or rate, mode=mode, work="fine-tune", folder=lesson.checkpoint,
                 deadline=lesson.deadline, progress=lesson.progress)
    body.finish()
    weight = head.weight.detach() / scale
    bias = head.bias.detach() - weight @ middle
    tokens = sum(int((one != IGNORED).sum()) for one in tags[:count])
    return Marker(Tagger(backbone, task, weight, bias), misfits, tokens, total + weight.numel() + bias.numel(),
                  sum(p.numel() for p in parameters.values()), done, said.seconds(done.epochs),
                  time.monotonic() - begun + done.earlier)


def _padded(tags: Sequence[Tensor], wide: int) -> Tensor:
    """[rows, wide]"""
    out = torch.full((len(tags), wide), IGNORED)
    for row, one in enumerate(tags):
        out[row, :len(one)] = one
    return out


def _rows(lesson: EntityLesson, backbone: Backbone) -> tuple[list[list[int]], list[Tensor], int, Misfits]:
    """Windows of all texts with the tag of each token, how many of them are of training texts, and what does not fit.

    A token that two windows hold is learned in one of them, so that all tokens weigh the same.
    """
    rows, tags, count = list[list[int]](), list[Tensor](), 0
    texts, spans = [*lesson.texts, *lesson.held_texts], [*lesson.spans, *lesson.held_spans]
    misfits = list[tuple[str, Span, Span | None]]()
    for number, cut in enumerate(windows(backbone.tokenizer, texts, backbone.max_tokens, backbone.causal)):
        told = lesson.task.encode(texts[number], spans[number], cut.offsets)
        misfits += [(texts[number], *one) for one in told.misfits]
        for one in cut.windows:
            if not (told.tags[one.tokens] != IGNORED).any():
                continue
            mine = np.full(len(one.ids), IGNORED)
            mine[one.places] = told.tags[one.tokens]
            rows.append(one.ids)
            tags.append(torch.from_numpy(mine))
        if number < len(lesson.texts):
            count = len(rows)
    example = ""
    if misfits:
        text, span, given = max(misfits, key=lambda one: one[2] is not None)
        example = f"“{excerpt(text[span.start:span.end])}” is learned as " + (
            f"“{excerpt(text[given.start:given.end])}”" if given else "nothing")
    return rows, tags, count, Misfits(len(misfits), sum(map(len, spans)),
                                      sum(given is None for *_, given in misfits), example)
