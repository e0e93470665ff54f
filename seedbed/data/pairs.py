"""Read questions with the documents that answer them into a dataset that an embedding model learns from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ..errors import DataError
from ..progress import SILENT, Progress
from . import duplicates
from .dataset import Dataset, ids
from .duplicates import Ints
from .gather import LINE, OURS, Given, objects
from .read import LONGEST_CELL, Reading, nothing_left, reading, table_of
from .tally import Tally

DOCUMENTS, NEGATIVES, KIN = "documents", "negatives", "kin"
"""Columns of a dataset beside `text`, the question: documents that answer it and documents that do not, as lists of
texts, and the number of the row's kin (`with_kin`)."""
ASKED = ("anchor", "query", "question")
ANSWERED = ("positive", "positives", "pos", "positive_passages", "passage", "answer", "answers", "document",
            "response")
WRONG = ("negative", "negatives", "neg", "negative_passages", "hard_negatives")
SCORED = ("sentence1", "sentence2", "score")
CHAINED = 0.2
"""Share of the rows that one kin may hold before it is told."""


class Unfit(ValueError):
    """A row that is no pair; the text says why."""


@dataclass(frozen=True)
class Pair:
    """What one row teaches.

    Args:
        question: what is searched with.
        documents: what should be found, one text at the least.
        negatives: what should not.
        kin: rows of one number share a question or a document, or nearly; none is a wrong answer to another.
    """

    question: str
    documents: tuple[str, ...]
    negatives: tuple[str, ...] = ()
    kin: int = 0


def read_pairs(source: Given | Mapping[str, Given], *, ask: str | None = None, answer: str | None = None,
               group: str | None = None, encoding: str | None = None, delimiter: str | None = None,
               progress: Progress = SILENT) -> Reading:
    """Read what an embedding model shall bring together.

    The columns are found by their names: `anchor`, `query` or `question`; `positive`, `pos`, `passage`, `answer` or
    `document`; and, if it is there, `negative`, `negatives` or `neg`. A cell may be a list of texts.

    Args:
        source: what `seedbed.data.read.read` takes; or a source for each of train, validation and test.
        ask, answer: names of two columns that hold a question and its document, in any table.
        group: name of a column; rows with the same value are never in different splits.
        encoding, delimiter: of delimited text and JSON; None finds out.

    Returns:
        A reading whose dataset has no targets and the further columns `documents` and `negatives`. Rows that repeat
        another's question and documents are left out and counted.

    Raises:
        NotFound, DataError: the source cannot be read, has no such columns, or no row is left.
    """
    if (ask is None) != (answer is None):
        raise DataError("One column was named where a question and its document are two.",
                        "Name both: --ask COLUMN --answer COLUMN")
    tally = Tally()
    raw, where, found = table_of(source, (ask, answer, group), encoding, delimiter, tally, progress)
    names = [name for name in raw.column_names if name not in OURS]
    ask, answer, wrong = _columns(names, where, ask, answer)
    tally.detect("form", f"{ask} and {answer}" + (f" with {wrong}" if wrong else ""))
    lines, kept = raw.column(LINE).to_pylist(), dict[tuple[str, tuple[str, ...]], tuple[int, list[str]]]()
    cells = [objects(raw.column(name)).to_pylist() if name else [None] * len(lines) for name in (ask, answer, wrong)]
    for place, (asked, answered, negative) in enumerate(zip(*cells, strict=True)):
        try:
            pair = _pair(asked, answered, negative)
        except Unfit as problem:
            tally.skip("no_pair", lines[place], str(problem))
            continue
        texts = (pair.question, *pair.documents, *pair.negatives)
        if any("\0" in text or len(text) > LONGEST_CELL for text in texts):
            tally.skip("nul_bytes" if any("\0" in text for text in texts) else "huge_cell", lines[place])
        elif (pair.question, pair.documents) in kept:
            tally.skip("repeated_pair", lines[place])  # its negatives, if they are others, are not lost
            kept[pair.question, pair.documents][1].extend(pair.negatives)
        else:
            kept[pair.question, pair.documents] = place, list(pair.negatives)
    if not kept:
        why = tally.examples.get("no_pair")
        if not why:
            raise nothing_left(where, found, tally)
        raise DataError(f"Not one of the {found:,} rows of {where} is a pair: {why[0]}.",
                        "A row needs a question and a document that answers it; name them with --ask and --answer.")
    words, lists = [question for question, _ in kept], pa.list_(pa.large_string())
    names = ids(words, ["\x1e".join(documents) for _, documents in kept])
    return reading(raw, where, found, tally, [place for place, _ in kept.values()], names, words, group=group,
                   used=(ask, answer), **{
                       DOCUMENTS: pa.array([list(documents) for _, documents in kept], lists),
                       NEGATIVES: pa.array([list(dict.fromkeys(wrong)) for _, wrong in kept.values()], lists)})


