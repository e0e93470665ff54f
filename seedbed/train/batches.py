"""Which texts go into which step: batches of similar length, in an order that a seed and an epoch fix."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from .config import LoopConfig


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


@dataclass(frozen=True)
class Packs:
    """Batches drawn at random, for texts that are packed: nothing is padded, so their lengths may differ.

    Args: those of `Buckets`; `tokens` counts real ones.
    """

    lengths: Sequence[int]
    texts: int
    tokens: int
    seed: int

    def epoch(self, number: int) -> list[list[int]]:
        """Positions of each batch of that epoch; every text stands in exactly one."""
        order = list(range(len(self.lengths)))
        random.Random(self.seed * 1_000_003 + number).shuffle(order)
        batches: list[list[int]] = []
        room = 0
        for i in order:
            room -= self.lengths[i]
            if room < 0 or len(batches[-1]) == self.texts:
                batches.append([])
                room = self.tokens - self.lengths[i]
            batches[-1].append(i)
        return batches


def batches_of(lengths: Sequence[int], config: LoopConfig, seed: int) -> Buckets | Packs:
    """The batches that a configuration asks for."""
    return (Packs if config.packing else Buckets)(lengths, config.batch_texts, config.batch_tokens, seed)


def bins(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Positions of texts in bins of that many tokens, by best fit, the longest first."""
    made, left = list[list[int]](), list[int]()
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        at = min((b for b in range(len(made)) if left[b] >= lengths[i]), key=lambda b: left[b], default=len(made))
        if at == len(made):
            made.append([])
            left.append(room)
        made[at].append(i)
        left[at] -= lengths[i]
    return made
