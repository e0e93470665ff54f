"""Read conversations, questions with answers, and plain texts into a dataset that a model learns to write from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError
from ..progress import SILENT, Progress
from .dataset import Dataset, ids
from .gather import LINE, OURS, SOURCE, Given, named, rows
from .judged import COLUMNS as JUDGED_COLUMNS
from .judged import JUDGED, Judged, JudgedAnswers, judged_answers, judged_form
from .read import LONGEST_CELL, Reading, nothing_left, reading, table_of
from .tally import Tally
from .targets import as_text
from .turns import COLUMNS, FORMS, Conversation, Unfit, conversation, form_of, pair, question

if TYPE_CHECKING:
    import pyarrow as pa

COLUMN = "conversation"
"""The column of a dataset that holds each row's `Conversation` (or `Judged`) as JSON; `text` beside it holds the
words alone, of judged answers those of their prompt."""
PROMPTS = "prompt and completion"
"""The form of two columns that were named."""


def read_conversations(source: Given | Mapping[str, Given], *, ask: str | None = None, answer: str | None = None,
                       judged: bool = False, group: str | None = None, encoding: str | None = None,
                       delimiter: str | None = None, asks: bool = False, progress: Progress = SILENT) -> Reading:
    """Read what a model shall learn to write.

    The form of each source is found by the names of its columns: OpenAI's `messages`, ShareGPT's `conversations`,
    Alpaca's `instruction` and `output`, `prompt` and `completion`, `question` and `answer`, or plain `text`.

    Args:
        source: what `seedbed.data.read.read` takes; or a source for each of train, validation and test.
        ask, answer: names of two columns that hold a question (or a document) and its answer, in any table.
        judged: read answers that are judged, by the forms of `judged.JUDGED`.
        group: name of a column; rows with the same value are never in different splits.
        encoding, delimiter: of delimited text and JSON; None finds out.
        asks: answers may be missing, in some rows or all: the column of questions is enough.

    Returns:
        A reading whose dataset has no targets and the further column `conversation`.

    Raises:
        NotFound, DataError: the source cannot be read, is in none of these forms, or no row is left.
        JudgedAnswers: it holds judged answers, which were not asked for.
    """
    import pyarrow as pa

    if (ask is None) != (answer is None) and not (asks and ask):
        raise DataError("One column was named where a question and its answer are two.",
                        "Name both: --ask COLUMN --answer COLUMN")
    tally = Tally()
    raw, where, found = table_of(source, (ask, answer, group), encoding, delimiter, tally, progress)
    columns = [name for name in raw.column_names if name not in OURS]
    if ask and answer:
        table, forms = raw.select(list(dict.fromkeys((ask, answer)))), dict[str, str]()
        tally.detect("form", f"{ask} and {answer}")
    elif ask:
        table, forms = _unanswered(raw.select([ask]).rename_columns(["prompt"])), dict.fromkeys(
            raw.column(SOURCE).unique().to_pylist(), PROMPTS)
        tally.detect("form", ask)
    else:
        table = named(raw.select(columns))
        table = _unanswered(table) if asks else table
        forms = _forms(table, raw.column(SOURCE), judged)
        table = table.select([name for name in table.column_names if name in COLUMNS | JUDGED_COLUMNS])
        tally.detect("form", ", ".join(dict.fromkeys(forms.values())))
    sources, lines = raw.column(SOURCE).to_pylist(), raw.column(LINE).to_pylist()
    read = judged_answers if judged else conversation
    kept, places = list[Conversation | Judged](), list[int]()
    for place, row in enumerate(rows(table)):
        try:
            if asks:
                given, form = ({"prompt": row[ask], "completion": row[answer]}, PROMPTS) if ask and answer else (
                    row, forms[sources[place]])
                made: Conversation | Judged = question(given, form)
            else:
                made = pair(row[ask], row[answer]) if ask and answer else read(row, forms[sources[place]])
        except Unfit as problem:
            tally.skip(problem.code, lines[place], str(problem))
            continue
        words = made.plain
        if "\0" in words or len(words) > LONGEST_CELL:
            tally.skip("nul_bytes" if "\0" in words else "huge_cell", lines[place])
            continue
        kept.append(made)
        places.append(place)
    if not kept:
        why = tally.examples.get("no_conversation") or tally.examples.get("same_answers")
        if not why:
            raise nothing_left(where, found, tally)
        raise DataError(f"Not one of the {found:,} rows of {where} can be learned from: {why[0]}.",
                        f"They were read as {tally.detected['form']}; see docs/data-formats.md for the forms.")
    stored = [one.to_json() for one in kept]
    return reading(raw, where, found, tally, places, ids(stored, [None] * len(stored)),
                   [one.asked if isinstance(one, Judged) else one.plain for one in kept], group=group,
                   used=(ask, answer), **{COLUMN: pa.array(stored, pa.large_string())})


def _unanswered(table: pa.Table) -> pa.Table:
    """With an empty column of answers where the table has questions alone."""
    import pyarrow as pa

    if form_of(table.column_names) not in (None, "text"):
        return table
    needed = next((two for two, _ in FORMS.values() if len(two) == 2 and two[0] in table.column_names), None)
    return table.append_column(needed[1], pa.nulls(len(table), pa.string())) if needed else table


def _forms(table: pa.Table, sources: pa.ChunkedArray, judged: bool) -> dict[str, str]:
    """The form of each source: a file of tests may have another than that of training.

    Raises:
        DataError: a source has none. JudgedAnswers: its answers are judged, and that was not asked for.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    def labels() -> set[str]:
        values = as_text(table.column("label").filter(pc.equal(sources, source)))
        return {"" if one is None else str(one).strip().lower() for one in pc.unique(values).to_pylist()}

    columns, forms = table.column_names, dict[str, str]()
    filled = pa.table({"source": sources, **{str(at): pc.is_valid(table.column(at)) for at in range(len(columns))}})
    groups = filled.group_by("source", use_threads=False)  # with threads their order is any
    for row in groups.aggregate([(str(at), "any") for at in range(len(columns))]).to_pylist():
        source, there = row["source"], [name for at, name in enumerate(columns) if row[f"{at}_any"]]
        form = judged_form(set(there), labels)
        if form and not judged:
            raise JudgedAnswers(f"{source} holds answers with a judgement ({form}), and all of them would be "
                                "learned.", "Learn what is preferred with --task prefer, or keep the good answers "
                                "in a file of their own" + (", or name: --ask prompt --answer chosen."
                                               if {"prompt", "chosen"} <= set(there) else "."))
        known: Mapping[str, Any] = JUDGED if judged else FORMS
        form = form if judged else form_of(there)
        if form is None and not judged:  # it has the columns that others fill: its rows are counted as empty
            form = form_of(columns)
        if form is None or (there and not set(known[form][0]) & set(there)):
            raise DataError(f"{source} has the columns {', '.join((there or columns)[:12])}, which are no form of "
                            + ("judged answers." if judged else "conversation."),
                            ("Use one of: " if judged else "Name them with --ask and --answer, or use one of: ")
                            + "; ".join(" and ".join(needed) for needed, _ in known.values()) + ".")
        forms[source] = form
    return forms


def conversations(dataset: Dataset) -> list[Conversation]:
    """The conversations of a dataset that `read_conversations` made."""
    return [Conversation.from_json(text) for text in dataset.column(COLUMN)]


def texts(dataset: Dataset, judged: bool = False) -> list[tuple[str, Conversation]]:
    """What a model reads of the rows, each with its place, such as `train.jsonl line 12`; of judged answers each."""
    places = [f"{Path(source).name} line {line}" for source, line in zip(
        dataset.column("source"), dataset.column("line"), strict=True)]
    if not judged:
        return list(zip(places, conversations(dataset), strict=True))
    return [(f"{place}, the {name} answer", one) for place, row in zip(places, judgements(dataset), strict=True)
            for name, one in row.sides.items()]


def judgements(dataset: Dataset) -> list[Judged]:
    """The judged answers of a dataset that `read_conversations` made."""
    return [Judged.from_json(text) for text in dataset.column(COLUMN)]
