"""LiteRT: a file with a graph a length; what is broken in it is told."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from matrix_page import told
from sample_edge import answers_alone
from sample_export import fitted, made

from seedbed.engines.base import load_classifier
from seedbed.engines.exported import Exported
from seedbed.engines.litert import lengths
from seedbed.errors import CorruptFile, MissingExtra, QualityFloor
from seedbed.export.artefact import Source, add
from seedbed.export.bundle import Bundle, open_bundle
from seedbed.export.manifest import Manifest
from seedbed.export.probes import KINDS
from seedbed.export.targets import TARGETS, need
from seedbed.export.verify import verify
from seedbed.workflow.exporting import ExportConfig, export

pytestmark = pytest.mark.timeout(900)  # exporters that take a minute, on machines that do other things too
TEXTS = [*tiny.TEXTS, *tiny.sentences(20, 9)[0]]


def test_lengths_double_up_to_the_longest_text() -> None:
    assert [lengths(most) for most in (1, 24, 32, 33, 256)] == [
        [1], [24], [32], [32, 33], [32, 64, 128, 256]]


def test_it_is_added_with_its_proof(litert_bundle: Bundle) -> None:
    reference, entry = litert_bundle.manifest.engines
    assert (entry.name, entry.kind, entry.made_from) == ("litert-int8", "litert", reference.digest)
    assert set(entry.tools) == {"torch", "transformers", "litert_torch", "ai_edge_litert", "ai_edge_quantizer"}
    assert {Path(file.path).name for file in entry.files} == {"model.tflite", "tokenizer.json", "engine.json"}
    certificate = entry.certificate
    assert certificate is not None and certificate.passed
    assert 0 < (certificate.figure("probability") or 0) < 0.1
    assert [check.name for check in certificate.checks] == [
        "texts with other tokens", *[f"probability, texts {kind}" for kind in KINDS], "probability, padded texts",
        "answers that the mask changes", "divergence"]
    assert not verify(litert_bundle.folder).failed
    told("classify", "bert", "litert:int8", "works")
    assert sys.getrecursionlimit() < 10_000  # its converter raises it, and deep JSON would then end the process


def test_any_batch_and_both_graphs_give_the_answers_of_the_reference(litert_bundle: Bundle) -> None:
    expected = load_classifier(litert_bundle.folder / "model").logits(TEXTS)
    opened = load_classifier(litert_bundle.folder / "litert-int8")
    assert isinstance(opened, Exported)
    assert {min(one for one in (32, 40) if one >= len(row)) for row in opened.tokens(TEXTS)} == {32, 40}
    assert np.abs(opened.logits(TEXTS) - expected).max() < 0.3
    assert np.array_equal(opened.logits(TEXTS), np.concatenate([opened.logits([text]) for text in TEXTS]))
    short = opened.tokens(["great lovely box"])
    near, far = opened.padded(short), opened.padded(short, 33, masked=True)
    assert np.array_equal(near, far)  # padding goes before its graph is chosen
    assert opened.logits([]).shape == (0, 2)
    with pytest.raises(ValueError, match="41 tokens, and the longest graph takes 40"):
        opened.padded([[5] * 41])


def edited(change: Callable[[Any], None]) -> Callable[[Path], None]:
    """Spoil the graphs themselves."""
    def spoil(folder: Path) -> None:
        from ai_edge_litert.tools import flatbuffer_utils

        model = flatbuffer_utils.read_model(str(folder / "model.tflite"))
        change(model)
        flatbuffer_utils.write_model(model, str(folder / "model.tflite"))
    return spoil


def _swap(model: Any) -> None:
    """The labels change places: the rows of the head, which both graphs share, and its two numbers."""
    graph = model.subgraphs[0]
    made = {place: op for op in graph.operators for place in op.outputs}
    for place in made[graph.outputs[0]].inputs[1:]:  # the weights go through a step that makes them fp32
        stored = made[place].inputs[0] if place in made else place
        buffer = model.buffers[graph.tensors[stored].buffer]
        buffer.data = np.asarray(buffer.data, np.uint8).reshape(2, -1)[::-1].reshape(-1)


def _unmask(model: Any) -> None:
    """As if the exporter had taken the mask for a constant."""
    from ai_edge_litert import schema_py_generated as schema

    for signature in model.signatureDefs:
        graph = model.subgraphs[signature.subgraphIndex]
        mask = next(one.tensorIndex for one in signature.inputs if one.name == b"mask")
        ones = schema.TensorT()
        ones.shape, ones.type, ones.name = graph.tensors[mask].shape, schema.TensorType.INT32, b"ones"
        ones.buffer = len(model.buffers)
        buffer = schema.BufferT()
        buffer.data = np.ones(ones.shape, np.int32).view(np.uint8).reshape(-1)
        model.buffers.append(buffer)
        graph.tensors.append(ones)
        for op in graph.operators:
            op.inputs = [len(graph.tensors) - 1 if one == mask else one for one in op.inputs]


def _shorten(model: Any) -> None:
    """The graph of the longer texts is that of the shorter."""
    short, long = sorted(model.signatureDefs, key=lambda one: one.signatureKey)
    long.subgraphIndex, long.inputs, long.outputs = short.subgraphIndex, short.inputs, short.outputs


def _cut(folder: Path) -> None:
    os.truncate(folder / "model.tflite", 20_000)


class Broken:
    """A target that writes a good artefact and then spoils it."""

    name, precisions, packages = "litert", ("int8",), ()

    def __init__(self, good: Path, spoil: Callable[[Path], None]) -> None:
        self.good, self.spoil = good, spoil

    def refuse(self, model: object, precision: str) -> None: ...

    def write(self, model: object, folder: Path, precision: str) -> None:
        shutil.copytree(self.good, folder, dirs_exist_ok=True)
        self.spoil(folder)


@pytest.mark.parametrize(("spoil", "first"), [
    (edited(_swap), "probability, texts short"), (edited(_unmask), "probability, texts short"),
    (edited(_shorten), "probability, texts medium"), (_cut, "cannot be opened")],
    ids=["labels swapped", "mask pruned", "length fixed", "file cut"])
def test_a_broken_artefact_is_told_and_not_added(litert_bundle: Bundle, tmp_path: Path,
                                                 spoil: Callable[[Path], None], first: str) -> None:
    folder = tmp_path / "bundle"
    made(folder, max_tokens=40)
    source = Source(open_bundle(folder, engine="reference"), None)
    with pytest.raises(QualityFloor, match=first):
        add(source, Broken(litert_bundle.folder / "litert-int8", spoil), "int8", {})  # type: ignore[arg-type]
    assert [one.name for one in Manifest.open(folder).engines] == ["reference"]
    add(source, Broken(litert_bundle.folder / "litert-int8", edited(lambda model: None)), "int8", {})  # type: ignore[arg-type]
    assert [one.name for one in Manifest.open(folder).engines] == ["reference", "litert-int8"]


@pytest.mark.parametrize("size", [0, 1000, 100_000])
def test_a_file_that_is_cut_is_told(litert_bundle: Bundle, tmp_path: Path, size: int) -> None:
    folder = Path(shutil.copytree(litert_bundle.folder / "litert-int8", tmp_path / "cut"))
    os.truncate(folder / "model.tflite", size)
    with pytest.raises(CorruptFile, match="cannot be read"):
        load_classifier(folder)


def test_the_file_says_nothing_of_the_machine_that_made_it(litert_bundle: Bundle) -> None:
    import seedbed

    content = (litert_bundle.folder / "litert-int8" / "model.tflite").read_bytes()
    for path in (Path(seedbed.__file__).parent, Path(np.__file__).parent.parent, litert_bundle.folder):
        assert str(path).encode() not in content
    assert b".py" not in content


def test_a_fresh_process_answers_with_the_runtime_alone_and_silently(litert_bundle: Bundle) -> None:
    code = """
