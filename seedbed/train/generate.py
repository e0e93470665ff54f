"""A language model learns to write: the loss is that of the learned tokens alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from ..models.template import Row
from .batches import batches_of
from .student import Lessons, Objective, Student, Tuned, teach


@dataclass(frozen=True)
class TextLesson(Lessons):
    """What a model shall learn to write.

    Args:
        rows: the training split.
        held: the validation split, for early stopping.
        judged: rows that the model before and after is judged by; training does not look at them.
    """

    rows: list[Row]
    held: list[Row] = field(default_factory=list)
    judged: list[Row] = field(default_factory=list)


class Answers(Objective):
    """Write what the rows say: cross-entropy of their learned tokens, each token of a batch counting the same."""

    def __init__(self, lesson: TextLesson) -> None:
        config, count, held = lesson.config, len(lesson.rows), len(lesson.held)
        self.smoothing = config.label_smoothing
        alike = lesson.judged is lesson.held  # as in a search, which judges by the validation rows
        self.rows = [*lesson.rows, *lesson.held, *([] if alike else lesson.judged)]
        lengths = [len(row.ids) for row in self.rows]
        self.batches = batches_of(lengths[:count], config, lesson.seed)
        self.validation = range(count, count + held)
        self.judged = self.validation if alike else range(count + held, len(self.rows))
        self.held = sum(lengths[count:count + held])

    def loss(self, student: Student, places: list[int]) -> Tensor:
        return student.losses(places, self.smoothing)[0].mean()

    def validate(self, student: Student) -> tuple[float | None, dict[str, float]]:
        return (student.judge(self.validation).mean if self.validation else None), {}


def write(lesson: TextLesson) -> Tuned:
    """Learn to write these rows.

    Raises:
        Late: the time budget does not allow a training that is worth its name.
    """
    return teach(lesson, Answers(lesson))
