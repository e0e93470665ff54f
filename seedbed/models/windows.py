"""Texts of any length as rows of tokens that a model takes: windows that lie over each other, nothing cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError

OVERLAP = 0.25
"""Share of a window that the next one repeats."""


@dataclass(frozen=True)
class Window:
    """A piece of a text.

    Args:
        ids: its tokens, special ones included.
        places: the positions in `ids` whose result counts; each token of the text counts in exactly one window, the
            one that shows most around it.
        tokens: which tokens of the text these are.
    """

    ids: list[int]
    places: NDArray[np.int64]
    tokens: NDArray[np.int64]


@dataclass(frozen=True)
class Cut:
    """A text in windows, and where each of its tokens stands in it."""

    offsets: list[tuple[int, int]]
    windows: list[Window]


def windows(tokenizer: Any, texts: Sequence[str], max_tokens: int, causal: bool = False) -> list[Cut]:
    """Each text in windows of at most `max_tokens` tokens.

    Args:
        tokenizer: of transformers, or of the package tokenizers, by which the former is run.
        causal: a token sees only those before it, so that it counts where most stand before it.

    Raises:
        UserError: the tokenizer cannot say where its tokens stand.
    """
    if not getattr(tokenizer, "is_fast", True):
        raise UserError("The model's tokenizer does not say where its tokens stand in the text.",
                        "Take a model with a tokenizer.json.")
    if not texts:
        return []
    inner = getattr(tokenizer, "backend_tokenizer", tokenizer)
    room = max_tokens - inner.num_special_tokens_to_add(False)
    stride, before = int(room * OVERLAP), (inner.truncation, inner.padding)
    inner.no_padding()
    inner.enable_truncation(max_tokens, stride=stride)
    try:
        made = inner.encode_batch(list(texts))
    finally:
        inner.enable_truncation(**before[0]) if before[0] else inner.no_truncation()
        if before[1]:
            inner.enable_padding(**before[1])
    return [_cut([_piece(one) for one in (first, *first.overflowing)], room - stride, causal) for first in made]


def _piece(made: Any) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """Ids of an encoded piece, the positions in it that are tokens of the text, and where these stand in the text."""
    real = [i for i, special in enumerate(made.special_tokens_mask) if not special]
    return made.ids, real, [made.offsets[i] for i in real]


def _cut(pieces: list[tuple[list[int], list[int], list[tuple[int, int]]]], step: int, causal: bool) -> Cut:
    count = step * (len(pieces) - 1) + len(pieces[-1][1])
    around, owner = np.full(count, -1), np.zeros(count, np.int64)
    offsets: list[tuple[int, int]] = [(0, 0)] * count
    for number, (_, real, places) in enumerate(pieces):
        begin = number * step
        offsets[begin:begin + len(real)] = places
        at = np.arange(len(real))
        before = at if number else at + count                                  # a text's own edge is none
        after = len(real) - 1 - at if number < len(pieces) - 1 and not causal else at + 2 * count
        seen = np.minimum(before, after)
        mine = slice(begin, begin + len(real))
        better = seen > around[mine]
        owner[mine] = np.where(better, number, owner[mine])
        around[mine] = np.where(better, seen, around[mine])
    out = []
    for number, (ids, real, _) in enumerate(pieces):
        tokens = np.flatnonzero(owner == number) if count else np.zeros(0, np.int64)
        out.append(Window(ids, np.array(real, np.int64)[tokens - number * step], tokens))
    return Cut(offsets, out)
