"""Texts of similar length that a model reads together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

TOKENS_PER_BATCH = 2048
"""Tokens in one forward pass when nothing is trained: large enough for full matrix speed, small enough for the
processor's cache (docs/LOG.md)."""


@dataclass(frozen=True)
class Batch:
    """Token ids [rows, tokens], padded on the right, and the number of real tokens of each row.

    Of an encoder-decoder these are the decoder's, and `source` holds the encoder's.
    """

    ids: Tensor
    lengths: Tensor
    source: Batch | None = None
    positions: Tensor | None = None
    """[rows, tokens] where several texts stand in a row, one after the other: each token's place in its own text."""

    @property
    def mask(self) -> Tensor | None:
        """[rows, tokens] of 0 and 1; None when nothing is padded."""
        if bool((self.lengths == self.ids.shape[1]).all()):
            return None
        return (torch.arange(self.ids.shape[1], device=self.ids.device) < self.lengths[:, None]).long()


def by_length(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Positions in batches of similar length, the longest first, at most `tokens` padded tokens each.

    The longest first: if memory does not suffice, it shows at once.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    out: list[list[int]] = []
    for i in order:
        if out and lengths[out[-1][0]] * (len(out[-1]) + 1) <= tokens:
            out[-1].append(i)
        else:
            out.append([i])
    return out
