from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from seedbed.data.dataset import Dataset
from seedbed.evaluate.mistakes import mistakes
from seedbed.evaluate.slices import slices
from seedbed.tasks.classify import Classify

TWO = Classify(("no", "yes"))


def data(y: np.ndarray, task: Classify = TWO, **columns: list[Any]) -> Dataset:
    rows = len(y)
    base = {"id": [f"r{i}" for i in range(rows)], "line": list(range(2, rows + 2)), "source": ["a.csv"] * rows,
            "group": [None] * rows, "split": ["test"] * rows, "target": task.words(y),
            "text": ["word " * (1 + i % 30) for i in range(rows)]}
    return Dataset(pa.table({**base, **columns}))


def right(y: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    return np.eye(2, dtype=np.float32)[np.where(wrong, 1 - y, y)]


def test_dimensions_and_counts() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 600)
    made = data(y, source=["a.csv", "b.csv"] * 300, language=["en", "pt", "en", None] * 150,
                condition=[f"c{i % 20:02}" for i in range(600)], stars=[i % 5 for i in range(600)],
                note=[f"unique {i}" for i in range(600)], price=[i / 7 for i in range(600)], same=["x"] * 600)
    found = slices(TWO, made, y, right(y, rng.random(600) < .2))
    by = {name: [one for one in found if one.dimension == name] for name in {one.dimension for one in found}}
    assert set(by) == {"length", "source", "language", "condition", "stars"}
    assert list(dict.fromkeys(one.dimension for one in found))[:3] == ["length", "source", "language"]
    assert sum(one.score.n for one in by["length"]) == 600 == sum(one.score.n for one in by["source"])
    assert {one.value: one.score.n for one in by["language"]} == {"en": 300, "pt": 150}
    assert len(by["condition"]) == 10 and {one.score.n for one in by["condition"]} == {30}
    assert len(by["stars"]) == 5 and not any(one.worse for one in found)
    assert by["length"][0].value == "short (up to 10 words)"
    assert all(one.score.low <= one.score.value <= one.score.high for one in found)


def test_a_bad_slice_is_flagged_and_no_other() -> None:
    rng = np.random.default_rng(1)
    y, language = rng.integers(0, 2, 800), np.array(["en", "pt", "de", "fr"] * 200)
    wrong = rng.random(800) < np.where(language == "pt", .4, .1)
    found = slices(TWO, data(y, language=language.tolist()), y, right(y, wrong))
    assert [one.value for one in found if one.worse] == ["pt"]
    pt = next(one for one in found if one.value == "pt")
    assert pt.score.n == 200 and pt.score.value < .7


def test_one_bad_slice_is_found_among_many() -> None:
    rng = np.random.default_rng(2)
    y, language = rng.integers(0, 2, 600), np.array(["en", "pt"] + ["en"] * 4)[np.arange(600) % 6]
    many = {f"k{j:02}": rng.integers(0, 12, 600).tolist() for j in range(12)}
    wrong = rng.random(600) < np.where(language == "pt", .6, .05)
    found = slices(TWO, data(y, language=language.tolist(), **many), y, right(y, wrong))
    assert len(found) > 140 and "pt" in [one.value for one in found if one.worse]


@pytest.mark.slow
def test_false_flags_are_rare() -> None:
    flagged = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        y = rng.integers(0, 2, 200)
        kinds = {f"k{j}": rng.choice(["p", "q", "r"], 200).tolist() for j in range(4)}
        flagged += any(one.worse for one in slices(TWO, data(y, **kinds), y, right(y, rng.random(200) < .2)))
    assert flagged <= 5


def test_small_slices_are_left_out_and_few_rows_give_none() -> None:
    y = np.arange(100) % 2
    found = slices(TWO, data(y, language=["en"] * 95 + ["pt"] * 5), y, right(y, np.zeros(100, bool)))
    assert [one.value for one in found if one.dimension == "language"] == ["en"]
    assert slices(TWO, data(y[:6]), y[:6], right(y[:6], np.zeros(6, bool))) == []
    empty = data(y, text=[""] * 100)
    assert not [one for one in slices(TWO, empty, y, right(y, np.zeros(100, bool))) if one.dimension == "length"]
    with pytest.raises(ValueError, match="rows of data"):
        slices(TWO, data(y), y[:50], right(y[:50], np.zeros(50, bool)))


def test_multi_label_slices() -> None:
    task = Classify(("a", "b"), multi_label=True)
    rng = np.random.default_rng(0)
    y = (rng.random((300, 2)) < .5).astype(np.int64)
    logits = (2 * y - 1 + rng.normal(0, 1, y.shape)).astype(np.float32)
    logits[::3] *= -1
    found = slices(task, data(y, task, language=["pt", "en", "en"] * 100), y, logits)
    assert [one.value for one in found if one.worse] == ["pt"]


def test_mistakes_surest_first_with_their_place() -> None:
    y = np.array([0, 0, 1, 1, 0, 1])
    logits = np.array([[3, 0], [0, 1], [5, 0], [0, 9], [0, 2], [1, 0]], np.float32)
    made = data(y, text=["fine", "x" * 500, "b", "c", "d", ""])
    found = mistakes(TWO, made, y, logits, 1.0)
    assert [one.id for one in found] == ["r2", "r4", "r1", "r5"] and found[0].line == 4
    assert found[0].target == "yes" and found[0].predicted == "no"
    assert [one.confidence for one in found] == sorted((one.confidence for one in found), reverse=True)
    assert len(found[2].text) == 300 and found[2].text.endswith("…") and found[3].text == ""
    assert len(mistakes(TWO, made, y, logits, 1.0, k=2)) == 2
    assert mistakes(TWO, made, y, np.eye(2, dtype=np.float32)[y], 1.0) == []


def test_multi_label_mistakes_show_lists() -> None:
    task = Classify(("a", "b"), multi_label=True)
    y = np.array([[1, 0], [1, 1], [0, 0]])
    logits = np.array([[4, -4], [4, -1], [-3, -3]], np.float32)
    (one,) = mistakes(task, data(y, task), y, logits, 1.0)
    assert one.target == ["a", "b"] and one.predicted == ["a"] and one.id == "r1"
