from __future__ import annotations

import random

import pytest

from seedbed.train.batches import Buckets, Packs, batches_of, bins
from seedbed.train.config import TextConfig


def lengths(count: int, seed: int = 0) -> list[int]:
    pick = random.Random(seed)
    return [pick.randrange(1, 300) for _ in range(count)]


@pytest.mark.parametrize("count", [0, 1, 7, 500])
@pytest.mark.parametrize(("texts", "tokens"), [(16, 2048), (1, 2048), (1000, 300), (4, 16)])
def test_each_text_once_within_the_bounds(count: int, texts: int, tokens: int) -> None:
    sizes = lengths(count)
    for epoch in range(3):
        batches = Buckets(sizes, texts, tokens, 5).epoch(epoch)
        assert sorted(i for batch in batches for i in batch) == list(range(count))
        assert all(1 <= len(batch) <= texts for batch in batches)
        assert all(len(b) == 1 or len(b) * max(sizes[i] for i in b) <= tokens for b in batches)


def test_a_text_longer_than_the_step_stands_alone() -> None:
    batches = Buckets([10, 5000, 10, 10], 16, 2048, 0).epoch(0)
    assert [1] in batches
    assert sorted(map(len, batches)) == [1, 3]


def test_the_same_seed_and_epoch_give_the_same_order_and_others_another() -> None:
    sizes = lengths(200)
    orders = [Buckets(sizes, 16, 2048, seed).epoch(epoch) for seed in (0, 1) for epoch in (0, 1, 2)]
    assert orders == [Buckets(sizes, 16, 2048, seed).epoch(epoch) for seed in (0, 1) for epoch in (0, 1, 2)]
    assert len({str(order) for order in orders}) == 6
    company = [frozenset(batch) for batch in orders[0]]
    assert len(set(company) & {frozenset(batch) for batch in orders[1]}) < len(company) / 2  # ever new company


def test_an_epoch_needs_no_epoch_before_it() -> None:
    buckets = Buckets(lengths(50), 8, 512, 3)
    late = buckets.epoch(7)
    buckets.epoch(0)
    assert buckets.epoch(7) == late


def test_similar_lengths_stand_together() -> None:
    sizes = lengths(1000)
    batches = Buckets(sizes, 16, 4096, 0).epoch(0)
    padded = sum(len(b) * max(sizes[i] for i in b) for b in batches)
    assert padded < 1.2 * sum(sizes)
    shuffled = [max(sizes[i] for i in b) for b in batches]
    assert shuffled != sorted(shuffled)


@pytest.mark.parametrize("count", [0, 1, 7, 500])
@pytest.mark.parametrize(("texts", "tokens"), [(16, 2048), (1, 2048), (1000, 300), (4, 16)])
def test_packed_batches_count_real_tokens(count: int, texts: int, tokens: int) -> None:
    sizes = lengths(count)
    orders = [Packs(sizes, texts, tokens, 5).epoch(epoch) for epoch in range(3)]
    for batches in orders:
        assert sorted(i for batch in batches for i in batch) == list(range(count))
        assert all(1 <= len(batch) <= texts for batch in batches)
        assert all(len(b) == 1 or sum(sizes[i] for i in b) <= tokens for b in batches)
    config = TextConfig(batch_texts=texts, batch_tokens=tokens, packing=True)
    assert orders[0] == batches_of(sizes, config, 5).epoch(0)
    assert count < 500 or orders[0] != orders[1]


def test_bins_hold_all_and_no_more_than_they_can() -> None:
    sizes = lengths(200)
    made = bins(sizes, max(sizes))
    assert sorted(i for one in made for i in one) == list(range(200))
    full = [sum(sizes[i] for i in one) for one in made]
    assert max(full) <= max(sizes) and sum(full) / (len(made) * max(sizes)) > 0.95
    assert bins([], 10) == []
