"""The course of a model that learns to mark entities: judged by exact spans, beside two taggers without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..progress import Progress
from ..train.lesson import Shown
from .config import TuneConfig
from .courses import Course, Learned, Losses, TuneJob, divided, enough, foretold, said_of, session, sources

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..data.marks import Span
    from ..engines.tagger import Tagger
    from ..evaluate.figures import Figure, Sample
    from ..tasks.classify import Floats
    from ..train.entities import EntityLesson, Marker

PROVEN = 32
"""Rows of the test split by which the saved model is held against the trained one."""
SHOWN = 5
"""Rows of the test split that the result shows as they were marked."""


class MarkingCourse(Course["EntityLesson"]):
    """Names, products, dates, amounts: labelled pieces of a text."""

    metric, engine = "micro_f1", "tagger"

    def read(self, source: str, config: TuneConfig, progress: Progress) -> tuple[Dataset, dict[str, Any]]:
        from ..data.spans import read_spans

        reading = read_spans(**sources(source, config), text=config.ask, label=config.answer, progress=progress)
        said = said_of(reading, progress, f", {reading.detected['spans']} spans, "
                                          f"{reading.detected['rows without spans']} rows without any")
        return divided(reading.dataset, config, (0.7, 0.1, 0.2), progress), said

    def memory(self, job: TuneJob, lesson: EntityLesson) -> int | None:
        from ..catalog.cards import card
        from ..train.entities import WINDOW

        longest = min(job.training.max_tokens, WINDOW, card(job.config.model).context or WINDOW)
        return foretold(job, replace(job.training, max_tokens=longest).step_tokens, longest,
                        labels=len(lesson.task.tags))

    def lesson(self, job: TuneJob, dataset: Dataset, model: Path) -> EntityLesson:
        from ..data.spans import spans_of
        from ..tasks.entities import Entities
        from ..train.entities import EntityLesson

        learn, held, test = (dataset.part(name) for name in ("train", "validation", "test"))
        enough(len(learn), len(test))
        known = Entities.from_spans(spans_of(learn), learn.texts)
        task = replace(known, labels=Entities.from_spans(spans_of(dataset)).labels)
        if unknown := set(task.labels) - set(known.labels):
            job.progress.note(f"No row to learn from has {', '.join(sorted(unknown))}: give more rows with it.")
        return EntityLesson(task, learn.texts, spans_of(learn), held.texts, spans_of(held), **session(job, model))

    def learn(self, job: TuneJob, dataset: Dataset, lesson: EntityLesson, model: Path, adapter: Path,
              progress: Progress) -> Learned:
        from ..data.spans import spans_of
        from ..data.split import units_of
        from ..evaluate.entities import count
        from ..evaluate.entities import figures as scored
        from ..tasks.spotting import Dictionary, LinearTagger

        test, task, own = dataset.part("test"), lesson.task, lesson.texts
        truth = spans_of(test)
        seen = Dictionary(own, lesson.spans).tag(test.texts)
        linear = LinearTagger(task, own, lesson.spans, lesson.held_texts, lesson.held_spans, job.config.seed)
        done = _teach(job, replace(lesson, progress=progress))
        done.tagger.save(model)
        found, before = done.tagger.spans(test.texts, progress), linear.tag(test.texts)
        figures = scored(task, *(count(task, truth, some) for some in (before, found, seen)),
                         unit=units_of(test, None).tolist(), seed=job.config.seed)
        learned = Learned.of(done, figures, _verdict(figures[0]),
                             {"all": done.tokens, "learned": done.tokens, "cut": 0}, len(test),
                             Shown(some := test.texts[:PROVEN], _logs(done.tagger, some)),
                             _samples(test.texts, truth, before, found))
        return replace(learned, note=f"{learned.note}. Before is a linear tagger, the baseline a dictionary of the "
                                     "entities learned from")

    def again(self, model: Path, given: Any) -> Floats:
        from ..engines.tagger import Tagger

        return _logs(Tagger.open(model), given)

    def trial(self, job: TuneJob, dataset: Dataset, lesson: EntityLesson) -> Losses:
        return _teach(job, lesson).tagger.losses(lesson.held_texts, lesson.held_spans)

    def rate(self, job: TuneJob, lesson: EntityLesson) -> float:
        from ..train import entities

        return entities.LORA_RATE if job.config.method == "lora" else entities.WHOLE_RATE


def _teach(job: TuneJob, lesson: EntityLesson) -> Marker:
    from ..train import entities

    return (entities.lora if job.config.method == "lora" else entities.whole)(lesson)


def _logs(tagger: Tagger, texts: Sequence[str]) -> Floats:
    """Log-probabilities of the tags of all tokens. [tokens, tags]"""
    import numpy as np

    return np.concatenate([log for log, _ in tagger.logs(texts)])


def _verdict(figure: Figure) -> str:
    """One sentence for people: is the model better than a tagger without one?"""
    gain = figure.gain
    assert gain is not None
    what = f"F1 {figure.after.value:.3f} against {figure.before.value:.3f} of a linear tagger, on {gain.n} rows"
    if gain.low > 0:
        return f"It has learned: {what}; {gain.low:.3f} to {gain.high:.3f} better."
    if gain.high < 0:
        return f"It is worse than a linear tagger: {what}. Give it more rows, more epochs or another model."
    return f"Nothing is proven: {what}; the difference could be chance."


def _samples(texts: Sequence[str], truth: Sequence[Sequence[Span]], before: Sequence[Sequence[Span]],
             after: Sequence[Sequence[Span]]) -> list[Sample]:
    from ..evaluate.figures import Sample

    def words(text: str, spans: Sequence[Span]) -> str:
        return "; ".join(f"{text[one.start:one.end]} [{one.label}]" for one in spans)

    rows = [i for i, row in enumerate(truth) if row][:SHOWN]
    return [Sample(asked=texts[i], reference=words(texts[i], truth[i]), before=words(texts[i], before[i]),
                   after=words(texts[i], after[i])) for i in rows]