import sys
for name in ('torch', 'transformers', 'peft', 'litert_torch', 'jax', 'ai_edge_quantizer', 'sklearn', 'sqlalchemy'):
    sys.modules[name] = None
from seedbed.export.bundle import open_bundle
bundle = open_bundle(sys.argv[1], engine='litert-int8')
print(bundle.engine, [one.label for one in bundle.predict(['great lovely box', 'broken awful box'])])
"""
    done = subprocess.run([sys.executable, "-c", code, str(litert_bundle.folder)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("litert-int8 ['good', 'bad']\n", "")


def test_a_device_folder_answers_alone_within_512_megabytes(litert_bundle: Bundle, tmp_path: Path) -> None:
    answers_alone(litert_bundle, "litert-int8", tmp_path)


def test_what_is_missing_is_named_with_the_whole_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litert_torch", None)
    with pytest.raises(MissingExtra) as told:
        need(TARGETS.get("litert"))
    line = ("pip install 'seedbed[litert]' && pip install --no-deps litert-torch==0.9.4 litert-converter==0.4.0 "
            "xdsl==0.28.0")
    assert told.value.hint == f"Install it with: {line}"
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    assert line in page


@pytest.mark.slow
def test_models_are_loaded_without_torchao(litert_bundle: Bundle) -> None:
    """It is installed for this target, and transformers and PEFT load it, with its warnings, where they find it."""
    code = """
import sys, warnings
from pathlib import Path
from seedbed.engines.transformer import TransformerHead
from seedbed.models.adapters import add_lora
model = TransformerHead.load(Path(sys.argv[1]))
with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    add_lora(model.backbone, rank=2, alpha=4)
print('torchao' in sys.modules)
import torchao
"""
    done = subprocess.run([sys.executable, "-c", code, str(litert_bundle.folder / "model")], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "False\n" and "torchao" not in done.stderr.split("Failed to load")[0]


@pytest.mark.slow
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_every_family(family: str, tmp_path: Path) -> None:
    """What fp32 is off by are last digits."""
    made(tmp_path / "bundle", family)
    done = export(tmp_path / "bundle", ExportConfig(to=("litert:fp32",)))
    certificate = done.added[0].certificate
    assert certificate is not None and (certificate.figure("probability") or 0) < 1e-4
    expected = fitted(family).logits(TEXTS)
    assert np.abs(load_classifier(tmp_path / "bundle" / "litert-fp32").logits(TEXTS) - expected).max() < 1e-3
    told("classify", family, "litert:fp32", "works")
