"""The course of a model that learns to write: rows are rendered, learned, and judged by their loss and by answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..progress import Progress
from .answering import asked_as, exam, findings, remember, task_of
from .config import TuneConfig
from .courses import Course, Learned, Losses, TuneJob, divided, enough, foretold, said_of, session, sources

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..data.health import Finding
    from ..data.turns import Conversation
    from ..evaluate.figures import Figure
    from ..models.template import Row
    from ..tasks.classify import Floats
    from ..train.generate import TextLesson
    from ..train.student import Tuned

SHARES = (0.8, 0.1, 0.1)
MOST: dict[str, int | None] = {"train": None, "validation": 200, "test": 500}
"""Rows that each validation reads, and that the figures are of, at most: more cost time and change little."""


LEADS = {"chat": "loss", "pretrain": "loss", "prefer": "preferred"}
"""The figure that leads, where no task of `tasks.write` says it: a good reply has many forms."""


class WritingCourse(Course[Any]):
    """Answers, summaries, translations, fields, code."""

    engine = "writer"
    judged = False
    """Its rows hold judged answers."""
    asks = False
    """Its rows may lack their answers."""
    together = 1
    """Texts that one step cannot tear apart."""

    def __init__(self, task: str) -> None:
        from ..tasks.write import WRITING

        super().__init__(task)
        self.metric = LEADS.get(task) or WRITING.get(task)().metric

    def read(self, source: str, config: TuneConfig, progress: Progress) -> tuple[Dataset, dict[str, Any]]:
        from ..data.conversations import read_conversations

        reading = read_conversations(**sources(source, config), ask=config.ask, answer=config.answer,
                                     judged=self.judged, asks=self.asks, progress=progress)
        said = said_of(reading, progress)
        dataset = divided(reading.dataset, config, SHARES, progress)
        odd = self.odd(config, dataset)
        for finding in odd:
            progress.note(f"{finding.message} {finding.fix} {'; '.join(finding.examples[:2])}")
        return dataset, {**said, "findings": [one.model_dump() for one in odd]}

    def model(self, job: TuneJob) -> Path:
        from ..catalog.fetch import pull_writer

        return pull_writer(job.config.model, job.progress)

    def memory(self, job: TuneJob, lesson: TextLesson) -> int | None:
        from ..models.vocabulary import TOKENS

        longest = max(len(row.ids) for row in lesson.rows)
        tokens = max(replace(job.training, max_tokens=longest).step_tokens, self.together * longest)
        return foretold(job, tokens, longest, logit_tokens=TOKENS)

    def odd(self, config: TuneConfig, dataset: Dataset) -> list[Finding]:
        """What is odd in the rows."""
        return findings(task_of(config, dataset), dataset)

    def reader(self, config: TuneConfig, dataset: Dataset) -> Callable[[Dataset], list[tuple[str, Conversation]]]:
        """Gives what the model reads of some rows, and where each stands, for errors."""
        from ..data.conversations import texts

        task = task_of(config, dataset)

        def read(part: Dataset) -> list[tuple[str, Conversation]]:
            found = texts(part)
            asked = asked_as(task, config, [one for _, one in found])
            return [(place, one) for (place, _), one in zip(found, asked, strict=True)]
        return read

    def lesson(self, job: TuneJob, dataset: Dataset, model: Path) -> TextLesson:
        from ..models.doctor import LOOKED_AT, diagnose, ends_of
        from ..models.folder import open_folder
        from ..models.template import open_template, rows_of
        from ..train.generate import TextLesson

        place = open_folder(model)
        template = open_template(place, job.training.max_tokens)
        read = self.reader(job.config, dataset)
        parts = dict[str, list["Row"]]()
        for name in MOST:
            found = read(some(dataset, name, job.config.seed))
            parts[name] = rows_of(template, [one for _, one in found], [place for place, _ in found])
        enough(len(parts["train"]), len(parts["test"]))
        learn = dataset.part("train")
        first = [one for _, one in read(learn.take(range(min(LOOKED_AT, len(learn)))))]
        for sentence in diagnose(template, first, ends_of(place, template.tokenizer)):
            job.progress.note(sentence)
        return TextLesson(*parts.values(), method=job.config.method, **session(job, model))

    def trial(self, job: TuneJob, dataset: Dataset, lesson: Any) -> Losses:
        from ..train.generate import write

        after = write(replace(lesson, judged=lesson.held, compare=False)).after
        return after.nats, after.tokens

    def rate(self, job: TuneJob, lesson: Any) -> float:
        from ..catalog.cards import card
        from ..train.trainable import WIDTH, rate

        shape = card(job.config.model).architecture
        return rate(job.config.method, shape.hidden if shape else WIDTH)

    def learn(self, job: TuneJob, dataset: Dataset, lesson: TextLesson, model: Path, adapter: Path,
              progress: Progress) -> Learned:
        import numpy as np

        from ..data.split import units_of
        from ..evaluate import answers
        from ..evaluate.writing import verdict, writing

        task = task_of(job.config, dataset)
        tuned, completed = self.teach(replace(lesson, progress=progress, adapter=adapter))
        tuned.backbone.save(model)
        if job.config.ask:
            remember(task, model)
        decode = tuned.backbone.tokenizer.decode
        said = [decode([i for i, on in zip(row.ids, row.learned, strict=True) if on], skip_special_tokens=True)
                for row in lesson.judged]
        unit = units_of(some(dataset, "test", job.config.seed), None).tolist()
        figures = completed(writing(
            tuned.before.nats, tuned.after.nats, tuned.before.tokens,
            np.array([len(one.encode()) for one in said]), np.array([len(one.split()) for one in said]), unit), unit)
        assert figures[0].gain is not None
        learned = Learned.of(tuned, figures, verdict(figures[0].gain), counted(lesson.rows), len(lesson.judged),
                             tuned.shown)
        del tuned  # memory for the models that answer
        if found := exam(task, job.config, dataset, max(row.count for row in lesson.judged)):
            scored, samples = found.judge(lesson.base, model, job.folder.path, job.config.seed, progress)
            figures = sorted([*figures, *scored], key=lambda one: one.name != self.metric)
            more = "" if figures[0].name == "loss" else f" {answers.verdict(figures[0])}"
            learned = replace(learned, figures=figures, samples=samples, verdict=learned.verdict + more)
        return learned

    def again(self, model: Path, given: Any) -> Floats:
        from ..train.opinions import scores_of

        return scores_of(model, given)

    def teach(self, lesson: Any) -> tuple[Tuned, Callable[[list[Figure], list[int]], list[Figure]]]:
        """Train; and what completes the figures, given the judged rows' units. The loss stays the first."""
        from ..train.generate import write

        return write(lesson), lambda figures, unit: figures


def counted(rows: Sequence[Row]) -> dict[str, int]:
    """Tokens of the rows that are learned from."""
    return {"all": sum(len(row.ids) for row in rows), "learned": sum(row.count for row in rows),
            "cut": sum(row.cut for row in rows), "cut_rows": sum(row.cut > 0 for row in rows)}


def some(dataset: Dataset, split: str, seed: int) -> Dataset:
    """The rows of a split that are read, drawn where they are more than `MOST`."""
    import numpy as np

    part, most = dataset.part(split), MOST[split]
    if most is None or len(part) <= most:
        return part
    return part.take(sorted(np.random.default_rng(seed).choice(len(part), most, replace=False).tolist()))

