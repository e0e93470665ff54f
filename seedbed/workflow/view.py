"""Look at conversations as a model reads them, before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
        detected: what was found out to read them: format, encoding, delimiter ...
        rows: rows that were kept; of a folder its files.
        shown: the first rows, each with its place and its parts.
        tokens, learned, cut: over all rows.
        empty: rows of which nothing would be learned.
        problems: rows that the template refuses, and those left out when they were read, the first of each.
        diagnosis: what serving would do otherwise than training shows.
    """

    form: str
    detected: dict[str, str]
    rows: int
    shown: list[tuple[str, list[Part]]]
    tokens: int
    learned: int
    cut: int
    empty: int
    problems: list[str]
    diagnosis: list[str]


def view(source: Given, *, model: str, ask: str | None = None, answer: str | None = None,
         encoding: str | None = None, delimiter: str | None = None, max_tokens: int = 1024, rows: int = 3,
         progress: Progress = SILENT) -> Seen:
    """Read and render a source as `finetune` would.

    Args:
        source: what `read_conversations` takes; or a folder of documents or source files, which are read in windows.
        encoding, delimiter: of delimited text and JSON; None finds out.
        model: card of the model whose template renders.
        rows: how many are shown.

    Raises:
        UserError: the source or the model cannot be used.
    """
    from ..catalog.fetch import pull_writer
    from ..data.conversations import read_conversations, texts
    from ..data.documents import read_documents
    from ..data.judged import JudgedAnswers
    from ..models.doctor import LOOKED_AT, diagnose, ends_of
    from ..models.folder import open_folder
    from ..models.template import open_template
    from ..models.texts import Texts

    how: dict[str, Any] = {"encoding": encoding, "delimiter": delimiter, "progress": progress}
    folder, judged = isinstance(source, str | Path) and Path(source).is_dir() and not ask, False
    try:
        reading = read_documents(source, **how) if folder else read_conversations(
            source, ask=ask, answer=answer, **how)
    except JudgedAnswers:
        reading, judged = read_conversations(source, judged=True, **how), True
    place = open_folder(pull_writer(model, progress))
    template = open_template(place, max_tokens)
    made, good = list["Row"](), list["Conversation"]()
    shown, problems = list[tuple[str, list[Part]]](), list[str]()
    for finding in reading.findings:
        problems.append(f"{finding.message} {'; '.join(finding.examples[:2])}".strip())
    if folder:
        windows = Texts(template.tokenizer, max_tokens).windows
        for name, text in zip(reading.dataset.column("source"), reading.dataset.texts, strict=True):
            some = windows(text)
            made += some
            shown += [(f"{name}, window {at}", _parts(template, row)) for at, row in enumerate(some, 1)][
                :max(0, rows - len(shown))]
    for name, one in texts(reading.dataset, judged) if not folder else ():
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
    return Seen(reading.detected["form"], reading.detected, reading.kept, shown, sum(len(row.ids) for row in made),
                sum(row.count for row in made), sum(row.cut for row in made), sum(not row.count for row in made),
                problems[:5], diagnose(template, good, ends_of(place, template.tokenizer)))


def _parts(template: Template, row: Row) -> list[Part]:
    parts = list[Part]()
    for learned, run in groupby(zip(row.ids, row.learned, strict=True), key=lambda pair: pair[1]):
        ids = [token for token, _ in run]
        parts.append(Part(template.tokenizer.decode(ids), len(ids), learned))
    return parts
