"""An embedding model learns which document belongs to which question: the others of a batch are the wrong ones.

The loss is InfoNCE with in-batch negatives (van den Oord et al. 2018; Henderson et al. 2017), and hard negatives that
the model before training confuses with the right document (mined as in NV-Retriever, Moreira et al. 2024).
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.pairs import Pair
from ..models.adapters import save_adapter
from ..models.backbone import Backbone
from ..progress import SILENT, Progress
from .forecast import forecast
from .loop import Trained, train
from .student import METHODS, Lessons
from .trainable import WHOLE_RATE, Adapted, Trainable

STEP = 4
"""A step holds at most so many times `batch_tokens`: with fewer documents there is too little to tell apart."""
POOL = 10
"""Mined documents of each question, of which every epoch draws others."""
TOGETHER = 16
"""Texts of similar length in one pass. The texts of a step go through in several: little is padded, and the shapes of
products are few, for each of which oneDNN builds a kernel (with passes of 2,048 tokens, 0.6 times the speed)."""
BLOCK = 256
"""Questions whose scores are held at once."""
RATES = {"lora": 5e-4, "qlora": 5e-4, "full": WHOLE_RATE}
"""Peak learning rates when none is given: contrast asks for smaller ones than writing."""
NEVER = -1e4
"""A score that no cosine has; a finite one, so that a question without wrong documents has a gradient of 0."""


@dataclass(frozen=True)
class PairLesson(Lessons):
    """What an embedding model shall learn.

    Args:
        pairs: the training split.
        held: the validation split, for early stopping.
        questions, documents: texts that the model before and after is judged by; training does not look at them.
    """

    pairs: list[Pair]
    held: list[Pair] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Vectors:
    """Vectors of length 1 of the judged texts: [questions, width] and [documents, width], fp32."""

    questions: NDArray[np.float32]
    documents: NDArray[np.float32]


@dataclass(frozen=True)
class Embedder:
    """An embedding model that learned from pairs.

    Args:
        backbone: the model, adapters merged; its vectors have length 1.
        before, after: of the judged texts.
        tokens: of the training texts.
        cut: training texts that were cut, or just fit.
        hard: training questions that have hard negatives.
        predicted_seconds: what its first seconds said, for as many epochs as it had.
        training_seconds: what it took until then: opening the model, judging it as it is, and training.
    """

    backbone: Backbone
    before: Vectors
    after: Vectors
    tokens: int
    cut: int
    hard: int
    parameters: int
    trained_parameters: int
    trained: Trained
    predicted_seconds: float
    training_seconds: float


@dataclass(frozen=True)
class Company:
    """Batches of questions with their documents. Each pair of an epoch stands in one; no text stands in one twice.

    Args:
        pairs: (place of the question, place of its document) of each pair.
        hard: wrong documents by question.
        lengths: tokens of each text, by place.
        texts: most pairs in a batch.
        tokens: most tokens in a batch, but two pairs always stand together; one left over joins the last batch.
        negatives: hard ones that are drawn for each pair.
        seed: fixes the order and the draw, with the epoch.
    """

    pairs: list[tuple[int, int]]
    hard: dict[int, list[int]]
    lengths: Sequence[int]
    texts: int
    tokens: int
    negatives: int
    seed: int

    def epoch(self, number: int) -> list[list[int]]:
        """Places of the texts of each batch of that epoch."""
        chance = random.Random(self.seed * 1_000_003 + number)
        batches: list[set[int]] = []
        pairs = size = 0
        for question, document in chance.sample(self.pairs, len(self.pairs)):
            hard = self.hard.get(question, [])
            texts = {question, document, *chance.sample(hard, min(self.negatives, len(hard)))}
            more = sum(self.lengths[i] for i in texts)
            if not batches or pairs >= self.texts or (pairs > 1 and size + more > self.tokens):
                batches.append(set())
                pairs = size = 0
            batches[-1] |= texts
            pairs, size = pairs + 1, size + more
        if len(batches) > 1 and pairs == 1:  # alone it would have nothing to stand apart from
            alone = batches.pop()
            batches[-1] |= alone
        return [sorted(batch) for batch in batches]


def embed(lesson: PairLesson) -> Embedder:
    """Train an embedding model on pairs, and embed what it is judged by before and after.

    Raises:
        Late: the time budget does not allow a training that is worth its name.
    """
    config, begun, texts = lesson.config, time.monotonic(), Texts(lesson)
    torch.manual_seed(lesson.seed)
    backbone = Backbone.open(lesson.base)
    backbone.max_tokens = min(backbone.max_tokens, config.max_tokens)
    backbone.normalized = True  # cosines are learned: the saved model gives vectors whose products they are
    rows = backbone.tokens(texts.all)
    lengths = [len(row) for row in rows]
    body = METHODS[lesson.method](backbone, rows, lesson)

    def judged(work: str) -> Vectors:
        with torch.no_grad():
            found = _vectors(body, lengths, [*texts.asked, *texts.told], lesson.progress, work).numpy()
        return Vectors(found[:len(texts.asked)], found[len(texts.asked):])

    before = judged("judge the model as it is")
    hard, learned = dict(texts.given), sorted({i for pair in texts.pairs for i in pair})
    if config.hard_negatives:
        with torch.no_grad():
            near = _vectors(body, lengths, learned, lesson.progress, "mine hard negatives")
        hard = mine(texts, learned, near, config.hard_margin) | hard

    def contrast(vectors: Tensor, places: Sequence[int]) -> Tensor:
        at = torch.tensor(places)
        asked = at < texts.questions
        questions, documents = at[asked], at[~asked]
        scores = vectors[asked] @ vectors[~asked].t() / config.pair_temperature    # [questions, documents]
        right = torch.isin(questions[:, None] * len(rows) + documents, texts.right)
        wrong = ~right & (texts.kin[questions][:, None] != texts.kin[documents])
        return (_apart(scores, right, wrong) + _apart(scores.t(), right.t(), wrong.t())) / 2

    held = sorted({i for pair in texts.held for i in pair})

    @torch.no_grad()
    def validate() -> tuple[float | None, dict[str, float]]:
        if len(texts.held) < 2:
            return None, {}
        return float(contrast(_vectors(body, lengths, held), held)), {}

    def loss(places: list[int]) -> Tensor:
        return contrast(_vectors(body, lengths, places), places)

    batches = Company(texts.pairs, hard, lengths, config.batch_pairs, STEP * config.batch_tokens,
                      config.hard_negatives, lesson.seed)
    said = forecast(body.parameters, body.boundary, loss, batches, lesson, begun=begun, epochs=config.epochs,
                    judged=sum(lengths[i] for i in held), read=sum(lengths[i] for i in (*texts.asked, *texts.told)))
    done = train(body.parameters, loss, batches, validate, config, seed=lesson.seed,
                 learning_rate=config.learning_rate or RATES[lesson.method], mode=backbone.train, work="fine-tune",
                 folder=lesson.checkpoint, deadline=lesson.deadline, progress=lesson.progress)
    if lesson.adapter is not None and isinstance(body, Adapted):
        save_adapter(body.model, lesson.adapter)
    trained = sum(p.numel() for p in body.parameters.values())
    body.finish()
    return Embedder(backbone, before, judged("judge the tuned model"), sum(lengths[i] for i in learned),
                    sum(lengths[i] >= config.max_tokens for i in learned), len(hard),
                    sum(p.numel() for p in backbone.body.parameters()), trained, done, said.seconds(done.epochs),
                    time.monotonic() - begun + done.earlier)


class Texts:
    """Every text of a lesson once, questions first, and what belongs together by their places.

    Args:
        all: the texts; the first `questions` of them are questions.
        pairs, held: (question, document) of the training and the validation split.
        given: wrong documents that the data names, by question.
        asked, told: questions and documents of the judged texts.
        right: question x texts + document of every pair that is known, as one number.
        kin: [texts] number of the rows that a text is of; -1 for one that is of none.
    """

    def __init__(self, lesson: PairLesson) -> None:
        rows = [*lesson.pairs, *lesson.held]
        questions = dict.fromkeys([*(row.question for row in rows), *lesson.questions])
        documents = dict.fromkeys([*(text for row in rows for text in (*row.documents, *row.negatives)),
                                   *lesson.documents])
        self.all, self.questions = [*questions, *documents], len(questions)
        question = {text: place for place, text in enumerate(questions)}
        document = {text: place for place, text in enumerate(documents, len(questions))}
        self.pairs, self.held = ([(question[row.question], document[text]) for row in some for text in row.documents]
                                 for some in (lesson.pairs, lesson.held))
        self.given: dict[int, list[int]] = {}
        self.kin = torch.full((len(self.all),), -1)
        for row in rows:
            self.kin[[question[row.question], *(document[text] for text in row.documents)]] = row.kin
        for row in lesson.pairs:
            if row.negatives:
                self.given.setdefault(question[row.question], []).extend(document[text] for text in row.negatives)
        self.asked, self.told = [question[i] for i in lesson.questions], [document[i] for i in lesson.documents]
        self.right = torch.tensor(sorted({q * len(self.all) + d for q, d in (*self.pairs, *self.held)}))


def mine(texts: Texts, places: Sequence[int], vectors: Tensor, margin: float) -> dict[int, list[int]]:
    """The documents of training that are nearest to each question and wrong, at most `POOL`.

    Left out are the question's kin and, since they may be right without being known to be ("TopK-PercPos" of Moreira
    et al. 2024), documents whose cosine is above `margin` of that of its own document (of the farthest of several).

    Args:
        places, vectors: [texts] and [texts, width] of the training pairs; questions first.
    """
    at = {place: row for row, place in enumerate(places)}
    asked = sum(place < texts.questions for place in places)
    own: dict[int, list[int]] = {}
    for question, document in texts.pairs:
        own.setdefault(at[question], []).append(at[document] - asked)
    kin, out = texts.kin[list(places)], {}
    for some in (torch.arange(i, min(asked, i + BLOCK)) for i in range(0, asked, BLOCK)):
        scores = vectors[some] @ vectors[asked:].t()                           # [questions, documents]
        least = torch.stack([scores[row, own[i]].min() for row, i in enumerate(some.tolist())])
        scores[(scores > margin * least[:, None]) | (kin[some][:, None] == kin[asked:])] = NEVER
        near = scores.topk(min(POOL, scores.shape[1]), dim=1)
        for row, i in enumerate(some.tolist()):
            if found := near.indices[row][near.values[row] > NEVER].tolist():
                out[places[i]] = [places[asked + j] for j in found]
    return out


def losses(found: Vectors, pairs: Sequence[Pair], temperature: float) -> tuple[
        NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """The loss of each question summed over its documents, how many these are, and its kin. [questions] each

    Args:
        found: of every question and document of the pairs, once each, in their order.
    """
    kin = {pair.question: pair.kin for pair in pairs}
    told = {text: pair.kin for pair in pairs for text in pair.documents}
    question, document = ({text: place for place, text in enumerate(some)} for some in (kin, told))
    right = torch.zeros(len(kin), len(told), dtype=torch.bool)
    for pair in pairs:
        right[question[pair.question], [document[text] for text in pair.documents]] = True
    wrong = torch.tensor([*kin.values()])[:, None] != torch.tensor([*told.values()])
    scores = torch.from_numpy(found.questions @ found.documents.T) / temperature
    wrong &= ~right
    each = (_cells(scores, right, wrong) + _cells(scores.t(), right.t(), wrong.t()).t()).double() / 2
    return each.sum(1).numpy(), right.sum(1).numpy(), np.array([*kin.values()])


def _apart(scores: Tensor, right: Tensor, wrong: Tensor) -> Tensor:
    """Mean over the right cells of -log(e^right / (e^right + sum of e^wrong in its row)); cells that are neither are
    left out. [rows, columns] each"""
    return _cells(scores, right, wrong).sum() / right.sum()


def _cells(scores: Tensor, right: Tensor, wrong: Tensor) -> Tensor:
    """The same of each right cell; 0 elsewhere. [rows, columns]"""
    against = scores.masked_fill(~wrong, NEVER).logsumexp(1, keepdim=True)
    return (torch.logaddexp(against, scores) - scores) * right


def _vectors(body: Trainable, lengths: Sequence[int], places: Sequence[int], progress: Progress = SILENT,
             work: str = "") -> Tensor:
    """Vectors of the texts at these places, passed through in groups of similar length. -> [texts, width]"""
    order = sorted(range(len(places)), key=lambda i: -lengths[places[i]])
    parts = list[Tensor]()
    progress.start(work, len(places), "texts")
    for start in range(0, len(order), TOGETHER):
        some = order[start:start + TOGETHER]
        parts.append(body.vectors([places[i] for i in some]))
        progress.advance(work, len(some))
    progress.done(work)
    return torch.cat(parts)[torch.tensor(order).argsort()]
