"""Models that embed as files of other runtimes: proven by cosines, and by what questions find."""

from __future__ import annotations

import json
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
from sample_edge import CODE
from sample_embedder import made

from seedbed.engines.exported import TOKENIZER
from seedbed.errors import DataError, QualityFloor, UserError
from seedbed.export.artefact import Source, add, prove
from seedbed.export.bundle import Bundle, open_bundle
from seedbed.export.certificate import Held
from seedbed.export.manifest import Manifest, files_of
from seedbed.export.probes import KINDS
from seedbed.export.targets import TARGETS
from seedbed.export.vectors import Search, Vectors, unit
from seedbed.export.verify import verify
from seedbed.workflow.exporting import ExportConfig, export

TEXTS = [*tiny.TEXTS, *tiny.sentences(20, 9)[0]]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """With `openvino-fp32` and `onnx-int8`; tests only read it."""
    for name in ("openvino", "onnxruntime", "onnxscript"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install 'seedbed[openvino,onnx]'")
    folder = tmp_path_factory.mktemp("vectors") / "bundle"
    made(folder)
    export(folder, ExportConfig(to=("openvino:fp32", "onnx")))
    return open_bundle(folder, verify=True)


def test_artefacts_are_in_the_manifest_with_their_proof(bundle: Bundle) -> None:
    reference, exact, small = bundle.manifest.engines
    assert [one.name for one in bundle.manifest.engines] == ["reference", "openvino-fp32", "onnx-int8"]
    assert exact.made_from == small.made_from == reference.digest
    shared = ["texts with other tokens", *[f"cosine, texts {kind}" for kind in KINDS]]
    whole = ["length of a vector, off by", "off by, of the distance between texts",
             "cosine between two texts, off by"]
    for one, least in ((exact, 1 - 1e-6), (small, 0.98)):
        certificate = one.certificate
        assert certificate is not None and certificate.passed and certificate.loss is None and certificate.faster > 0
        assert least < (certificate.figure("cosine, texts") or 0) <= 1 + 1e-9
        alone = one is small  # it answers each text in a pass of its own
        assert [check.name for check in certificate.checks] == [
            *shared, *([] if alone else ["cosine, padded texts", "answers that the mask changes"]), *whole]
    assert small.certificate and (small.certificate.figure("cosine between") or 0) > 1e-5
    assert not verify(bundle.folder).failed
    assert [len(one.checks) for one in verify(bundle.folder).engines] == [1, 10, 8]


def test_every_engine_gives_the_vectors_of_the_reference(bundle: Bundle) -> None:
    expected = open_bundle(bundle.folder, engine="reference").embed(TEXTS)
    assert expected.shape == (len(TEXTS), 32)
    assert np.allclose(np.linalg.norm(expected, axis=1), 1, atol=1e-5)
    for name, off in (("openvino-fp32", 1e-5), ("onnx-int8", 0.1)):
        opened = open_bundle(bundle.folder, engine=name)
        found = opened.embed(TEXTS)
        assert opened.engine == name and found.dtype == np.float32 and np.abs(found - expected).max() < off
        assert np.abs(np.concatenate([opened.embed([text]) for text in TEXTS]) - found).max() < 1e-5
        assert opened.embed([]).shape == (0, 32)


def test_it_gives_no_labels_and_says_so(bundle: Bundle) -> None:
    opened = open_bundle(bundle.folder, engine="openvino-fp32")
    opened.warm()
    with pytest.raises(UserError, match="task embed, which gives no labels of texts") as told:
        opened.predict(["great"])
    assert told.value.hint == f'Use it with: seedbed predict {bundle.folder} "..."'
    with pytest.raises(DataError, match="takes a list"):
        opened.embed("great")
    with pytest.raises(UserError, match="--page is for models that give labels"):
        export(bundle.folder, ExportConfig(to=("onnx",), edge=Path("nowhere"), page=True))


def _written(**changes: object) -> Callable[[Path], None]:
    """As a model that pools or scales in another way is written."""
    def spoil(folder: Path) -> None:
        from seedbed.engines.embedder import Embedder

        model = Embedder.load(folder.parent / "model", exactly=True)
        for name, value in changes.items():
            setattr(model.backbone, name, value)
        TARGETS.get("openvino").write(model, folder, "fp32")
    return spoil


def _unmask(folder: Path) -> None:
    """As if the exporter had taken the mask for a constant."""
    import openvino
    from openvino import opset13

    model = openvino.Core().read_model(folder / "model.xml")
    mask = next(one for one in model.inputs if "mask" in one.names)
    ones = opset13.broadcast(opset13.constant(np.array(1, np.int64)), opset13.shape_of(mask))
    for place in list(mask.get_target_inputs()):
        if place.get_node().get_type_name() != "ShapeOf":
            place.replace_source_output(ones.output(0))
    openvino.save_model(model, folder / "fresh.xml", compress_to_fp16=False)
    for kind in ("xml", "bin"):
        (folder / f"fresh.{kind}").replace(folder / f"model.{kind}")


def _cased(folder: Path) -> None:
    values = json.loads((folder / TOKENIZER).read_text())
    values["normalizer"]["lowercase"] = False
    (folder / TOKENIZER).write_text(json.dumps(values))


@pytest.mark.parametrize(("spoil", "first"), [
    (_written(pooling="cls"), "cosine, texts short"), (_written(normalized=False), "length of a vector, off by"),
    (_unmask, "cosine, padded texts"), (_cased, "texts with other tokens")],
    ids=["other pooling", "not normalized", "mask pruned", "no lowercasing"])
def test_a_broken_artefact_is_told(bundle: Bundle, tmp_path: Path, spoil: Callable[[Path], None], first: str) -> None:
    part = Path(shutil.copytree(bundle.folder / "openvino-fp32", tmp_path / "part"))
    shutil.copytree(bundle.folder / "model", tmp_path / "model")
    spoil(part)
    source = Source(bundle, None)
    assert prove(source, part, "fp32", timed=False).failed[0].name == first
    for precision in ("bf16", "int8"):  # wider limits find it too
        assert prove(source, part, precision, timed=False).failed


def test_one_that_fails_is_not_added(bundle: Bundle, tmp_path: Path) -> None:
    """A target that writes a good artefact, and cuts it."""
    class Cutting:
        name, precisions, packages = "openvino", ("fp32",), ()

        def write(self, model: object, folder: Path, precision: str) -> None:
            shutil.copytree(bundle.folder / "openvino-fp32", folder, dirs_exist_ok=True)
            os.truncate(folder / "model.bin", size)

    folder = Path(shutil.copytree(bundle.folder, tmp_path / "bundle"))
    before, source = (folder / "bundle.json").read_bytes(), Source(open_bundle(folder, engine="reference"), None)
    size = 5000
    with pytest.raises(QualityFloor, match="cannot be opened") as told:
        add(source, Cutting(), "bf16", {})  # type: ignore[arg-type]
    assert told.value.exit_code == 3 and (folder / "bundle.json").read_bytes() == before
    size = (bundle.folder / "openvino-fp32" / "model.bin").stat().st_size
    add(source, Cutting(), "bf16", {})  # type: ignore[arg-type]
    assert [one.name for one in Manifest.open(folder).engines] == [
        "reference", "openvino-fp32", "onnx-int8", "openvino-bf16"]


def test_one_that_answers_otherwise_here_is_passed_over(bundle: Bundle, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bundle.folder, tmp_path / "bundle"))
    _written(pooling="cls")(folder / "openvino-fp32")
    manifest = Manifest.open(folder)
    engines = [one if one.name == "reference" else one.model_copy(update={"files": files_of(folder, one.name)})
               for one in manifest.engines]
    manifest.model_copy(update={"engines": engines}).write(folder)
    with pytest.raises(QualityFloor, match=r"a cosine is -?0\.\d+ where 1 is the least"):
        open_bundle(folder, engine="openvino-fp32").embed(TEXTS)


