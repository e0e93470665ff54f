"""How well a model foretells texts, as figures that hold across vocabularies: nats of each text, and its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.turns import Conversation
from ..models.backbone import Backbone
from ..models.batch import TOKENS_PER_BATCH, by_length
from ..models.template import Row, Template
from ..models.texts import Texts
from ..models.vocabulary import Vocabulary
from ..progress import SILENT, Progress

MAX_TOKENS = 1024
"""Of a window; the model's own limit where that is less."""


@dataclass(frozen=True)
class Told:
    """What a model makes of some texts. [texts] each

    Args:
        nats: cross-entropy, summed over what is learned of each text: all of it, or the assistant's words.
        size: bytes of these words.
        tokens: how many tokens those are.
        cut: the text was too long for the model's window, so that its end is not among them.
    """

    nats: NDArray[np.float64]
    size: NDArray[np.int64]
    tokens: NDArray[np.int64]
    cut: NDArray[np.bool_]


def rows_of(backbone: Backbone, some: Sequence[Conversation]) -> list[list[Row]]:
    """The rows of each text as the model reads them: a conversation is one, a plain text is cut in windows."""
    template = Template.of(backbone.tokenizer, backbone.body.config, backbone.max_tokens)
    texts = Texts(backbone.tokenizer, backbone.max_tokens)
    whole = backbone.paired  # it reads one text and writes another: there are no windows
    return [[template.row(one)] if one.messages or whole else texts.windows(one.text) for one in some]


@torch.inference_mode()
def told(backbone: Backbone, some: Sequence[Conversation], progress: Progress = SILENT, work: str = "") -> Told:
    """Judge a model that writes by texts.

    Args:
        backbone: opened with its vocabulary.
    """
    vocabulary, made = Vocabulary(backbone), rows_of(backbone, some)
    rows = [(row, at) for at, mine in enumerate(made) for row in mine if row.count]
    nats, tokens = np.zeros(len(some)), np.zeros(len(some), np.int64)
    progress.start(work, len(rows), "texts")
    for places in by_length([len(row.ids) for row, _ in rows], TOKENS_PER_BATCH):
        mine = [rows[place] for place in places]
        hidden = backbone.hidden(backbone.batch([row.ids for row, _ in mine]))        # [rows, tokens, width]
        where = [(number, at) for number, (row, _) in enumerate(mine)
                 for at, learned in enumerate(row.learned) if learned and at]
        owners, ats = (torch.tensor(one, device=hidden.device) for one in zip(*where, strict=True))
        targets = torch.tensor([mine[number][0].ids[at] for number, at in where], device=hidden.device)
        losses = vocabulary.losses(hidden[owners, ats - 1], targets).double().cpu().numpy()
        of = np.array([mine[number][1] for number, _ in where])
        np.add.at(nats, of, losses)
        np.add.at(tokens, of, 1)
        progress.advance(work, len(mine))
    progress.done(work)
    return Told(nats, np.array([_size(backbone, each) for each in made]), tokens,
                np.array([any(row.cut for row in each) for each in made], bool))


def _size(backbone: Backbone, rows: Sequence[Row]) -> int:
    """Bytes of the words that are learned."""
    ids = [token for row in rows for token, learned in zip(row.ids, row.learned, strict=True) if learned]
    return len(backbone.tokenizer.decode(ids, skip_special_tokens=True).encode())


def open_writer(folder: Path) -> Backbone:
    """A model folder, ready to be judged by `told`."""
    return Backbone.open(folder, vocabulary=True, max_tokens=MAX_TOKENS)
