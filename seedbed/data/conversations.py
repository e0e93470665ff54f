"""Read conversations, questions with answers, and plain texts into a dataset that a model learns to write from."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import DataError, NotFound
from ..progress import SILENT, Progress
from .dataset import Dataset, ids
from .formats.source import Options
from .gather import GIVEN, LINE, OURS, SOURCE, Given, gather, pairs_of
from .read import Reading
from .tally import Tally
from .turns import FORMS, Conversation, Unfit, conversation, form_of, pair

COLUMN = "conversation"
"""The column of a dataset that holds each row's `Conversation` as JSON; `text` beside it holds the words alone."""


def read_conversations(source: Given | Mapping[str, Given], *, ask: str | None = None, answer: str | None = None,
                       group: str | None = None, encoding: str | None = None, delimiter: str | None = None,
                       progress: Progress = SILENT) -> Reading:
    """Read what a model shall learn to write.

    The form is found by the names of the columns: OpenAI's `messages`, ShareGPT's `conversations`, Alpaca's
    `instruction` and `output`, `prompt` and `completion`, or plain `text`.

    Args:
        source: what `seedbed.data.read.read` takes; or a source for each of train, validation and test.
        ask, answer: names of two columns that hold a question (or a document) and its answer, in any table.
        group: name of a column; rows with the same value are never in different splits.
        encoding, delimiter: of delimited text and JSON; None finds out.

    Returns:
        A reading whose dataset has no targets and the further column `conversation`.

    Raises:
        NotFound, DataError: the source cannot be read, is in none of these forms, or no row is left.
    """
    import pyarrow as pa

    if (ask is None) != (answer is None):
        raise DataError("One column was named where a question and its answer are two.",
                        "Name both: --ask COLUMN --answer COLUMN")
    tally = Tally()
    options = Options(encoding, delimiter, tuple(n for n in (ask, answer, group) if n))
    raw, where = gather(pairs_of(source), options, tally, progress)
    columns = [name for name in raw.column_names if name not in OURS]
    for column in (ask, answer, group):
        if column is not None and column not in columns:
            raise NotFound(f"{where} has no column {column!r}.", f"It has: {', '.join(columns[:20]) or 'none'}.")
    form = f"{ask} and {answer}" if ask else form_of(columns)
    judged = "label" in columns and form == "prompt and completion"
    if not ask and (judged or {"chosen", "rejected"} <= set(columns)):
        what = "label" if judged else "chosen and rejected"
        raise DataError(f"{where} holds answers with a judgement ({what}), and all of them would be learned.",
                        "Keep the good answers in a file of their own, or name: --ask prompt --answer chosen")
    if form is None:
        raise DataError(f"{where} has the columns {', '.join(columns[:12])}, which are no form of conversation.",
                        "Name them with --ask and --answer, or use one of: " + "; ".join(
                            " and ".join(needed) for needed, _ in FORMS.values()) + ".")
    tally.detect("form", form)
    kept, lines = list[Conversation](), raw.column(LINE).to_pylist()
    places = list[int]()
    for place, row in enumerate(raw.select(columns).to_pylist()):
        try:
            made = pair(row[ask], row[answer]) if ask and answer else conversation(row, form)
        except Unfit as problem:
            tally.skip("no_conversation", lines[place], str(problem))
            continue
        kept.append(made)
        places.append(place)
    found = len(lines) + sum(n for code, n in tally.skipped.items() if code != "no_conversation")
    if not kept:
        raise DataError(f"Not one of the {found:,} rows of {where} can be learned from"
                        + (f": {tally.examples['no_conversation'][0]}." if tally.skipped else "."),
                        f"They were read as {form}; see docs/data-formats.md for the forms.")
    rows = pa.array(places, pa.int64())
    stored = [one.to_json() for one in kept]
    groups = raw.column(group).cast(pa.string()) if group else pa.nulls(len(lines), pa.string())
    dataset = Dataset(pa.table({
        "id": pa.array(ids(stored, [None] * len(stored)), pa.string()), "line": raw.column(LINE).take(rows),
        "source": raw.column(SOURCE).take(rows), "group": groups.take(rows), "split": raw.column(GIVEN).take(rows),
        "target": pa.nulls(len(stored), pa.string()),
        "text": pa.array([one.plain for one in kept], pa.large_string()),
        COLUMN: pa.array(stored, pa.large_string())}))
    return Reading(dataset, where, found, dict(tally.skipped), dict(tally.detected), tally.findings())


def conversations(dataset: Dataset) -> list[Conversation]:
    """The conversations of a dataset that `read_conversations` made."""
    return [Conversation.from_json(text) for text in dataset.column(COLUMN)]
