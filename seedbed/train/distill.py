"""A language model learns from what a teacher thinks: of the rows' answers, or of answers that it writes itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..data.turns import Conversation, Turn
from ..engines.many import answers
from ..engines.sampling import Sampling
from ..engines.writer import Writer
from ..errors import UserError
from ..models.folder import open_folder
from ..models.teacher import Soft
from ..models.template import Row, Template, open_template, rows_of, taught
from .generate import Answers, TextLesson
from .loop import Batches
from .opinions import Opinions, ask, blank, kept, teacher
from .student import Losses, Student, Tuned, teach


@dataclass(frozen=True)
class FromTeacher(TextLesson):
    """Rows to learn from a teacher that reads the same tokens.

    Args:
        teacher: its folder.
        policy: the student learns from its own answers, written anew at each pass, as the teacher judges them.
        asked: with `policy`, the turns before the answer of each training row.
        answer_tokens: most tokens of such an answer.
    """

    teacher: Path = field(default=Path(), kw_only=True)
    policy: bool = field(default=False, kw_only=True)
    asked: list[list[Turn]] = field(default_factory=list, kw_only=True)
    answer_tokens: int = field(default=256, kw_only=True)


class FromLogits(Answers):
    """Cross-entropy of the rows mixed with the divergence from the teacher on their learned tokens.

    Hinton, Vinyals and Dean (2015), "Distilling the knowledge in a neural network", a token at a time.
    """

    def __init__(self, lesson: FromTeacher, opinions: Opinions) -> None:
        super().__init__(lesson)
        config = lesson.config
        self.opinions, self.temperature, self.share = opinions, config.temperature, config.teacher_share
        self.reverse = config.divergence == "reverse"
        self.apart: dict[str, Losses] = {}

    def loss(self, student: Student, places: list[int]) -> Tensor:
        return student.losses(places, self.smoothing, self._learned(places))[0].mean()

    def validate(self, student: Student) -> tuple[float | None, dict[str, float]]:
        return (student.judge(self.validation, soft=self._learned).mean if self.validation else None), {}

    def prepare(self, student: Student) -> None:
        self.apart["before"] = student.judge(self.judged, soft=self._measured)

    def finish(self, student: Student) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        return {"divergence": (self.apart["before"].nats, student.judge(self.judged, soft=self._measured).nats)}

    def _learned(self, places: Sequence[int]) -> Soft:
        return self.opinions.soft(places, self.temperature, self.share, self.reverse)

    def _measured(self, places: Sequence[int]) -> Soft:
        """KL(teacher || student) alone, at temperature 1, whatever is learned."""
        return self.opinions.soft(places, 1.0, 1.0, False)


@dataclass(frozen=True)
class Renewed:
    """Batches whose rows are written anew before each pass."""

    batches: Batches
    renew: Callable[[int], None]

    def epoch(self, number: int) -> list[list[int]]:
        self.renew(number)
        return self.batches.epoch(number)


class FromItself(FromLogits):
    """The divergence from the teacher on answers that the student draws, anew at each pass: it learns to get out of
    where its own words lead.

    Agarwal et al. (2023), "On-policy distillation of language models: learning from self-generated mistakes" (GKD,
    with none of the rows' own answers). Answers are drawn at temperature 1 with the weights at the beginning of a
    pass and kept in a file, so that a run that is stopped in the midst of one goes on with them. They are read back
    from their text, so where a tokenizer would have cut it otherwise, its tokens are those that it would give.
    """

    def __init__(self, lesson: FromTeacher, opinions: Opinions, template: Template) -> None:
        prompts = [template.ids(turns) for turns in lesson.asked]
        most = lesson.config.max_tokens
        closed = lesson.answer_tokens + 8                                     # the template closes an answer too
        room = [min(most, len(ids) + closed) for ids in prompts]
        own = [Row((ids + [0] * length)[:length], [False] * length)
               for ids, length in zip(prompts, room, strict=True)]
        super().__init__(replace(lesson, rows=own), opinions)
        self.share, self.reverse = 1.0, lesson.config.divergence != "forward"
        self.lesson, self.template, self.room, self.written = lesson, template, room, -1
        self.batches = Renewed(self.batches, self._renew)

    def prepare(self, student: Student) -> None:
        super().prepare(student)
        self.student = student
        self.teacher = teacher(self.lesson.teacher, self.rows, self.lesson.config.max_tokens)

    def loss(self, student: Student, places: list[int]) -> Tensor:
        own = self.own.soft(places, self.temperature, self.share, self.reverse)
        return student.losses(places, soft=own)[0].mean()

    def _renew(self, epoch: int) -> None:
        """Have the student write, and the teacher judge, once an epoch."""
        if epoch == self.written:
            return
        texts, some = self._texts(epoch), range(len(self.room))
        for place, text in zip(some, texts, strict=True):
            row = self.template.row(answered(self.lesson.asked[place], text))
            row = Row(row.ids[: self.room[place]], row.learned[: self.room[place]])
            if not row.count:  # a template that shows no empty answer
                row = Row(row.ids, [False] * (len(row.ids) - 1) + [True])
            self.rows[place] = row                                            # type: ignore[index]
            for one in (self.student, self.teacher):
                one.body.boundary.replace(place, row.ids)
        self.own = blank(self.rows, some, self.opinions.table.dtype["words"].shape[0], self.temperature)
        ask(self.teacher, self.own, len(self.student.vocabulary.weight), self.lesson.progress)
        self.written = epoch

    def _texts(self, epoch: int) -> list[str]:
        folder = self.lesson.folder
        file = folder / f"written-{epoch}.json" if folder else None
        if file is not None and file.is_file():
            return list(json.loads(file.read_text(encoding="utf-8")))
        self.student.body.show()
        how = Sampling(self.lesson.answer_tokens, temperature=1.0, seed=self.lesson.seed * 1_000 + epoch)
        texts = answers(Writer(self.student.backbone), self.lesson.asked, how, self.lesson.progress)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_name(file.name + ".part")
            part.write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")
            part.replace(file)
        return texts


@dataclass(frozen=True)
class Distilled:
    """A student that learned from a teacher.

    Args:
        tuned: the student; `tuned.more` has its `divergence` from the teacher.
        nats: the teacher's own cross-entropy of the judged rows. [rows]
    """

    tuned: Tuned
    nats: NDArray[np.float64]


def distill(lesson: FromTeacher) -> Distilled:
    """Learn from a teacher's probabilities.

    The teacher is asked once, before the student is opened, so that one model at a time is in memory; with `policy`
    it is asked again for each pass and stays.

    Raises:
        Late: the time budget does not allow a training that is worth its name.
        NoResources: what the teacher thinks does not fit on the disk.
    """
    config, count = lesson.config, len(lesson.rows)
    rows = [*lesson.rows, *lesson.held, *lesson.judged]
    template = open_template(open_folder(lesson.base), config.max_tokens)
    places = range(count if lesson.policy else 0, len(rows))
    opinions = kept(lesson.teacher, rows, places, k=config.teacher_words, temperature=config.temperature,
                    words=_words(lesson.base), max_tokens=config.max_tokens, home=lesson.folder,
                    progress=lesson.progress)
    objective = FromItself(lesson, opinions, template) if lesson.policy else FromLogits(lesson, opinions)
    tuned = teach(lesson, objective)
    return Distilled(tuned, np.array([opinions.nats[place] for place in objective.judged]))


def _words(folder: Path) -> int:
    from transformers import AutoConfig
    config = AutoConfig.from_pretrained(open_folder(folder), local_files_only=True)
    return int(config.get_text_config().vocab_size)


def answered(asked: Sequence[Turn], text: str) -> Conversation:
    """A conversation whose last turn is this answer, the only one that is learned."""
    before = [{**turn, "weight": 0} if taught(turn) else turn for turn in asked]
    return Conversation((*before, {"role": "assistant", "content": text}))


def agree(student: Template, folder: Path, conversations: Sequence[Conversation], rows: Sequence[Row],
          names: Sequence[str]) -> list[str]:
    """Prove that a teacher reads the same tokens as the student. The student's rendering is used for both.

    Args:
        student: the student's template.
        folder: the teacher's.
        conversations, rows, names: what is learned, as the student reads it, and where each stands.

    Returns:
        Sentences for people on what differs and does no harm.

    Raises:
        UserError: the tokens differ.
    """
    other = open_template(open_folder(folder), student.max_tokens)
    hint = "A teacher of any vocabulary can be learned from by its text: --distill text"
    mine, its = student.tokenizer.get_vocab(), other.tokenizer.get_vocab()
    if mine != its:
        apart = sum(its.get(word) != id for word, id in mine.items()) + len(its.keys() - mine.keys())
        raise UserError(f"Teacher and student have other vocabularies: {apart:,} of {len(mine):,} words differ, so "
                        "their probabilities cannot be compared.", hint)
    said = _rendering(student, other, conversations[:50])
    other.tokenizer.chat_template = student.tokenizer.chat_template
    for row, its_row, name in zip(rows, rows_of(other, conversations, names), names, strict=True):
        if row != its_row:
            raise UserError(f"{name}: teacher and student read other tokens, so their probabilities cannot be "
                            "compared.", hint)
    return said


def _rendering(student: Template, other: Template, some: Sequence[Conversation]) -> list[str]:
    def shown(template: Template, one: Conversation) -> Any:
        try:
            return template.row(one).ids
        except UserError:
            return None
    if all(shown(student, one) == shown(other, one) for one in some):
        return []
    return ["The teacher's own chat template writes conversations otherwise; it reads them as the student does."]


