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
        causal: a token sees only those before it, so that it counts where most stand before it.

    Raises:
        UserError: the tokenizer cannot say where its tokens stand.
    """
    if not tokenizer.is_fast:
        raise UserError("The model's tokenizer does not say where its tokens stand in the text.",
                        "Take a model with a tokenizer.json.")
    if not texts:
        return []
    room = max_tokens - tokenizer.num_special_tokens_to_add(False)
    stride = int(room * OVERLAP)
    made = tokenizer(list(texts), truncation=True, max_length=max_tokens, stride=stride,
                     return_overflowing_tokens=True, return_offsets_mapping=True, return_special_tokens_mask=True,
                     return_attention_mask=False)
    pieces: list[list[tuple[list[int], list[int], list[tuple[int, int]]]]] = [[] for _ in texts]
    for ids, special, offsets, text in zip(made["input_ids"], made["special_tokens_mask"], made["offset_mapping"],
                                           made["overflow_to_sample_mapping"], strict=True):
        real = [i for i, one in enumerate(special) if not one]
        pieces[text].append((ids, real, [offsets[i] for i in real]))
    return [_cut(each, room - stride, causal) for each in pieces]


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
