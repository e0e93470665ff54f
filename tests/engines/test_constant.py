from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seedbed.engines.base import Classifier, load_classifier
from seedbed.engines.constant import Constant
from seedbed.errors import CorruptFile


def test_same_row_for_every_text_and_back_from_disk(tmp_path: Path) -> None:
    model = Constant([0.5, -1.25, 0.1])
    assert isinstance(model, Classifier)
    assert model.logits(["a", "b"]).tolist() == [model.logits(["x"])[0].tolist()] * 2
    assert model.logits([]).shape == (0, 3)
    model.save(tmp_path)
    assert model.size == sum(p.stat().st_size for p in tmp_path.iterdir())
    again = load_classifier(tmp_path)
    assert isinstance(again, Constant)
    assert np.array_equal(again.logits(["a"]), model.logits(["a"]))


@pytest.mark.parametrize("logits", [[], [[1.0, 2.0]], [float("nan"), 1.0]])
def test_scores_that_are_none(logits: list[float]) -> None:
    with pytest.raises(ValueError, match="one row of finite numbers"):
        Constant(logits)


@pytest.mark.parametrize("content", ['{"kind": "constant"}', '{"kind": "constant", "logits": "x"}', '{"kind": "con'])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "engine.json").write_text(content)
    with pytest.raises(CorruptFile, match=r"engine\.json"):
        Constant.load(tmp_path)
