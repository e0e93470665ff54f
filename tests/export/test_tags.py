"""Models that mark entities as files of other runtimes: proven by their tags, and by what is marked."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
from matrix_page import told
from sample_tagger import TASK, made, spans

from seedbed.data.marks import Span
from seedbed.engines.base import KIND_FILE
from seedbed.engines.tagger import Tagger
from seedbed.errors import UserError
from seedbed.export.artefact import Source, prove
from seedbed.export.bundle import Bundle, open_bundle
from seedbed.export.certificate import Held
from seedbed.export.probes import KINDS, Probes
from seedbed.export.tags import Marked, Tags
from seedbed.export.targets import TARGETS
from seedbed.export.verify import verify
from seedbed.workflow.exporting import ExportConfig, export

TEXTS = [*tiny.TEXTS, *tiny.sentences(30, 9)[0], "the box was great and slow " * 12]
"""Among them longer ones than a window."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """With `openvino-fp32` and `onnx-int8`; tests only read it."""
    for name in ("openvino", "onnxruntime", "onnxscript"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install 'seedbed[openvino,onnx]'")
    folder = tmp_path_factory.mktemp("tags") / "bundle"
    made(folder)
    export(folder, ExportConfig(to=("openvino:fp32", "onnx")))
    return open_bundle(folder, verify=True)


def test_artefacts_are_in_the_manifest_with_their_proof(bundle: Bundle) -> None:
    reference, exact, small = bundle.manifest.engines
    assert [one.name for one in bundle.manifest.engines] == ["reference", "openvino-fp32", "onnx-int8"]
    for one, most in ((exact, 1e-5), (small, 0.1)):
        certificate = one.certificate
        assert one.made_from == reference.digest
        assert certificate is not None and certificate.passed and certificate.loss is None and certificate.faster > 0
        assert 0 <= (certificate.figure("probability of a tag") or 0) < most
        alone = one is small  # it answers each text in a pass of its own
        assert [check.name for check in certificate.checks] == [
            "texts with other tokens", *[f"probability of a tag, texts {kind}" for kind in KINDS],
            *([] if alone else ["probability of a tag, padded texts", "answers that the mask changes"]),
            "off by, of the distance between tokens", "divergence, nats a token", "tokens with another tag, share"]
    probes = Probes.open(bundle.folder / "probes.json")
    assert [one.shape for one in probes.answers] == [(len(row), 5) for row in probes.tokens]
    assert not verify(bundle.folder).failed
    assert [len(one.checks) for one in verify(bundle.folder).engines] == [1, 10, 8]


def test_every_engine_marks_what_the_reference_marks(bundle: Bundle) -> None:
    expected = Tagger.load(bundle.folder / "model").tag(TEXTS)
    assert sum(map(len, expected)) > 60 and {one.label for row in expected for one in row} == {"GOOD", "BAD"}
    assert open_bundle(bundle.folder, engine="reference").tag(TEXTS) == expected
    for name, off in (("openvino-fp32", 1e-4), ("onnx-int8", 0.2)):
        opened = open_bundle(bundle.folder, engine=name)
        opened.warm()
        found = opened.tag(TEXTS)
        same = [{(one.label, one.start, one.end) for one in row} for row in found]
        due = [{(one.label, one.start, one.end) for one in row} for row in expected]
        hits = sum(len(one & other) for one, other in zip(same, due, strict=True))
        assert opened.engine == name and hits >= (1 if off < 0.1 else 0.9) * sum(map(len, due))
        for row, other in zip(found, expected, strict=True):
            for one, two in zip(row, other, strict=False):
                assert (one.start, one.end) != (two.start, two.end) or abs(one.confidence - two.confidence) < off
        assert opened.tag([]) == [] and opened.tag([""]) == [[]]
    with pytest.raises(UserError, match="task entities, which gives no labels of texts"):
        opened.predict(["great"])
    with pytest.raises(UserError, match="no runner of models that mark"):
        export(bundle.folder, ExportConfig(to=("onnx",), edge=Path("nowhere")))


def _written(change: Callable[[object], None]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        model, said = Tagger.load(folder.parent / "model", exactly=True), (folder / KIND_FILE).read_text()
        change(model)
        TARGETS.get("openvino").write(model, folder, "fp32")
        (folder / KIND_FILE).write_text(said)
    return spoil


def _swap(model: object) -> None:
    """The labels change places."""
    order = [0, 3, 4, 1, 2]
    model.weight, model.bias = model.weight[order], model.bias[order]  # type: ignore[attr-defined]


def _causal(model: object) -> None:
    """The mask is left out."""
    model.backbone.causal = True  # type: ignore[attr-defined]


@pytest.mark.parametrize(("change", "first"), [
    (_swap, "probability of a tag, texts short"), (_causal, "probability of a tag, padded texts")],
    ids=["labels swapped", "mask pruned"])
def test_a_broken_artefact_is_told(bundle: Bundle, tmp_path: Path, change: Callable[[object], None],
                                   first: str) -> None:
    part = Path(shutil.copytree(bundle.folder / "openvino-fp32", tmp_path / "part"))
    shutil.copytree(bundle.folder / "model", tmp_path / "model")
    _written(change)(part)
    source = Source(bundle, None)
    assert prove(source, part, "fp32", timed=False).failed[0].name == first
    for precision in ("bf16", "int8"):  # wider limits find it too
        assert prove(source, part, precision, timed=False).failed


def test_what_is_no_longer_marked_is_bounded(bundle: Bundle) -> None:
    texts = tiny.sentences(120, 7)[0]
    held = Held(texts, Marked([spans(text) for text in texts], list(range(120))), 0.05, 0.95)
    certificate = prove(Source(bundle, held), bundle.folder / "openvino-fp32", "fp32", timed=False)
    loss = certificate.loss
    assert certificate.passed and loss is not None and (loss.n, loss.what, loss.moved) == (120, "F1 of a row", [])
    assert loss.before == loss.after > 0.2 and loss.bound == pytest.approx(1 - 0.05 ** (1 / 120))
    assert set(loss.scores) == {"micro_f1", "precision", "recall"} and loss.scores["recall"][0].value > 0.2


def test_a_row_is_lost_where_its_entities_are() -> None:
    text, offsets = "great box slow", [(0, 5), (6, 9), (10, 14)]
    sure = {"O": [9, 0, 0, 0, 0], "BAD": [0, 9, 0, 0, 0], "GOOD": [0, 0, 0, 9, 0]}

    def said(*tags: str) -> tuple[np.ndarray, list[tuple[int, int]]]:
        scores = np.array([sure[tag] for tag in tags], np.float64)
        return scores - np.log(np.exp(scores).sum(1, keepdims=True)), offsets
    truth = [Span(0, 5, "GOOD"), Span(10, 14, "BAD")]
    whole, half = said("GOOD", "O", "BAD"), said("GOOD", "O", "O")
    held = Held([text] * 4, Marked([truth] * 4, range(4)), 0.05, 0.95, [whole] * 4)
    checks, loss = Tags(TASK).compare([whole, half, whole, whole], held, "int8")
    assert (loss.before, loss.after) == (1.0, pytest.approx((3 + 2 / 3) / 4))
    assert loss.moved == [pytest.approx(1 / 3)] and checks[1].found == pytest.approx(loss.after)
    assert loss.scores["micro_f1"][1].value == pytest.approx(14 / 15) and checks[-1].name.startswith("loss of F1")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("form", ["litert:fp32", "executorch:fp32"])
def test_phones_have_it_too(form: str, tmp_path: Path) -> None:
    pytest.importorskip("litert_torch" if "litert" in form else "executorch",
                        reason="not installed: docs/export.md has the install line")
    made(tmp_path / "bundle")
    assert export(tmp_path / "bundle", ExportConfig(to=(form,))).added[0].certificate
    found, due = (open_bundle(tmp_path / "bundle", engine=one).tag(TEXTS)
                  for one in (form.replace(":", "-"), "reference"))
    assert list(map(len, found)) == list(map(len, due))
    told("entities", "bert", form, "works")
