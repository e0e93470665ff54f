"""Which texts go into which step: batches of similar length, in an order that a seed and an epoch fix."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Buckets:
    """Batches of similar length, so that little is padded.

    The order depends on nothing but `seed` and the epoch, so a resumed run sees what the stopped one would have.

    Args:
        lengths: tokens of each text.
        texts: most texts in a batch.
        tokens: most tokens in a batch, padding included; a longer text stands alone.
        seed: fixes the order.
    """

    lengths: Sequence[int]
    texts: int
    tokens: int
    seed: int

    def epoch(self, number: int) -> list[list[int]]:
        """Positions of each batch of that epoch; every text stands in exactly one."""
        chance = random.Random(self.seed * 1_000_003 + number)
        # neighbours in length differ from epoch to epoch: the length is shaken before sorting
        order = sorted(range(len(self.lengths)), key=lambda i: self.lengths[i] * chance.uniform(0.9, 1.1))
        batches: list[list[int]] = []
        longest = 0
        for i in order:
            longest = max(longest, self.lengths[i])
            if batches and len(batches[-1]) < self.texts and longest * (len(batches[-1]) + 1) <= self.tokens:
                batches[-1].append(i)
            else:
                batches.append([i])
                longest = self.lengths[i]
        chance.shuffle(batches)
        return batches
