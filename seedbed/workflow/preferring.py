"""The course of a model that learns which answers are preferred: pairs of answers, or answers judged alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from ..errors import DataError, UserError
from ..progress import Progress
from .config import TuneConfig
from .courses import Learned, Losses, TuneJob, by_unit
from .writing import WritingCourse, counted, some

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ..data.dataset import Dataset
    from ..data.health import Finding
    from ..data.turns import Conversation
    from ..models.template import Row
    from ..train.generate import TextLesson
    from ..train.prefer import Preferences


class PreferenceCourse(WritingCourse):
    """Rather this answer than that one."""

    judged, together = True, 2

    def read(self, source: str, config: TuneConfig, progress: Progress) -> tuple[Dataset, dict[str, Any]]:
        if config.ask or config.answer:
            raise UserError("--ask and --answer name one answer a row, and what is preferred is told by two, or by a "
                            "label.", "Name the columns prompt, chosen and rejected; or learn with --task chat.")
        return super().read(source, config, progress)

    def odd(self, config: TuneConfig, dataset: Dataset) -> list[Finding]:
        return []

    def reader(self, config: TuneConfig, dataset: Dataset) -> Callable[[Dataset], list[tuple[str, Conversation]]]:
        from ..data.conversations import texts

        return lambda part: texts(part, judged=True)

    def lesson(self, job: TuneJob, dataset: Dataset, model: Path) -> Preferences:
        from ..train.prefer import Preferences

        by = job.config.prefer or ("dpo" if _paired(dataset) else "kto")
        if by != "kto" and not _paired(dataset):
            raise DataError(f"{by.upper()} learns from pairs, and some rows judge one answer alone.",
                            "Leave out --prefer (kto takes them), or give each row a chosen and a rejected answer.")
        for name in ("train", "test"):
            kinds = _good(dataset.part(name))
            if len(set(kinds)) == 1:
                raise DataError(f"All {len(kinds)} answers of the {name} rows are {'good' if kinds[0] else 'bad'}.",
                                "Both kinds are needed to learn, or to tell, what is better: add the other.")
        if len(set(dataset.part("test").texts)) == 1:
            raise DataError("All answers to judge by are to one prompt.", "Add rows with other prompts.")
        job.progress.note(f"Learns what is preferred by {by.upper()}.")
        good = [one for name in ("train", "validation") for one in _good(some(dataset, name, job.config.seed))]
        made = super().lesson(job, dataset, model)
        if _paired(dataset):
            for name, rows in (("train", made.rows), ("validation", made.held), ("test", made.judged)):
                _differ(rows, some(dataset, name, job.config.seed))
        return Preferences(**vars(made), by=by, good=good)

    def learn(self, job: TuneJob, dataset: Dataset, lesson: TextLesson, model: Path, adapter: Path,
              progress: Progress) -> Learned:
        import numpy as np

        from ..evaluate.preference import preference, verdict
        from ..train.prefer import prefer

        tuned = prefer(replace(cast("Preferences", lesson), progress=progress, adapter=adapter))
        tuned.backbone.save(model)
        part = some(dataset, "test", job.config.seed)
        figures = preference(tuned.before.nats, tuned.after.nats, tuned.before.tokens, np.array(_good(part)),
                             _prompts(part), _paired(part))
        return Learned.of(tuned, figures, verdict(figures), counted(lesson.rows), len(part), tuned.shown)

    def trial(self, job: TuneJob, dataset: Dataset, lesson: Any) -> Losses:
        import numpy as np

        from ..train.prefer import prefer

        _, losses = prefer(replace(lesson, judged=[], compare=False)).more["held"]
        prompts = _prompts(some(dataset, "validation", job.config.seed))
        units = prompts if lesson.by == "kto" else prompts[::2]  # a loss is of an answer, or of a pair
        return by_unit(units, losses, np.ones_like(losses))

    def rate(self, job: TuneJob, lesson: Any) -> float:
        from ..train.prefer import METHODS

        return super().rate(job, lesson) * METHODS[lesson.by].pace


def _good(part: Dataset) -> list[bool]:
    """Whether each answer is good, in the order of `texts`."""
    from ..data.conversations import judgements

    return [name == "good" for one in judgements(part) for name in one.sides]


def _prompts(part: Dataset) -> NDArray[np.int64]:
    """The number of each answer's prompt, in the order of `texts`."""
    import numpy as np

    from ..data.conversations import judgements

    prompts = [text for text, one in zip(part.texts, judgements(part), strict=True) for _ in one.sides]
    return np.unique(prompts, return_inverse=True)[1]


def _paired(part: Dataset) -> bool:
    from ..data.conversations import judgements

    return all(len(one.sides) == 2 for one in judgements(part))


def _differ(rows: list[Row], part: Dataset) -> None:
    """Raises DataError where the model reads the same in both answers of a pair."""
    from ..data.conversations import texts

    for good, bad, (place, _) in zip(rows[::2], rows[1::2], texts(part, judged=True)[::2], strict=True):
        if good.ids == bad.ids:
            raise DataError(f"{place.partition(',')[0]}: both answers are the same as the model reads them.",
                            "Raise --max-tokens, or leave the row out." if good.cut else "Leave the row out.")
