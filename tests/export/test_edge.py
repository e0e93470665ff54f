from __future__ import annotations

from pathlib import Path

import pytest
from sample_edge import answers_alone, engine

from seedbed.errors import QualityFloor, UserError
from seedbed.export import edge
from seedbed.export.bundle import Bundle


@pytest.mark.parametrize("name", ["openvino-int8", "onnx-int8"])
def test_it_answers_alone_within_512_megabytes(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    answers_alone(request.getfixturevalue(f"{name.partition('-')[0]}_bundle"), name, tmp_path)


def test_what_cannot_be_written_leaves_nothing(openvino_bundle: Bundle, tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")
    with pytest.raises(UserError, match="no runner for gguf"):
        edge.runner("gguf", "classify.py")
    with pytest.raises(UserError, match="is there already"):
        edge.write(openvino_bundle, engine(openvino_bundle, "openvino-int8"), tmp_path / "taken")
    monkeypatch.setattr(edge, "MEASURED", "raise SystemExit('no model here')")
    with pytest.raises(QualityFloor, match="fails in a process of its own: no model here"):
        edge.write(openvino_bundle, engine(openvino_bundle, "openvino-int8"), tmp_path / "device")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken"]
