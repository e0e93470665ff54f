"""Named data, with the real reviews."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from seedbed.catalog.datasets import local_dataset, pull_dataset
from seedbed.errors import CorruptFile, NotFound, Offline
from seedbed.settings import settings


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


@pytest.mark.real
def test_the_reviews_are_the_ones_that_docs_describe(reviews: dict[str, Path]) -> None:
    train, test = _rows(reviews["train"]), _rows(reviews["test"])
    assert Counter(r["rating"] for r in train) == {"positive": 385, "negative": 161, "neutral": 54}
    assert Counter(r["rating"] for r in test) == {"positive": 248, "negative": 95, "neutral": 36}
    assert list(train[0]) == ["", "drugName", "condition", "review", "rating", "date", "usefulCount"]
    both = train + test
    assert all(r["review"].startswith('"') and r["review"].endswith('"') for r in both)
    assert sum("&#039;" in r["review"] for r in both) > 400 and sum("\n" in r["review"] for r in both) == 115
    assert sum(not r["condition"] for r in both) == 7
    assert sum("users found this comment helpful" in r["condition"] for r in both) > 0
    assert len({r["review"] for r in train} & {r["review"] for r in test}) == 1, "one review is in both"


@pytest.mark.real
def test_fetched_data_needs_nothing_more_and_damage_is_found(reviews: dict[str, Path], home: Path,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    assert local_dataset("patient-reviews") is None
    first = pull_dataset("patient-reviews")
    assert {s: p.read_bytes() for s, p in first.items()} == {s: p.read_bytes() for s, p in reviews.items()}
    assert sorted(p.name for p in (home / "datasets" / "patient-reviews").iterdir()) == [
        "seedbed.json", "test.tsv", "train.tsv"]
    monkeypatch.setenv("SEEDBED_OFFLINE", "1")
    settings.cache_clear()
    assert pull_dataset("patient-reviews") == first == local_dataset("patient-reviews")
    first["test"].write_text("cut")
    with pytest.raises(CorruptFile, match=r"test\.tsv") as caught:
        pull_dataset("patient-reviews")
    assert str(first["test"].parent) in caught.value.hint


def test_offline_and_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDBED_OFFLINE", "1")
    settings.cache_clear()
    with pytest.raises(Offline, match="patient-reviews"):
        pull_dataset("patient-reviews")


def test_no_such_name() -> None:
    with pytest.raises(NotFound) as caught:
        pull_dataset("mnist")
    assert "patient-reviews" in caught.value.hint
