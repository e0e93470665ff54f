"""The dataset: its columns, parts and names."""

from __future__ import annotations

import pyarrow as pa

from seedbed.data.dataset import Dataset, ids


def dataset(several: bool = False) -> Dataset:
    targets = [["a"], ["a", "b"], []] if several else ["a", "b", None]
    texts = ["one", "two", None]
    return Dataset(pa.table({
        "id": ids([t or "" for t in texts], targets), "line": [2, 3, 5], "source": ["made"] * 3,
        "group": pa.array([None, "g", "g"], pa.string()), "split": pa.array(["train", "test", None], pa.string()),
        "target": pa.array(targets), "text": pa.array(texts, pa.large_string()), "n": [1, 2, 3]}))


def test_columns() -> None:
    data = dataset()
    assert len(data) == 3 and data.meta == ("n",) and data.column("n") == [1, 2, 3]
    assert data.texts == ["one", "two", ""] and data.targets == ["a", "b", None]


def test_parts_and_positions() -> None:
    data = dataset()
    assert data.part("test").texts == ["two"] and len(data.part("validation")) == 0
    assert data.take([2, 0, 0]).column("line") == [5, 2, 2] and len(data.take([])) == 0
    assert not data.multi_label and dataset(several=True).multi_label


def test_columns_are_replaced_in_their_type_or_added() -> None:
    data = dataset().with_column("split", [None, None, None])
    assert data.table.schema.field("split").type == pa.string() and data.column("split") == [None] * 3
    data = data.with_column("score", [0.5, 0.25, 1.0])
    assert data.meta == ("n", "score") and data.column("score") == [0.5, 0.25, 1.0]


def test_ids_depend_on_text_and_target_and_count_repeats() -> None:
    names = ids(["a", "a", "a", "a", "b"], ["x", "x", "y", None, "x"])
    assert len(set(names)) == 5 and names[1] == f"{names[0]}-2"
    assert all(len(name) == 16 for name in (names[0], *names[2:]))
    assert ids(["t"], [["x", "y"]]) == ids(["t"], [["y", "x"]]) != ids(["t"], [["x"]])
    assert ids(["a"], ["x"]) == [names[0]]
