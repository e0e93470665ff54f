"""Look at conversations as a model reads them, before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from ..errors import UserError
from ..progress import SILENT, Progress

if TYPE_CHECKING:
    from ..data.gather import Given
    from ..data.turns import Conversation
    from ..models.template import Row, Template


@dataclass(frozen=True)
class Part:
    """A run of tokens that are all learned or all not."""

    text: str
    tokens: int
    learned: bool


@dataclass(frozen=True)
class Seen:
    """What was seen.

    Args:
        form: how the rows were read.
        rows: rows that were kept.
        shown: the first rows, each with its place and its parts.
        tokens, learned, cut: over all rows.
        empty: rows of which nothing would be learned.
        problems: rows that the template refuses, and those left out when they were read, the first of each.
        diagnosis: what serving would do otherwise than training shows.
    """

    form: str
    rows: int
    shown: list[tuple[str, list[Part]]]
    tokens: int
    learned: int
    cut: int
    empty: int
    problems: list[str]
    diagnosis: list[str]


def view(source: Given, *, model: str, ask: str | None = None, answer: str | None = None, max_tokens: int = 1024,
         rows: int = 3, progress: Progress = SILENT) -> Seen:
    """Read and render a source as `finetune` would.

    Args:
        source: what `read_conversations` takes.
        model: card of the model whose template renders.
        rows: how many are shown.

    Raises:
        UserError: the source or the model cannot be used.
    """
    from ..catalog.fetch import pull_writer
    from ..data.conversations import read_conversations, texts
    from ..data.judged import JudgedAnswers
    from ..models.doctor import LOOKED_AT, diagnose, ends_of
    from ..models.folder import open_folder
    from ..models.template import open_template

    try:
        reading, judged = read_conversations(source, ask=ask, answer=answer, progress=progress), False
    except JudgedAnswers:
        reading, judged = read_conversations(source, judged=True, progress=progress), True
    place = open_folder(pull_writer(model, progress))
    template = open_template(place, max_tokens)
    made, good = list["Row"](), list["Conversation"]()
    shown, problems = list[tuple[str, list[Part]]](), list[str]()
    for finding in reading.findings:
        problems.append(f"{finding.message} {'; '.join(finding.examples[:2])}".strip())
    for name, one in texts(reading.dataset, judged):
        try:
            row = template.row(one)
        except UserError as problem:
            problems.append(f"{name}: {problem.message}")
            continue
        made.append(row)
        if len(good) < LOOKED_AT:
            good.append(one)
        if len(shown) < rows:
            shown.append((name, _parts(template, row)))
    return Seen(reading.detected["form"], reading.kept, shown, sum(len(row.ids) for row in made),
                sum(row.count for row in made), sum(row.cut for row in made), sum(not row.count for row in made),
                problems[:5], diagnose(template, good, ends_of(place, template.tokenizer)))


def _parts(template: Template, row: Row) -> list[Part]:
    parts = list[Part]()
    for learned, run in groupby(zip(row.ids, row.learned, strict=True), key=lambda pair: pair[1]):
        ids = [token for token, _ in run]
        parts.append(Part(template.tokenizer.decode(ids), len(ids), learned))
    return parts
