from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
from sample_export import made

from seedbed.engines.base import load_classifier
from seedbed.engines.exported import Exported
from seedbed.errors import CorruptFile
from seedbed.export.bundle import Bundle
from seedbed.export.verify import verify
from seedbed.workflow.exporting import ExportConfig, export

TEXTS = [*tiny.TEXTS, *tiny.sentences(20, 9)[0]]


def test_it_is_added_with_its_proof(onnx_bundle: Bundle) -> None:
    reference, entry = onnx_bundle.manifest.engines
    assert (entry.name, entry.kind, entry.made_from) == ("onnx-int8", "onnx", reference.digest)
    assert set(entry.tools) == {"torch", "transformers", "onnx", "onnxscript", "onnxruntime"}
    certificate = entry.certificate
    assert certificate is not None and certificate.passed
    assert 0 < (certificate.figure("probability") or 0) < 0.13
    names = [check.name for check in certificate.checks]
    assert "probability, padded texts" not in names  # it never answers two texts in one pass
    assert not verify(onnx_bundle.folder).failed


def test_an_answer_does_not_depend_on_its_companions(onnx_bundle: Bundle) -> None:
    opened = load_classifier(onnx_bundle.folder / "onnx-int8")
    assert isinstance(opened, Exported) and opened.alone
    alone = np.concatenate([opened.logits([text]) for text in TEXTS])
    assert np.array_equal(opened.logits(TEXTS), alone)
    together = opened.padded([row[:4] for row in opened.tokens(TEXTS) if len(row) >= 4])
    each = np.concatenate([opened.padded([row[:4]]) for row in opened.tokens(TEXTS) if len(row) >= 4])
    assert np.abs(together - each).max() > 0  # which is why


def test_products_that_narrow_stay_in_fp32(onnx_bundle: Bundle) -> None:
    import onnx

    graph = onnx.load(onnx_bundle.folder / "onnx-int8" / "model.onnx").graph
    exact = [tuple(one.dims) for one in graph.initializer if one.data_type == onnx.TensorProto.FLOAT]
    whole = [tuple(one.dims) for one in graph.initializer if one.data_type == onnx.TensorProto.UINT8]
    assert exact.count((64, 32)) == tiny.LAYERS and len([one for one in exact if one in ((2, 32), (32, 2))]) == 1
    assert whole.count((32, 64)) == tiny.LAYERS and whole.count((32, 32)) == 4 * tiny.LAYERS


def test_the_file_says_nothing_of_the_machine_that_made_it(onnx_bundle: Bundle) -> None:
    import seedbed

    content = (onnx_bundle.folder / "onnx-int8" / "model.onnx").read_bytes()
    for path in (Path(seedbed.__file__).parent, Path(np.__file__).parent.parent, onnx_bundle.folder):
        assert str(path).encode() not in content
    assert b"stack_trace" not in content and b".py" not in content


def test_a_file_that_is_cut_is_told(onnx_bundle: Bundle, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(onnx_bundle.folder / "onnx-int8", tmp_path / "cut"))
    os.truncate(folder / "model.onnx", 5000)
    with pytest.raises(CorruptFile, match="cannot be read"):
        load_classifier(folder)


def test_a_fresh_process_answers_without_torch_and_transformers(onnx_bundle: Bundle) -> None:
    code = """
import sys
for name in ('torch', 'transformers', 'peft', 'onnx', 'onnxscript', 'sklearn', 'sqlalchemy'):
    sys.modules[name] = None
from seedbed.export.bundle import open_bundle
bundle = open_bundle(sys.argv[1], engine='onnx-int8')
print(bundle.engine, [one.label for one in bundle.predict(['great lovely box', 'broken awful box'])])
"""
    done = subprocess.run([sys.executable, "-c", code, str(onnx_bundle.folder)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("onnx-int8 ['good', 'bad']\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_every_family_in_both_runtimes(family: str, tmp_path: Path) -> None:
    """What fp32 is off by are last digits."""
    pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install 'seedbed[openvino]'")
    made(tmp_path / "bundle", family)
    done = export(tmp_path / "bundle", ExportConfig(to=("openvino:fp32", "onnx:fp32")))
    assert [one.name for one in done.added] == ["openvino-fp32", "onnx-fp32"]
    for entry in done.added:
        assert entry.certificate is not None
        assert (entry.certificate.figure("probability") or 0) < 1e-4
