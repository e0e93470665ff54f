"""The course of an embedding model: pairs are learned, and judged by what held-out questions find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError
from ..progress import Progress
from ..train.lesson import Shown
from .config import TuneConfig
from .courses import Course, Learned, Losses, TuneJob, by_unit, divided, foretold, said_of, session, sources

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..data.pairs import Pair
    from ..tasks.classify import Floats
    from ..train.embed import PairLesson

MOST_ASKED, MOST_TOLD = 1000, 10_000
"""Questions that are judged, and documents that they search, at most; the right ones are always among these."""
PROVEN = 32
"""Questions and documents by whose cosines the saved model is held against the trained one."""
SHOWN = 5
"""Questions that the result shows with what they found."""
FEWEST = 10
"""Pairs to learn from; with fewer a step has hardly anything to tell apart."""


class EmbeddingCourse(Course["PairLesson"]):
    """Search: which document belongs to which question."""

    metric, engine = "ndcg_at_10", "embedder"
    tried = {"batch_pairs": (16, 32, 64)}

    def read(self, source: str, config: TuneConfig, progress: Progress) -> tuple[Dataset, dict[str, Any]]:
        from ..data.pairs import KIN, read_pairs, with_kin

        reading = read_pairs(**sources(source, config), ask=config.ask, answer=config.answer, progress=progress)
        said = said_of(reading, progress)
        dataset, sentences = with_kin(reading.dataset, config.seed, progress)
        for sentence in sentences:
            progress.note(sentence)
        return divided(dataset, config, (0.7, 0.1, 0.2), progress, dataset.column(KIN)), said

    def memory(self, job: TuneJob, lesson: PairLesson) -> int | None:
        from ..catalog.cards import card
        from ..train.embed import STEP

        config = job.training
        longest = min(config.max_tokens, card(job.config.model).context or config.max_tokens)
        return foretold(job, min(STEP * config.batch_tokens,
                                 config.batch_pairs * (2 + config.hard_negatives) * longest), longest, labels=0)

    def lesson(self, job: TuneJob, dataset: Dataset, model: Path) -> PairLesson:
        from ..data.pairs import pairs
        from ..train.embed import PairLesson

        learn, held, test = (pairs(dataset.part(name)) for name in ("train", "validation", "test"))
        if len(learn) < FEWEST or len({one.kin for one in test}) < 2:
            raise DataError(f"{len(learn)} pairs to learn from and {len(test)} to judge by are too few.",
                            "Give 50 pairs or more that share no question or document, or pairs of your own to judge "
                            "by with --test.")
        questions, documents = judged(learn, held, test, job.config.seed)
        return PairLesson(learn, held, questions, documents, method=job.config.method, **session(job, model))

    def learn(self, job: TuneJob, dataset: Dataset, lesson: PairLesson, model: Path, adapter: Path,
              progress: Progress) -> Learned:
        from ..evaluate.figures import Sample
        from ..evaluate.retrieval import best, by_cosine, by_words, retrieval, search, verdict
        from ..models.folder import write_pooling
        from ..train.embed import embed

        done = embed(replace(lesson, progress=progress, adapter=adapter))
        backbone = done.backbone
        if backbone.tokenizer.pad_token is None:  # else sentence-transformers refuses more than one text at once
            backbone.tokenizer.pad_token = backbone.tokenizer.eos_token
        backbone.save(model)
        write_pooling(model, backbone.pooling, backbone.normalized, backbone.max_tokens, backbone.width)
        right, unit = sought(dataset.part("test"), lesson.questions, lesson.documents)
        ways = [by_cosine(done.before.questions, done.before.documents),
                by_cosine(done.after.questions, done.after.documents), by_words(lesson.questions, lesson.documents)]
        before, after, words = (search(way, right) for way in ways)
        figures = retrieval(before, after, words, unit)
        first = [[lesson.documents[i] for i in best(way, len(right))] for way in ways[:2]]
        samples = [Sample(asked=question, reference=lesson.documents[mine[0]], before=old, after=new)
                   for question, mine, old, new in zip(lesson.questions, right, *first, strict=True)]
        return Learned.of(done, figures, verdict(figures, len(lesson.documents)),
                          {"all": done.tokens, "learned": done.tokens, "cut": done.cut}, len(right),
                          Shown((lesson.questions[:PROVEN], lesson.documents[:PROVEN]),
                                done.after.questions[:PROVEN] @ done.after.documents[:PROVEN].T), samples[:SHOWN])

    def again(self, model: Path, given: Any) -> Floats:
        from ..models.backbone import Backbone

        questions, documents = map(Backbone.open(model).embed, given)
        return (questions @ documents.T).numpy()

    def trial(self, job: TuneJob, dataset: Dataset, lesson: PairLesson) -> Losses:
        from ..train.embed import embed, losses

        after = embed(replace(lesson, questions=list(dict.fromkeys(one.question for one in lesson.held)),
                              documents=list(dict.fromkeys(text for one in lesson.held for text in one.documents)))
                      ).after
        part, whole, kin = losses(after, lesson.held, lesson.config.pair_temperature)
        return by_unit(kin, part, whole)

    def rate(self, job: TuneJob, lesson: PairLesson) -> float:
        from ..train.embed import RATES

        return RATES[job.config.method]


def judged(learn: list[Pair], held: list[Pair], test: list[Pair], seed: int,
           most: int = MOST_ASKED) -> tuple[list[str], list[str]]:
    """The questions of the test split, so many at most, and the documents that they search: those of all splits, as
    in use, where nobody knows in which split a document was."""
    import numpy as np

    draw = np.random.default_rng(seed)
    asked: dict[str, list[str]] = {}
    for one in test:
        asked.setdefault(one.question, []).extend(one.documents)
    questions = list(asked)
    if len(questions) > most:
        questions = [questions[i] for i in sorted(draw.choice(len(questions), most, replace=False).tolist())]
    needed = dict.fromkeys(text for question in questions for text in asked[question])
    others = [text for text in dict.fromkeys(text for one in (*test, *held, *learn)
                                             for text in (*one.documents, *one.negatives)) if text not in needed]
    if len(needed) + len(others) > MOST_TOLD:
        room = max(0, MOST_TOLD - len(needed))
        others = [others[i] for i in sorted(draw.choice(len(others), room, replace=False).tolist())]
    return questions, [*needed, *others]


def sought(rows: Dataset, questions: Sequence[str], documents: Sequence[str]) -> tuple[list[list[int]], list[int]]:
    """Of each question the positions of the documents that answer it, and the number of its unit.

    Args:
        rows: that the questions are of.
    """
    from ..data.pairs import KIN, pairs
    from ..data.split import units_of

    at = {text: place for place, text in enumerate(documents)}
    right: dict[str, set[int]] = {question: set() for question in questions}
    unit: dict[str, int] = {}
    for one, number in zip(pairs(rows), units_of(rows, rows.column(KIN)).tolist(), strict=True):
        if one.question in right:
            right[one.question].update(at[text] for text in one.documents)
            unit[one.question] = number
    return [sorted(right[question]) for question in questions], [unit[question] for question in questions]
