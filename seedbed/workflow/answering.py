"""The task of a model that writes, in a tuning: rows are asked as it asks, answers before and after are scored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..progress import Progress
from .config import TuneConfig, write

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..data.health import Finding
    from ..data.turns import Conversation
    from ..engines.author import Author
    from ..evaluate.figures import Figure, Sample
    from ..tasks.write import Write

TASK = "task.json"
"""The file in a model's folder that says how it wants to be asked."""
MOST_TOKENS, SPARE = 1024, 1.5
"""An answer ends at so many tokens, and at so many times the longest reference's."""
TESTED = "tested.jsonl"
"""The file in a run folder with the test rows that were answered, and the answers before and after."""
SAMPLES, SHOWN = 20, 2_000
"""Rows that are kept with their answers, and characters of each text."""


def task_of(config: TuneConfig, dataset: Dataset) -> Write:
    """The task with what the options and the training rows say.

    Raises:
        UserError: an option that the task does not have. DataError: the rows cannot be of this task.
    """
    from ..tasks.schema import of_file
    from ..tasks.write import WRITING

    schema = of_file(config.schema) if config.schema else ""
    pairs = _pairs(dataset.part("train"))
    return WRITING.get(config.task).of([asked for asked, _ in pairs], [answer for _, answer in pairs], schema=schema,
                                       language=config.language or "", from_language=config.from_language or "")


def findings(task: Write, dataset: Dataset) -> list[Finding]:
    """What the task finds odd in the rows."""
    from ..data.notes import Notes

    pairs = _pairs(dataset)
    return task.findings([asked for asked, _ in pairs], [answer for _, answer in pairs], Notes.of(dataset))


def asked_as(task: Write, config: TuneConfig, some: Sequence[Conversation]) -> list[Conversation]:
    """Rows of two columns that were named get the task's instruction; rows of any other form have their own words."""
    return [task.instruct(one) for one in some] if config.ask else list(some)


def _pairs(dataset: Dataset) -> list[tuple[str, str]]:
    from ..data.conversations import conversations
    from ..tasks.write import question_and_answer

    return [question_and_answer(one) for one in conversations(dataset)]


@dataclass(frozen=True)
class Exam:
    """Rows of the test split that a model answers.

    Args:
        task: asks and scores.
        ids: of the rows.
        asked: the turns before each answer.
        inputs, references: what was asked, without the instruction, and what should be written.
        baseline: answers that need no model.
        unit: number of each row's unit: rows of one document are alike.
        most: tokens of an answer.
        schema: that answers are held to, as `seedbed generate` holds them; empty where they are free words.
    """

    task: Write
    ids: list[str]
    asked: list[list[dict[str, Any]]]
    inputs: list[str]
    references: list[str]
    baseline: list[str]
    unit: list[int]
    most: int
    schema: str

    def judge(self, base: Path, tuned: Path, run: Path, seed: int,
              progress: Progress) -> tuple[list[Figure], list[Sample]]:
        """Figures and some rows with their answers, of two model folders; the run's folder gets all of them."""
        from ..evaluate.answers import figures
        from ..evaluate.figures import Sample

        before, after = (self._answers(folder, progress, whose) for folder, whose in (
            (base, "the model as it was"), (tuned, "the tuned model")))
        write(run / TESTED, "".join(json.dumps(
            {"id": i, "asked": a, "reference": r, "before": b, "after": c}, ensure_ascii=False) + "\n"
            for i, a, r, b, c in zip(self.ids, self.asked, self.references, before, after, strict=True)))
        samples = [Sample(asked=a[:SHOWN], reference=r[:SHOWN], before=b[:SHOWN], after=c[:SHOWN])
                   for a, r, b, c in list(zip(self.inputs, self.references, before, after, strict=True))[:SAMPLES]]
        return figures(self.task, before, after, self.references, self.inputs, self.baseline, unit=self.unit,
                       seed=seed), samples

    def _answers(self, folder: Path, progress: Progress, whose: str) -> list[str]:
        from ..engines.many import answers
        from ..engines.sampling import Sampling
        from ..engines.writer import Writer
        from ..models.runtime import give_back_memory

        give_back_memory()  # what training held, or the model before
        progress.note(f"{len(self.asked)} rows are answered by {whose}.")
        writer = Writer.open(folder)
        how = Sampling(max_tokens=self.most, schema=held_to(self.schema, writer, progress))
        return answers(writer, self.asked, how, progress)


def exam(task: Write, config: TuneConfig, dataset: Dataset, longest: int) -> Exam | None:
    """Rows of the test split to be answered; None where fewer than two ask for an answer (plain texts do not).

    Args:
        longest: tokens of the longest answer of the test split.
    """
    import numpy as np

    from ..data.conversations import conversations
    from ..data.split import units_of
    from ..tasks.write import question_and_answer

    part = dataset.part("test")
    if len(part) > config.answered:
        rng = np.random.default_rng(config.seed)
        part = part.take(sorted(rng.choice(len(part), config.answered, replace=False).tolist()))
    # An answer that calls a tool is no text, and one after which others follow would be judged twice.
    kept = {id: one for id, one in zip(part.column("id"), conversations(part), strict=True)
            if one.messages and one.messages[-1]["role"] == "assistant" and not one.tools
            and one.messages[-1]["content"].strip()}
    some = list(kept.values())
    units = dict(zip(part.column("id"), units_of(part, None).tolist(), strict=True))
    learned = [pair for pair in _pairs(dataset.part("train")) if pair[1]]
    if len(some) < 2 or not learned:
        return None
    inputs, references = ([pair[side] for pair in map(question_and_answer, some)] for side in (0, 1))
    return Exam(task, list(kept), [list(one.messages[:-1]) for one in asked_as(task, config, some)], inputs,
                references, task.baseline(inputs, [asked for asked, _ in learned], [answer for _, answer in learned]),
                [units[id] for id in kept], min(MOST_TOKENS, 8 + round(SPARE * longest)),
                task.form if config.ask else "")


def remember(task: Write, folder: Path) -> None:
    """Write down in a model's folder how it wants to be asked."""
    (folder / TASK).write_text(json.dumps(task.to_dict(), ensure_ascii=False), encoding="utf-8")


def prompt(folder: Path, text: str) -> list[dict[str, Any]]:
    """The turns that ask a model for the answer to a text, as it was trained."""
    task = _task(folder)
    return task.prompt(text) if task else [{"role": "user", "content": text}]


def form(folder: Path) -> str:
    """The JSON schema that a model's answers keep to, as it was trained; empty where there is none."""
    task = _task(folder)
    return task.form if task else ""


def _task(folder: Path) -> Write | None:
    from ..tasks.write import of_dict

    place = folder / TASK
    return of_dict(json.loads(place.read_text(encoding="utf-8"))) if place.is_file() else None


def held_to(schema: str, author: Author, progress: Progress) -> str:
    """The schema, where this model's answers can be held to it; else nothing, and a note says why."""
    if schema:
        try:
            author.form(schema)
        except UserError as problem:
            progress.note(f"{problem.message} Answers are free words.")
            return ""
    return schema
