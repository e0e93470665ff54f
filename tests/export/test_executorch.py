"""ExecuTorch: one graph of any length. Its exporter takes most of a minute for any model, so nearly all is slow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
from matrix_page import told
from sample_export import fitted, made

from seedbed.engines.base import load_classifier
from seedbed.engines.exported import Exported
from seedbed.errors import CorruptFile, MissingExtra, QualityFloor, UserError
from seedbed.export.artefact import Source, add
from seedbed.export.bundle import Bundle, open_bundle
from seedbed.export.manifest import Manifest
from seedbed.export.probes import KINDS
from seedbed.export.targets import TARGETS, need
from seedbed.export.verify import verify
from seedbed.workflow.exporting import ExportConfig, export

pytestmark = pytest.mark.timeout(900)  # exporters that take a minute, on machines that do other things too
TEXTS = [*tiny.TEXTS, *tiny.sentences(20, 9)[0]]


@pytest.fixture(scope="module")
def executorch_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of a tiny encoder with `executorch-fp32`; tests only read it."""
    pytest.importorskip("executorch", reason="ExecuTorch is not installed: pip install 'seedbed[executorch]'")
    folder = tmp_path_factory.mktemp("executorch") / "bundle"
    made(folder)
    export(folder, ExportConfig(to=("executorch",)))
    return open_bundle(folder, verify=True)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "executorch", None)
    with pytest.raises(MissingExtra, match="Export to executorch") as told:
        need(TARGETS.get("executorch"))
    assert told.value.hint == "Install it with: pip install 'seedbed[executorch]'"


def test_there_is_no_runner_without_torch(tmp_path: Path) -> None:
    """It is told before anything is exported."""
    pytest.importorskip("executorch", reason="ExecuTorch is not installed: pip install 'seedbed[executorch]'")
    made(tmp_path / "bundle")
    with pytest.raises(UserError, match="no runner for executorch"):
        export(tmp_path / "bundle", ExportConfig(to=("executorch",), edge=tmp_path / "device"))
    assert [one.name for one in Manifest.open(tmp_path / "bundle").engines] == ["reference"]


@pytest.mark.slow
def test_it_is_added_with_its_proof_and_answers_as_the_reference(executorch_bundle: Bundle) -> None:
    reference, entry = executorch_bundle.manifest.engines
    assert (entry.name, entry.kind, entry.made_from) == ("executorch-fp32", "executorch", reference.digest)
    assert set(entry.tools) == {"torch", "transformers", "executorch", "torchao"}
    assert {Path(file.path).name for file in entry.files} == {"model.pte", "tokenizer.json", "engine.json"}
    certificate = entry.certificate
    assert certificate is not None and certificate.passed and (certificate.figure("probability") or 0) < 1e-5
    assert [check.name for check in certificate.checks] == [
        "texts with other tokens", *[f"probability, texts {kind}" for kind in KINDS], "probability, padded texts",
        "answers that the mask changes", "divergence"]
    assert not verify(executorch_bundle.folder).failed
    told("classify", "bert", "executorch:fp32", "works")
    opened = load_classifier(executorch_bundle.folder / "executorch-fp32")
    assert isinstance(opened, Exported)
    expected = load_classifier(executorch_bundle.folder / "model").logits(TEXTS)
    assert np.abs(opened.logits(TEXTS) - expected).max() < 1e-4
    assert opened.logits([]).shape == (0, 2)
    with pytest.raises(ValueError, match="25 tokens, and the graph takes 24"):
        opened.padded([[5] * 25])


