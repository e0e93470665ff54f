"""The course of a model that learns to mark entities: judged by exact spans, beside two taggers without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..progress import Progress
from .config import TuneConfig
from .courses import Learned, TuneJob, enough, fit, said_of, session, sources

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..data.marks import Span
    from ..evaluate.figures import Figure, Sample
    from ..train.entities import EntityLesson

SPLITS, SPLITS_WITH_TEST = (0.7, 0.1, 0.2), (0.9, 0.1, 0.0)
SHOWN = 5
"""Rows of the test split that the result shows as they were marked."""


class MarkingCourse:
    """Names, products, dates, amounts: labelled pieces of a text."""

    metric = "micro_f1"

    def read(self, source: str, config: TuneConfig, progress: Progress) -> tuple[Dataset, dict[str, Any]]:
        from ..data import duplicates
        from ..data.spans import read_spans
        from ..data.split import split

        reading = read_spans(**sources(source, config), text=config.ask, label=config.answer, progress=progress)
        said = said_of(reading, progress, f", {reading.detected['spans']} spans, "
                                          f"{reading.detected['rows without spans']} rows without any")
        found = duplicates.find(reading.dataset.texts, seed=config.seed, progress=progress)
        dataset = split(reading.dataset, fractions=SPLITS_WITH_TEST if config.test else SPLITS, seed=config.seed,
                        clusters=[int(c) for c in found.near])
        return dataset, said

    def model(self, job: TuneJob) -> Path:
        from ..catalog.cards import card
        from ..catalog.fetch import pull

        base = card(job.config.model)
        if job.config.method == "qlora":
            raise UserError("A tagger is not trained on weights at 4 bits.", "Take --method lora or full.")
        if base.architecture is not None and base.architecture.family == "t5":
            raise UserError(f"{base.id} is an encoder-decoder, which no tagger is made of here.",
                            "Take an encoder, such as all-minilm-l6-v2.")
        return pull(base, job.progress)

    def memory(self, job: TuneJob, lesson: EntityLesson) -> int | None:
        from ..catalog import memory
        from ..catalog.cards import card
        from ..models.runtime import runtime
        from ..train.entities import WINDOW

        base, config = card(job.config.model), job.training
        if base.architecture is None:
            return None
        config = replace(config, max_tokens=min(config.max_tokens, WINDOW, base.context or WINDOW))
        step = memory.Step(config.step_tokens, config.max_tokens, config.train_layers, config.rank)
        return memory.to_train(base, "lora" if job.config.method == "lora" else "full",
                               "fp32" if str(runtime().dtype) == "torch.float32" else "bf16", step,
                               labels=len(lesson.task.tags))

    def lesson(self, job: TuneJob, dataset: Dataset, model: Path) -> EntityLesson:
        from ..data.spans import spans_of
        from ..tasks.entities import Entities
        from ..train.entities import EntityLesson

        parts = {name: dataset.part(name) for name in ("train", "validation", "test")}
        enough(len(parts["train"]), len(parts["test"]))
        learn, held = parts["train"], parts["validation"]
        task = Entities.from_spans(spans_of(dataset))
        if unknown := set(task.labels) - set(Entities.from_spans(spans_of(learn)).labels):
            job.progress.note(f"No row to learn from has {', '.join(sorted(unknown))}: give more rows with it.")
        lesson = EntityLesson(task, learn.texts, spans_of(learn), held.texts, spans_of(held), **session(job, model))
        fit(job, self.memory(job, lesson), "--batch-tokens, --max-tokens or --train-layers")
        return lesson

    def learn(self, job: TuneJob, dataset: Dataset, lesson: EntityLesson, model: Path, adapter: Path,
              progress: Progress) -> Learned:
        from ..data.spans import spans_of
        from ..data.split import units_of
        from ..evaluate.entities import count
        from ..evaluate.entities import figures as scored
        from ..tasks.spotting import Dictionary, LinearTagger
        from ..train import entities

        test, task, own = dataset.part("test"), lesson.task, lesson.texts
        truth = spans_of(test)
        seen = Dictionary(own, lesson.spans).tag(test.texts)
        linear = LinearTagger(task, own, lesson.spans, lesson.held_texts, lesson.held_spans, job.config.seed)
        lesson = replace(lesson, progress=progress)
        done = (entities.lora if job.config.method == "lora" else entities.whole)(lesson)
        done.tagger.save(model)
        found, before = done.tagger.spans(test.texts, progress), linear.tag(test.texts)
        figures = scored(task, *(count(task, truth, some) for some in (before, found, seen)),
                         unit=units_of(test, None).tolist(), seed=job.config.seed)
        return Learned(
            figures, _verdict(figures[0]),
            f"{done.trained.note}. Before is a linear tagger, the baseline a dictionary of the entities learned from",
            {"all": done.tokens, "learned": done.tokens, "cut": 0}, len(test), done.parameters,
            done.trained_parameters, done.trained.history, done.predicted_seconds, done.training_seconds,
            _samples(test.texts, truth, before, found))


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
