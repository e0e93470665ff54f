from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from seedbed.errors import QualityFloor, UserError
from seedbed.export import edge
from seedbed.export.bundle import Bundle, open_bundle

TEXTS = ["great lovely box", "broken awful box", "", "naïve 好"]
MEMORY = 512 << 20


def engine(bundle: Bundle, name: str) -> edge.EngineEntry:
    return next(one for one in bundle.manifest.engines if one.name == name)


@pytest.mark.parametrize("name", ["openvino-int8", "onnx-int8"])
def test_it_answers_alone_within_512_megabytes(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    bundle: Bundle = request.getfixturevalue(f"{name.partition('-')[0]}_bundle")
    made = edge.write(bundle, engine(bundle, name), tmp_path / "device")
    assert made.size == sum(p.stat().st_size for p in (tmp_path / "device").iterdir() if p.name != "edge.json")
    assert 20e6 < made.peak_memory < MEMORY
    assert len((tmp_path / "device" / edge.RUNNER).read_text().splitlines()) < 50
    code = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
for name in ('torch', 'transformers', 'seedbed', 'onnx', 'nncf', 'sklearn'):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
""".replace("MEMORY", str(MEMORY))
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "device" / edge.RUNNER), *TEXTS],
                          capture_output=True, text=True, cwd=tmp_path)
    assert done.stderr == ""
    said = [json.loads(line) for line in done.stdout.splitlines()]
    expected = [one.scores for one in open_bundle(bundle.folder, engine=name).predict(TEXTS)]
    assert [list(one) for one in said] == [["bad", "good"]] * len(TEXTS)
    assert np.allclose([list(one.values()) for one in said], [list(one.values()) for one in expected], atol=0.02)


def test_what_cannot_be_written_leaves_nothing(openvino_bundle: Bundle, tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")
    with pytest.raises(UserError, match="is there already"):
        edge.write(openvino_bundle, engine(openvino_bundle, "openvino-int8"), tmp_path / "taken")
    monkeypatch.setattr(edge, "MEASURED", "raise SystemExit('no model here')")
    with pytest.raises(QualityFloor, match="fails in a process of its own: no model here"):
        edge.write(openvino_bundle, engine(openvino_bundle, "openvino-int8"), tmp_path / "device")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken"]