def test_a_device_folder_embeds_alone(bundle: Bundle, tmp_path: Path) -> None:
    from seedbed.export import edge

    written = edge.write(bundle, bundle.manifest.engines[1], tmp_path / "device")
    assert 20e6 < written.peak_memory < 512 << 20
    text = (tmp_path / "device" / "embed.py").read_text()
    assert len(text.splitlines()) < 50 and text.count("def open_") == 1 and "def classify" not in text
    texts = ["great lovely box", "broken", "", "naïve 好"]
    done = subprocess.run([sys.executable, "-c", CODE, str(tmp_path / "device" / "embed.py"), *texts],
                          capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = np.array([json.loads(line) for line in done.stdout.splitlines()])
    assert np.allclose(said, open_bundle(bundle.folder, engine="openvino-fp32").embed(texts), atol=1e-5)


def _searched(n: int, wrong: int) -> tuple[np.ndarray, np.ndarray, Search]:
    """Vectors of questions each of which stands on its document, and others of which some stand on the next one's."""
    documents = np.eye(n, dtype=np.float32)
    asked = documents.copy()
    asked[:wrong] = np.roll(documents, 1, axis=0)[:wrong]
    return np.concatenate([documents, documents]), np.concatenate([asked, documents]), Search(
        [[i] for i in range(n)], list(range(n)))


def test_what_questions_no_longer_find_is_bounded() -> None:
    truth, mine, asked = _searched(200, 2)
    checks, loss = Vectors().compare(mine, Held([], asked, 0.05, 0.95, truth), "int8")
    assert (loss.n, loss.before, len(loss.moved)) == (200, 1.0, 2)
    assert loss.before - loss.after == pytest.approx(sum(loss.moved) / 200)
    assert checks[0].found == 0.99 and checks[0].passed
    assert checks[1].name == "loss of nDCG@10, at 95%" and 0.01 < checks[1].found < 0.05 and checks[1].passed
    assert loss.at(0.95) == pytest.approx(loss.bound) and loss.at(0.5) < loss.bound
    assert loss.scores["recall_at_1"][1].value == pytest.approx(0.99)
    worse = Vectors().compare(_searched(200, 60)[1], Held([], asked, 0.05, 0.95, truth), "int8")
    assert not worse[0][1].passed and worse[1].bound > 0.1


def test_questions_of_one_document_count_once() -> None:
    truth, mine, asked = _searched(40, 4)
    paired = Search(asked.right, [i // 2 for i in range(40)])
    alone, together = (Vectors().compare(mine, Held([], one, 0.05, 0.95, truth), "int8")[1]
                       for one in (asked, paired))
    assert (alone.n, together.n) == (40, 20) and together.bound > alone.bound
    assert together.after == pytest.approx(alone.after)


def test_a_vector_without_length_never_passes() -> None:
    yard = Vectors()
    assert not yard.fits(yard.worst([1.0, yard.apart(np.zeros(3), unit(np.ones(3)))]), 0.0)


@pytest.mark.slow
def test_the_first_token_in_both_runtimes(tmp_path: Path) -> None:
    """What fp32 is off by are last digits."""
    made(tmp_path / "bundle", pooling="cls")
    done = export(tmp_path / "bundle", ExportConfig(to=("openvino:fp32", "onnx:fp32")))
    for entry in done.added:
        assert entry.certificate is not None and (entry.certificate.figure("cosine, texts") or 0) > 1 - 1e-6


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("form", ["litert:fp32", "executorch:fp32"])
def test_phones_have_it_too(form: str, tmp_path: Path) -> None:
    pytest.importorskip("litert_torch" if "litert" in form else "executorch",
                        reason="not installed: docs/export.md has the install line")
    made(tmp_path / "bundle")
    assert export(tmp_path / "bundle", ExportConfig(to=(form,))).added[0].certificate
    told("embed", "bert", form, "works")
