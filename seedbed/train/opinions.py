"""What a teacher thinks of the learned tokens of rows: asked once, its likeliest words kept on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..catalog.sources import sha256
from ..errors import NoResources, lacking
from ..models.backbone import Backbone
from ..models.batch import TOKENS_PER_BATCH, by_length
from ..models.folder import open_folder
from ..models.teacher import Soft
from ..models.template import Row
from ..models.vocabulary import Vocabulary, at_once
from ..progress import SILENT, Progress
from .boundary import reserve
from .student import Student
from .trainable import Frozen

MOST_BYTES = 2 << 30
"""Largest file of opinions; of fewer words each where there are more tokens."""
FEWEST_WORDS = 4
ROWS, NOTE = "teacher.bin", "teacher.json"


@dataclass(frozen=True)
class Opinions:
    """A teacher's likeliest words before each learned token of some rows.

    Args:
        table: [tokens] with `words` [k] int32, `logs` [k] fp16 (log-probabilities), and `rest` [2] fp16: of all other
            words together, the log of their probability and of the sum of their probabilities ** (1 / temperature).
            With the second the distribution at that temperature is whole too.
        spans: from where to where the tokens of a row stand, by its position.
        temperature: of the second rest.
        nats: the teacher's own cross-entropy, summed over the learned tokens of a row, by its position.
    """

    table: NDArray[Any]
    spans: dict[int, tuple[int, int]]
    temperature: float
    nats: dict[int, float]

    def soft(self, places: Sequence[int], temperature: float, share: float, reverse: bool) -> Soft:
        """As the loss takes it, of the rows at these positions; the temperature is 1 or that of these opinions."""
        some = np.concatenate([self.table[slice(*self.spans[place])] for place in places])
        rest = some["rest"][:, 0 if temperature == 1 else 1]
        logs = np.column_stack((some["logs"].astype(np.float32) / temperature, rest.astype(np.float32)))
        return Soft(torch.from_numpy(some["words"].astype(np.int64)), torch.from_numpy(logs).log_softmax(-1),
                    temperature, share, reverse)


def teacher(folder: Path, rows: Sequence[Row], max_tokens: int) -> Student:
    """A teacher that reads these rows, of which nothing is trained."""
    backbone = Backbone.open(folder, vocabulary=True, max_tokens=max_tokens)
    return Student(backbone, Frozen(backbone, [row.ids for row in rows]), Vocabulary(backbone), rows)


def blank(rows: Sequence[Row], places: Sequence[int], words: int, temperature: float,
          file: Path | None = None) -> Opinions:
    """Room for opinions on the rows at these positions, in memory or in a file whose space is taken at once."""
    kind = np.dtype([("words", "<i4", (words,)), ("logs", "<f2", (words,)), ("rest", "<f2", (2,))])
    ends = np.cumsum([0, *(rows[place].count for place in places)]).tolist()
    if file is None:
        table = np.zeros(ends[-1], kind)
    else:
        reserve(file, max(1, ends[-1]) * kind.itemsize)
        table = np.memmap(file, kind, "r+", shape=(ends[-1],))
    return Opinions(table, dict(zip(places, pairwise(ends), strict=True)), temperature, {})


@torch.no_grad()
def scores_of(folder: Path, rows: Sequence[Row]) -> NDArray[np.float32]:
    """What a model folder thinks of rows, as `Student.scores` has it."""
    return teacher(folder, rows, 1 << 30).scores(range(len(rows)))


def ask(model: Student, opinions: Opinions, words: int, progress: Progress = SILENT) -> None:
    """Fill in what a teacher thinks.

    Args:
        words: how many the student knows; a teacher's table may be longer by unused places.
    """
    places, work = list(opinions.spans), "ask the teacher"
    k = opinions.table.dtype["words"].shape[0]
    progress.start(work, len(places), "texts")
    for some in by_length([len(model.rows[place].ids) for place in places], TOKENS_PER_BATCH):
        mine = [places[i] for i in some]
        read = model.words(mine)
        owners, order = read.owners.cpu().numpy(), read.places.cpu().numpy()
        to = np.array([opinions.spans[place][0] for place in mine])[owners] + order
        nats = read.vectors.new_zeros(len(mine), dtype=torch.float64)
        block = at_once(read.vectors.device)
        for at in range(0, len(to), block):
            part = slice(at, at + block)
            logs = model.vocabulary.logits(read.vectors[part])[:, :words].log_softmax(-1)
            own = logs.gather(1, read.targets[part, None])[:, 0]
            nats.index_add_(0, read.owners[part], -own.double())
            best = logs.topk(k)
            logs.scatter_(1, best.indices, -torch.inf)
            rest = torch.stack((logs.logsumexp(-1), (logs / opinions.temperature).logsumexp(-1)), 1)
            opinions.table["words"][to[part]] = best.indices.cpu().numpy()
            opinions.table["logs"][to[part]] = best.values.cpu().numpy()
            opinions.table["rest"][to[part]] = rest.clamp(min=-60_000).cpu().numpy()  # fp16 ends there; none is left
        opinions.nats.update(zip(mine, nats.tolist(), strict=True))
        progress.advance(work, len(mine))
    progress.done(work)


def kept(folder: Path, rows: Sequence[Row], places: Sequence[int], *, k: int, temperature: float, words: int,
         max_tokens: int, home: Path | None = None, progress: Progress = SILENT) -> Opinions:
    """What a teacher thinks of the rows at these positions: read from `home` if it was asked the same before.

    Args:
        folder: the teacher.
        k: words kept for a token; fewer, and it is said, where the file would be larger than `MOST_BYTES`.
        words: how many the student knows.
        home: where it is kept; None keeps it in memory.

    Raises:
        NoResources: the file would be too large with the fewest words, or the disk is full.
    """
    tokens = max(1, sum(rows[place].count for place in places))
    fitting = (MOST_BYTES // tokens - 4) // 6
    if fitting < min(k, FEWEST_WORDS):
        raise NoResources(f"What the teacher thinks of {tokens:,} tokens does not fit into {MOST_BYTES >> 30} GiB.",
                          "Take fewer rows, or learn from the teacher's text: --distill text")
    k = min(k, fitting, words)
    where, note = (home / ROWS, home / NOTE) if home else (None, None)
    key = _key(folder, [rows[place] for place in places], k, temperature) if note else ""
    if where is not None and note is not None and note.is_file() and where.is_file():
        said = json.loads(note.read_text())
        there = blank(rows, places, k, temperature, where) if said["key"] == key else None
        if there is not None and _sum(there) == said["sum"]:
            there.nats.update(zip(places, said["nats"], strict=True))
            progress.note("What the teacher thinks was kept and is read again.")
            return there
        note.unlink()
    if home is not None and where is not None:
        home.mkdir(parents=True, exist_ok=True)
        where.unlink(missing_ok=True)
    try:
        made = blank(rows, places, k, temperature, where)
    except OSError as problem:
        if lacking(problem) != "disk":
            raise
        raise NoResources("The disk is full: what the teacher thinks could not be written.",
                          "Free some space, or lower --teacher-words.") from problem
    progress.note(f"Of the teacher, the {k} likeliest words of each of {tokens:,} tokens are kept: "
                  f"{made.table.nbytes / 1e6:,.1f} MB.")
    ask(teacher(folder, rows, max_tokens), made, words, progress)
    if note is not None and isinstance(made.table, np.memmap):
        made.table.flush()
        part = note.with_name(note.name + ".part")
        part.write_text(json.dumps({"key": key, "sum": _sum(made), "nats": [made.nats[place] for place in places]}))
        part.replace(note)  # last: without it the file is made anew
    return made


def _key(folder: Path, rows: Sequence[Row], k: int, temperature: float) -> str:
    """Of the teacher's files and of the rows as they are read."""
    digest = hashlib.sha256(f"{k} {temperature}".encode())
    for file in sorted(open_folder(folder).glob("*")):
        if file.suffix in (".safetensors", ".bin", ".json"):
            digest.update(f"{file.name} {sha256(file)}".encode())
    for row in rows:
        digest.update(json.dumps([row.ids, row.learned]).encode())
    return digest.hexdigest()


def _sum(opinions: Opinions) -> str:
    return hashlib.sha256(opinions.table.view(np.uint8).data if len(opinions.table) else b"").hexdigest()
