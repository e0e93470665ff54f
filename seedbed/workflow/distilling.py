"""Courses with a teacher: from its probabilities (`logits`, `policy`), or from answers that it writes (`text`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError, Offline, UserError
from ..progress import Progress
from ..settings import settings
from .answering import asked_as, task_of
from .config import TuneConfig, whole_lines
from .courses import Learned, TuneJob, enough
from .writing import MOST, WritingCourse, some

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..data.sift import Given
    from ..data.turns import Conversation, Turn
    from ..engines.remote import Remote
    from ..engines.sampling import Sampling
    from ..evaluate.figures import Figure
    from ..models.template import Row
    from ..tasks.write import Write
    from ..train.distill import FromTeacher
    from ..train.student import Tuned

ANSWERS = "answers.jsonl"
"""In the run folder: what the teacher wrote, as it came."""
TOGETHER = 16
"""Questions that a teacher on this machine answers before they are written down."""
WARM = 0.8
"""Temperature at which several answers to a question are drawn; a single one is the likeliest."""


class LogitsCourse(WritingCourse):
    """Answers with a teacher's probabilities of their words, or of the words of the student's own answers."""

    def lesson(self, job: TuneJob, dataset: Dataset, model: Path) -> FromTeacher:
        from ..catalog.fetch import writer_folder
        from ..data.conversations import conversations, texts
        from ..models.folder import open_folder
        from ..models.template import open_template
        from ..train.distill import FromTeacher, agree

        plain = super().lesson(job, dataset, model)
        folder = writer_folder(str(job.config.teacher), job.progress)
        template = open_template(open_folder(model), job.training.max_tokens)
        parts = {name: some(dataset, name, job.config.seed) for name in MOST}
        task = task_of(job.config, dataset)
        talks = {name: asked_as(task, job.config, conversations(part)) for name, part in parts.items()}
        for sentence in agree(template, folder, [one for each in talks.values() for one in each],
                              [*plain.rows, *plain.held, *plain.judged],
                              [where for part in parts.values() for where, _ in texts(part)]):
            job.progress.note(sentence)
        asked = list[list["Turn"]]()
        if job.config.distill == "policy":
            for one, where in zip(talks["train"], (where for where, _ in texts(parts["train"])), strict=True):
                if not one.messages:
                    raise DataError(f"{where} is a plain text, and --distill policy needs questions to answer.",
                                    "Give conversations, or learn from the teacher's --distill logits.")
                asked.append(_question(one))
        return FromTeacher(**vars(plain), teacher=folder, policy=job.config.distill == "policy", asked=asked,
                           answer_tokens=job.config.answer_tokens)

    def teach(self, lesson: FromTeacher) -> tuple[Tuned, Callable[[list[Figure], list[int]], list[Figure]]]:
        from ..evaluate.writing import divergence, with_teacher
        from ..train.distill import distill

        done = distill(lesson)
        nats, apart, tokens = done.nats, done.tuned.more["divergence"], done.tuned.before.tokens

        def completed(figures: list[Figure], unit: list[int]) -> list[Figure]:
            loss, *others = with_teacher(figures, nats, tokens, unit)
            return [loss, divergence(*apart, tokens, unit), *others]
        return done.tuned, completed


@dataclass(frozen=True)
class Asking:
    """What a teacher shall answer.

    Args:
        parts: the rows of each split that are read.
        true: the test split's own answers judge the student; else the teacher's do.
        rows: as long as training rows may become, for the prediction of memory.
        base: the student's folder.
    """

    parts: dict[str, Dataset]
    true: bool
    rows: list[Row]
    base: Path


class TextCourse(WritingCourse):
    """Questions, answered by a teacher of any kind, and those answers of it that are worth learning."""

    asks = True

    def reader(self, config: TuneConfig, dataset: Dataset) -> Callable[[Dataset], list[tuple[str, Conversation]]]:
        from ..data.conversations import texts
        from ..data.turns import Conversation

        task = task_of(config, dataset)
        return lambda part: [(where, Conversation((*_instructed(task, config, _question(one)), OPEN)))
                             for where, one in texts(part)]

    def lesson(self, job: TuneJob, dataset: Dataset, model: Path) -> Asking:  # type: ignore[override]
        from ..catalog.fetch import writer_folder
        from ..data.conversations import conversations, texts
        from ..models.folder import open_folder
        from ..models.template import Row, open_template

        if "://" in str(job.config.teacher):
            _server(job.config).close()
        else:
            writer_folder(str(job.config.teacher), job.progress)
        template = open_template(open_folder(model), job.training.max_tokens)
        parts = {name: some(dataset, name, job.config.seed) for name in MOST}
        answers = [place for place, one in enumerate(conversations(parts["test"])) if _answered(one)]
        if true := len(answers) > 1:
            parts["test"] = parts["test"].take(answers)
        rows, task = [], task_of(job.config, dataset)
        for name, part in parts.items():
            for where, one in texts(part):
                long = len(template.ids(_instructed(task, job.config, _question(one))))
                if long >= template.max_tokens:
                    raise DataError(f"{where}: the question has {long:,} tokens, and rows are cut at "
                                    f"{template.max_tokens:,}.", "Raise --max-tokens, or leave the row out.")
                if name == "train":
                    rows.append(Row([0] * min(template.max_tokens, long + job.config.answer_tokens), []))
        enough(len(rows), len(parts["test"]))
        return Asking(parts, true, rows, model)

    def learn(self, job: TuneJob, dataset: Dataset, lesson: Any, model: Path, adapter: Path,
              progress: Progress) -> Learned:
        from ..data.conversations import COLUMN, conversations
        from ..data.sift import sift
        from ..train.distill import answered

        parts = {name: part for name, part in lesson.parts.items() if not (lesson.true and name == "test")}
        asked = {id: _question(one) for part in parts.values() for id, one in zip(
            part.column("id"), conversations(part), strict=True)}
        task = task_of(job.config, dataset)
        given = _given(job, {id: _instructed(task, job.config, turns) for id, turns in asked.items()}, progress)
        kept, dropped = sift([turns[-1]["content"] for turns in asked.values()],
                             [given[id] for id in asked], job.config.agreement, task.faults)
        counts = {"asked": len(asked) * job.config.draws, "learned": len(kept), **dropped}
        progress.note(f"The teacher gave {counts['asked']:,} answers, {counts['learned']:,} are used; left out: " + (
            ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in dropped.items()) or "none") + ".")
        ids = list(asked)
        written = {ids[place]: answered(asked[ids[place]], text).to_json() for place, text in kept.items()}
        made = []
        for name, part in lesson.parts.items():
            if name in parts:
                there = [place for place, id in enumerate(part.column("id")) if id in written]
                part = part.take(there).with_column(COLUMN, [written[id] for id in part.take(there).column("id")])
            made.append(part)
        dataset = _joined(made)
        try:
            plain = super().lesson(replace(job, progress=progress), dataset, lesson.base)
        except DataError as problem:
            raise DataError(f"Of the teacher's answers too few are left: {problem.message}",
                            f"Look at {job.folder.path / ANSWERS}, or lower --agreement.") from None
        learned = super().learn(job, dataset, plain, model, adapter, progress)
        judges = "" if lesson.true else " Judged by the teacher's own answers: the test rows have no true ones."
        return replace(learned, verdict=learned.verdict + judges, answers=counts)


def _given(job: TuneJob, asked: dict[str, list[Turn]], progress: Progress) -> dict[str, list[Given]]:
    """What a teacher wrote to each question, each draw of it; of what was written down before nothing is asked again.

    Each answer is written down as it comes (a teacher on this machine writes some at a time), so a kill loses those
    that were under way.
    """
    from ..data.sift import Given
    from ..engines.sampling import Sampling

    config, file = job.config, job.folder.path / ANSWERS
    there = {(one["id"], one["draw"]): Given(one["text"], one["cut"]) for one in whole_lines(file)}
    how = Sampling(max_tokens=config.answer_tokens, temperature=WARM if config.draws > 1 else 0.0)
    wanted = [(id, draw) for draw in range(config.draws) for id in asked]
    work = "ask the teacher"
    progress.start(work, len(wanted), "answers")
    progress.advance(work, sum(one in there for one in wanted))
    source = _remote if "://" in str(config.teacher) else _local
    with file.open("a", encoding="utf-8") as out:
        for id, draw, text, cut in source(job, asked, [one for one in wanted if one not in there], wanted, how):
            there[id, draw] = Given(text, cut)
            out.write(json.dumps({"id": id, "draw": draw, "text": text, "cut": cut}, ensure_ascii=False) + "\n")
            out.flush()
            progress.advance(work)
    progress.done(work)
    return {id: [there[id, draw] for draw in range(config.draws)] for id in asked}


Came = Iterator[tuple[str, int, str | None, bool]]
"""Id of a question, draw, text and whether it was cut."""


def _remote(job: TuneJob, asked: dict[str, list[Turn]], missing: Sequence[tuple[str, int]],
            wanted: Sequence[tuple[str, int]], how: Sampling) -> Came:
    """From a server, as its answers come."""
    from ..engines.remote import Wanted

    if not missing:
        return
    with _server(job.config) as server:
        try:
            for place, said in server.answers([Wanted(asked[id], replace(how, seed=job.config.seed * 1_000 + draw))
                                               for id, draw in missing]):
                if said.refused:
                    job.progress.note(f"The teacher refused a question: {said.refused}.")
                yield *missing[place], said.text, said.cut
        except (Offline, UserError) as problem:
            raise type(problem)(problem.message, f"{problem.hint} What it wrote is kept; go on with: seedbed train "
                                                 f"--resume {job.folder.path}") from None


def _server(config: TuneConfig) -> Remote:
    from ..engines.remote import Remote

    return Remote(str(config.teacher), config.teacher_model, key=settings().teacher_key, offline=settings().offline)


def _local(job: TuneJob, asked: dict[str, list[Turn]], missing: Sequence[tuple[str, int]],
           wanted: Sequence[tuple[str, int]], how: Sampling) -> Came:
    """From a model on this machine, always the same questions together: so a resumed run has the same answers."""
    from ..catalog.fetch import writer_folder
    from ..engines.many import answers
    from ..engines.writer import Writer

    if not missing:
        return
    writer = Writer.open(writer_folder(str(job.config.teacher), job.progress))
    decode, left = writer.backbone.tokenizer, set(missing)
    for at in range(0, len(wanted), TOGETHER):
        batch = wanted[at:at + TOGETHER]
        if left.isdisjoint(batch):
            continue
        said = answers(writer, [asked[id] for id, _ in batch], replace(how, seed=job.config.seed * 1_000 + at))
        for (id, draw), text in zip(batch, said, strict=True):
            if (id, draw) in left:
                # read again, its tokens may be one or two fewer than were written
                cut = len(decode(text, add_special_tokens=False)["input_ids"]) >= how.max_tokens - 2
                yield id, draw, text, cut


def _question(one: Conversation) -> list[Turn]:
    """The turns before the last one that the assistant says, or all."""
    turns = list(one.messages)
    while turns and turns[-1]["role"] == "assistant":
        turns.pop()
    return turns


OPEN = {"role": "assistant", "content": "?"}
"""Stands for an answer that is not there yet."""


def _instructed(task: Write, config: TuneConfig, turns: list[Turn]) -> list[Turn]:
    """A question as the task asks it, for teacher and student alike."""
    from ..data.turns import Conversation

    one = Conversation((*turns, OPEN))
    return list(asked_as(task, config, [one])[0].messages[:-1])


def _answered(one: Conversation) -> bool:
    return bool(one.messages) and one.messages[-1]["role"] == "assistant"


def _joined(parts: Sequence[Dataset]) -> Dataset:
    import pyarrow as pa

    return type(parts[0])(pa.concat_tables([part.table for part in parts]), parts[0].inputs)
