"""Splits and folds: shares, strata, groups and clusters kept whole, and no dependence on the order of the rows."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from seedbed.data.dataset import SPLITS, Dataset, ids
from seedbed.data.read import read
from seedbed.data.split import count_splits, folds, split
from seedbed.errors import DataError, UserError


def dataset(targets: Sequence[Any], *, groups: Sequence[str | None] | None = None,
            given: Sequence[str | None] | None = None, texts: Sequence[str] | None = None) -> Dataset:
    rows = len(targets)
    texts = texts or [f"text {i}" for i in range(rows)]
    several = any(isinstance(t, list) for t in targets)
    return Dataset(pa.table({
        "id": ids(texts, targets), "line": list(range(2, rows + 2)), "source": ["made"] * rows,
        "group": pa.array(groups or [None] * rows, pa.string()),
        "split": pa.array(given or [None] * rows, pa.string()),
        "target": pa.array(targets, pa.list_(pa.string()) if several else pa.string()), "text": texts}))


def mixed(rows: int, shares: dict[str, float], seed: int = 0) -> list[str]:
    targets = [label for label, share in shares.items() for _ in range(round(rows * share))]
    random.Random(seed).shuffle(targets)
    return targets


def whole(data: Dataset, parts: Sequence[Any]) -> bool:
    """No value of `parts` is in two splits."""
    seen = defaultdict(set)
    for part, name in zip(parts, data.column("split"), strict=True):
        if part is not None:
            seen[part].add(name)
    return all(len(names) == 1 for names in seen.values())


def test_shares_and_strata_are_exact_to_a_row() -> None:
    counts = count_splits(split(dataset(mixed(2_000, {"a": 0.7, "b": 0.2, "c": 0.1}))))
    assert counts.rows == {"train": 1400, "validation": 300, "test": 300} and counts.absent == {}
    for label, n in (("a", 1400), ("b", 400), ("c", 200)):
        for name, share in zip(SPLITS, (0.7, 0.15, 0.15), strict=True):
            assert abs(counts.labels[label][name] - n * share) <= 1


@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.1), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0), (1.0, 0.0, 0.0)])
def test_other_shares(fractions: tuple[float, float, float]) -> None:
    rows = count_splits(split(dataset(mixed(1_000, {"a": 0.6, "b": 0.4})), fractions=fractions)).rows
    assert all(abs(rows[name] - 1_000 * share) <= 2 for name, share in zip(SPLITS, fractions, strict=True))
    assert all(rows[name] == 0 for name, share in zip(SPLITS, fractions, strict=True) if share == 0)


def test_many_small_classes_still_sum_to_the_shares() -> None:
    targets = [f"label {i}" for i in range(200) for _ in range(5)]
    counts = count_splits(split(dataset(targets)))
    assert counts.absent == {}  # five rows are enough for each split
    assert all(by["train"] == 3 and by["validation"] == by["test"] == 1 for by in counts.labels.values())


def test_rare_classes_are_in_each_split_where_that_is_possible() -> None:
    for n, expected in ((1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (4, (2, 1, 1))):
        counts = count_splits(split(dataset(["rare"] * n + ["common"] * 500)))
        assert tuple(counts.labels["rare"].values()) == expected


def test_eight_texts_a_class() -> None:
    counts = count_splits(split(dataset([f"c{i % 4}" for i in range(32)])))
    assert sum(counts.rows.values()) == 32 and counts.absent == {}


def test_the_order_of_rows_does_not_matter_and_the_seed_does() -> None:
    groups = [f"g{i % 90}" if i % 3 else None for i in range(500)]
    data = dataset(mixed(500, {"a": 0.5, "b": 0.3, "c": 0.2}), groups=groups)
    first = split(data, seed=1)
    order = list(range(500))
    random.Random(5).shuffle(order)
    assert split(data.take(order), seed=1).hash == first.hash
    assert split(data, seed=2).hash != first.hash
    shuffled = [sorted(order[i] for i in held) for _, held in folds(data.take(order), 4)]
    assert [sorted(held) for _, held in folds(data, 4)] == shuffled


def test_groups_clusters_and_same_texts_stay_together() -> None:
    chance = random.Random(3)
    rows = 1_500
    targets = [chance.choice("abc") for _ in range(rows)]
    groups = [f"user {chance.randrange(300)}" if chance.random() < 0.5 else None for _ in range(rows)]
    clusters = [chance.randrange(1_200) for _ in range(rows)]
    texts = [f"text {chance.randrange(1_400)}" for _ in range(rows)]
    for given_clusters in (None, clusters):
        data = split(dataset(targets, groups=groups, texts=texts), clusters=given_clusters)
        assert whole(data, groups) and whole(data, texts) and (given_clusters is None or whole(data, clusters))
        assert None not in data.column("split") and sum(count_splits(data).rows.values()) == rows
    alone = split(dataset(targets, groups=[f"user {i % 400}" for i in range(rows)]))
    counts = count_splits(alone)
    assert abs(counts.rows["train"] - 0.7 * rows) <= 10 and abs(counts.rows["test"] - 0.15 * rows) <= 10
    for by in counts.labels.values():
        assert abs(by["train"] / sum(by.values()) - 0.7) < 0.02


def test_given_splits_are_kept_and_only_validation_is_carved() -> None:
    given = ["train"] * 400 + ["test"] * 100
    data = dataset(mixed(500, {"a": 0.8, "b": 0.2}), given=given)
    result = split(data, fractions=(0.8, 0.1, 0.1))
    after = result.column("split")
    assert after[400:] == ["test"] * 100
    assert Counter(after[:400]) == {"train": 356, "validation": 44}  # a ninth of the training rows
    complete = split(dataset(["a", "b", "a"], given=["train", "validation", "test"]))
    assert complete.column("split") == ["train", "validation", "test"]
    no_test = split(dataset(mixed(100, {"a": 0.5, "b": 0.5}), given=["train"] * 80 + ["validation"] * 20))
    assert no_test.column("split")[80:] == ["validation"] * 20 and no_test.column("split").count("test") > 5
    only_train = split(dataset(mixed(100, {"a": 0.5, "b": 0.5}), given=["train"] * 100))
    assert count_splits(only_train).rows == {"train": 70, "validation": 15, "test": 15}


def test_nothing_carved_or_new_leaks_into_a_given_test_split() -> None:
    given = ["train"] * 60 + ["test"] * 20 + [None] * 20
    clusters = [*range(60), *range(20), *range(10, 30)]  # test rows repeat training rows 0 to 19, new ones 10 to 29
    data = dataset(["a", "b"] * 50, given=given)
    after = split(data, clusters=clusters).column("split")
    assert after[:60] == ["train"] * 60 and after[60:80] == ["test"] * 20
    assert after[80:90] == ["test"] * 10 and after[90:] == ["train"] * 10
    carved = split(dataset(["a", "b"] * 40, given=given[:80]), clusters=clusters[:80]).column("split")
    assert carved[:20] == ["train"] * 20 and carved[20:60].count("validation") > 5


def test_labels_of_several_are_stratified_by_each() -> None:
    chance = random.Random(0)
    weights = {"a": 0.5, "b": 0.3, "c": 0.1, "d": 0.02}
    targets = [[label for label, p in weights.items() if chance.random() < p] for _ in range(3_000)]
    counts = count_splits(split(dataset(targets)))
    assert sum(counts.rows.values()) == 3_000 and abs(counts.rows["train"] - 2_100) <= 30
    for by in counts.labels.values():
        n = sum(by.values())
        assert abs(by["train"] - 0.7 * n) <= 2 and abs(by["test"] - 0.15 * n) <= 2


def test_rare_labels_of_several_reach_each_split() -> None:
    targets = [["common"] for _ in range(200)] + [["common", "rare"], ["rare"], ["rare", "other"]] + [["other"]] * 30
    assert count_splits(split(dataset(targets))).absent == {}


def test_rows_without_a_label_are_split_too() -> None:
    assert count_splits(split(dataset([None] * 60 + ["a"] * 40))).rows == {"train": 70, "validation": 15, "test": 15}
    assert count_splits(split(dataset([[], *[["a"]] * 59, *[[]] * 40]))).rows["train"] == 70


def test_folds_hold_every_row_out_once() -> None:
    targets = mixed(203, {"a": 0.6, "b": 0.3, "c": 0.1})
    groups = [f"g{i // 2}" if i < 100 else None for i in range(len(targets))]
    data = dataset(targets, groups=groups)
    parts = folds(data, 5, seed=3)
    assert sorted(i for _, held in parts for i in held) == list(range(len(targets)))
    for train, held in parts:
        assert sorted(train + held) == list(range(len(targets)))
        assert not {groups[i] for i in train if groups[i]} & {groups[i] for i in held}
        counts = Counter(targets[i] for i in held)
        assert all(abs(counts[label] - targets.count(label) / 5) <= 2 for label in "abc")
    assert folds(data, 5, seed=3) == parts and folds(data, 5, seed=4) != parts


def test_folds_of_few_rows() -> None:
    parts = folds(dataset(["a", "b"] * 8), 4)
    assert all(Counter(["a", "b"][i % 2] for i in held) == {"a": 2, "b": 2} for _, held in parts)
    with pytest.raises(DataError, match="do not fill 4 folds"):
        folds(dataset(["a", "b", "a"]), 4)
    with pytest.raises(DataError, match="folds"):
        folds(dataset(["a", "b", "a"]), 1)


def test_what_cannot_be_split() -> None:
    for wrong in ((0.5, 0.5), (0.5, 0.2, 0.2), (1.2, -0.1, -0.1), (0.0, 0.5, 0.5)):
        with pytest.raises(UserError, match="are not the shares"):
            split(dataset(["a", "b"] * 5), fractions=wrong)
    with pytest.raises(DataError, match="1 rows that can be told apart"):
        split(dataset(["a", "b"] * 5, groups=["one"] * 10))
    with pytest.raises(ValueError, match="clusters for"):
        split(dataset(["a", "b"]), clusters=[1])


def test_an_empty_dataset_stays_empty() -> None:
    assert len(split(dataset(["a", "b", "c"]).take([]))) == 0


def test_a_hundred_thousand_rows_take_seconds() -> None:
    chance = random.Random(0)
    data = dataset([chance.choice("abcde") for _ in range(100_000)])
    clusters = [chance.randrange(80_000) for _ in range(100_000)]
    start = time.monotonic()
    counts = count_splits(split(data, clusters=clusters))
    assert time.monotonic() - start < 30  # about 1 s alone on one core
    assert abs(counts.rows["train"] - 70_000) <= 5


def test_thousands_of_labels_do_not_take_the_square_of_their_number() -> None:
    chance = random.Random(0)
    data = dataset([[f"label {chance.randrange(30_000)}" for _ in range(2)] for _ in range(30_000)])
    start = time.monotonic()
    assert sum(count_splits(split(data)).rows.values()) == 30_000
    assert time.monotonic() - start < 15  # 2 s alone on one core; most of a minute with a search for every label


def test_the_real_reviews(reviews: dict[str, Path]) -> None:
    data = split(read(reviews).dataset)
    counts = count_splits(data)
    assert counts.rows == {"train": 494, "validation": 106, "test": 379} and counts.absent == {}
    assert counts.labels["neutral"]["validation"] in (9, 10)
    assert split(read(reviews).dataset).hash == data.hash


def test_rows_without_labels_are_split_by_their_units() -> None:
    """Conversations have none; clusters of near duplicates still stay together."""
    rows = dataset([None] * 60)
    clusters = [i - i % 2 for i in range(60)]
    made = split(rows, fractions=(0.8, 0.1, 0.1), clusters=clusters).column("split")
    assert Counter(made) == {"train": 48, "validation": 6, "test": 6}
    assert made[::2] == made[1::2]
    assert made == split(rows, fractions=(0.8, 0.1, 0.1), clusters=clusters).column("split")