def with_kin(dataset: Dataset, seed: int = 0, progress: Progress = SILENT) -> tuple[Dataset, list[str]]:
    """The dataset with the column `kin`, and what is to be said of it.

    Rows are kin when they share a question or a document, exactly or nearly, however many steps away. Kin are never
    in different splits, or a document that was learned would be asked for in the test; and what answers one of them
    is no wrong answer to another.
    """
    questions, lists = dataset.texts, dataset.column(DOCUMENTS)
    documents = [text for some in lists for text in some]
    owner = np.repeat(np.arange(len(lists)), [len(some) for some in lists])
    asked = duplicates.find(questions, seed=seed, progress=progress).near
    told = duplicates.find(documents, seed=seed, progress=progress).near
    first = len(questions)  # nodes: the rows, then the documents
    left = np.concatenate([np.arange(first), owner, first + np.arange(len(documents))])
    right = np.concatenate([asked, first + np.arange(len(documents)), first + told])
    kin: Ints = duplicates.components(first + len(documents), left, right)[:first]
    said = []
    most = int(np.bincount(kin).max(initial=0))
    if most > max(2, CHAINED * first):
        said.append(f"{most:,} of {first:,} rows are chained by questions or documents that they share: they stay in "
                    "one split, and the splits may be far from their shares. A document that answers everything "
                    "teaches nothing; leave such rows out.")
    splits = np.array([name or "" for name in dataset.column("split")])
    crossing = int(np.isin(kin[splits == "test"], kin[splits == "train"]).sum())
    if crossing:
        said.append(f"{crossing:,} of the test file's rows share a question or a document with the training file: "
                    "where the question is the same the figures are too good.")
    return dataset.with_column(KIN, kin.tolist()), said


def pairs(dataset: Dataset) -> list[Pair]:
    """The pairs of a dataset that `with_kin` made."""
    columns = (dataset.texts, dataset.column(DOCUMENTS), dataset.column(NEGATIVES), dataset.column(KIN))
    return [Pair(question, tuple(documents), tuple(wrong), kin)
            for question, documents, wrong, kin in zip(*columns, strict=True)]


def _columns(names: list[str], where: str, ask: str | None, answer: str | None) -> tuple[str, str, str | None]:
    """Columns of the question, the document and (or None) the wrong documents."""
    known = {name.strip().lower(): name for name in reversed(names)}
    asked, answered, wrong = (next((known[one] for one in kind if one in known), None)
                              for kind in (ASKED, ANSWERED, WRONG))
    if ask is None and set(SCORED) <= set(known):
        raise DataError(f"{where} holds pairs of sentences with a score, and a score is not learned here.",
                        "Keep the pairs that belong together in a file of their own, and name their columns: "
                        "--ask sentence1 --answer sentence2")
    ask, answer = ask or asked, answer or answered
    if ask is None or answer is None:
        raise DataError(f"{where} has the columns {', '.join(names[:12])}, which are no pairs to learn from.",
                        "Name the question and the document with --ask and --answer, or call the columns anchor and "
                        "positive (and negative).")
    return ask, answer, wrong if wrong not in (ask, answer) else None


def _pair(asked: Any, answered: Any, negative: Any) -> Pair:
    questions, documents = _texts(asked), _texts(answered)
    if len(questions) != 1:
        raise Unfit("no question" if not questions else f"{len(questions)} questions in one row")
    if not documents:
        raise Unfit("no document")
    return Pair(questions[0], tuple(documents), tuple(one for one in _texts(negative) if one not in documents))


def _texts(cell: Any) -> list[str]:
    """The texts of a cell: of a list, of JSON that is a list, of an object with a `text`, or the cell's own words."""
    if isinstance(cell, str) and cell.lstrip()[:1] in ("[", "{"):
        try:
            read = json.loads(cell)
        except ValueError:
            read = None
        if isinstance(read, dict) and isinstance(read.get("text"), str):
            read = [read["text"]]
        if isinstance(read, list) and all(isinstance(one, str | dict) for one in read):
            cell = read
    if isinstance(cell, list):
        return list(dict.fromkeys(text for one in cell for text in _texts(
            one.get("text") if isinstance(one, dict) else one)))
    if isinstance(cell, bytes):
        cell = cell.decode("utf-8", "replace")
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return []
    return [text] if (text := str(cell).strip()) else []