@pytest.mark.slow
def test_it_answers_silently_without_transformers(executorch_bundle: Bundle) -> None:
    code = """
import sys
for name in ('transformers', 'peft', 'sklearn', 'sqlalchemy'):
    sys.modules[name] = None
from seedbed.export.bundle import open_bundle
bundle = open_bundle(sys.argv[1], engine='executorch-fp32')
print(bundle.engine, [one.label for one in bundle.predict(['great lovely box', 'broken awful box'])])
"""
    done = subprocess.run([sys.executable, "-c", code, str(executorch_bundle.folder)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("executorch-fp32 ['good', 'bad']\n", "")


@pytest.mark.slow
def test_the_file_says_nothing_of_the_machine_that_made_it(executorch_bundle: Bundle) -> None:
    import seedbed

    content = (executorch_bundle.folder / "executorch-fp32" / "model.pte").read_bytes()
    for path in (Path(seedbed.__file__).parent, Path(np.__file__).parent.parent, executorch_bundle.folder):
        assert str(path).encode() not in content
    assert b".py" not in content


@pytest.mark.slow
def test_without_torch_the_next_form_answers(executorch_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "executorch.runtime", None)
    with pytest.raises(MissingExtra, match="The engine executorch"):
        load_classifier(executorch_bundle.folder / "executorch-fp32")
    assert open_bundle(executorch_bundle.folder).engine == "reference"


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 1000, 200_000])
def test_a_file_that_is_cut_is_told(executorch_bundle: Bundle, tmp_path: Path, size: int) -> None:
    folder = Path(shutil.copytree(executorch_bundle.folder / "executorch-fp32", tmp_path / "cut"))
    os.truncate(folder / "model.pte", size)
    with pytest.raises(CorruptFile, match="cannot be read"):
        load_classifier(folder)


class Spoiled:
    """The target, given another model than the one that it is to write."""

    name, precisions, packages = "executorch", ("fp32",), ()

    def __init__(self, spoil: Callable[[], None]) -> None:
        self.spoil = spoil

    def refuse(self, model: object, precision: str) -> None: ...

    def write(self, model: object, folder: Path, precision: str) -> None:
        self.spoil()
        TARGETS.get("executorch").write(model, folder, precision)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize(("spoiled", "first"), [
    ("labels", "probability, texts short"), ("mask", "probability, padded texts")])
def test_a_broken_artefact_is_told_and_not_added(spoiled: str, first: str, tmp_path: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    """The labels change places, or the mask is a constant, as exporters have left it out."""
    pytest.importorskip("executorch", reason="ExecuTorch is not installed: pip install 'seedbed[executorch]'")
    import torch

    from seedbed.export.targets import graph

    made(tmp_path / "bundle")
    right = graph.Graph.forward

    def wrong(self: graph.Graph, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return right(self, ids, mask).flip(1) if spoiled == "labels" else right(self, ids, torch.ones_like(mask))

    target = Spoiled(lambda: monkeypatch.setattr(graph.Graph, "forward", wrong))
    source = Source(open_bundle(tmp_path / "bundle", engine="reference"), None)
    with pytest.raises(QualityFloor, match=first):
        add(source, target, "fp32", {})  # type: ignore[arg-type]
    assert [one.name for one in Manifest.open(tmp_path / "bundle").engines] == ["reference"]


@pytest.mark.slow
@pytest.mark.parametrize("family", [one for one in tiny.FAMILIES if one != "bert"])
def test_every_family(family: str, tmp_path: Path) -> None:
    """Gemma 3's scores are large, and off by 0.0009."""
    pytest.importorskip("executorch", reason="ExecuTorch is not installed: pip install 'seedbed[executorch]'")
    made(tmp_path / "bundle", family)
    done = export(tmp_path / "bundle", ExportConfig(to=("executorch",)))
    certificate = done.added[0].certificate
    assert certificate is not None and certificate.passed
    expected = fitted(family).logits(TEXTS)
    assert np.abs(load_classifier(tmp_path / "bundle" / "executorch-fp32").logits(TEXTS) - expected).max() < 3e-3
    told("classify", family, "executorch:fp32", "works")


@pytest.mark.slow
def test_8_bits_answer_nearly_as_the_model_in_a_smaller_file(executorch_bundle: Bundle, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(executorch_bundle.folder, tmp_path / "bundle"))
    certificate = export(folder, ExportConfig(to=("executorch:int8",))).added[0].certificate
    assert certificate is not None and certificate.passed
    assert 1e-6 < (certificate.figure("probability") or 0) < 0.1
    exact, small = ((folder / f"executorch-{one}" / "model.pte").stat().st_size for one in ("fp32", "int8"))
    assert small < 0.7 * exact
    told("classify", "bert", "executorch:int8", "works")
