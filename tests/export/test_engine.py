"""Which form of the model answers."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import tiny

from seedbed.errors import MissingExtra, QualityFloor, UserError
from seedbed.export.bundle import Bundle, open_bundle
from seedbed.export.manifest import BundleFile, Manifest
from seedbed.export.probes import Probes
from seedbed.progress import Silent

TEXTS = tiny.sentences(6, 4)[0]


class Told(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def ranked(openvino_bundle: Bundle, tmp_path: Path) -> Path:
    """A bundle whose int8 artefact was twice, and whose fp32 artefact half as fast as the reference."""
    folder = Path(shutil.copytree(openvino_bundle.folder, tmp_path / "bundle"))
    manifest = Manifest.open(folder)
    engines = [manifest.reference]
    for entry, rate in zip(manifest.engines[1:], (50.0, 200.0), strict=True):
        assert entry.certificate and entry.certificate.speed
        speeds = {name: entry.certificate.speed.model_copy(update={"texts_per_second": value})
                  for name, value in (("speed", rate), ("reference_speed", 100.0))}
        engines.append(entry.model_copy(update={"certificate": entry.certificate.model_copy(update=speeds)}))
    manifest.model_copy(update={"engines": engines}).write(folder)
    return folder


def test_the_fastest_that_is_proven_answers(ranked: Path) -> None:
    told = Told()
    bundle = open_bundle(ranked, progress=told)
    assert (bundle.engine, bundle.classifier.kind) == ("openvino-int8", "openvino")
    assert told.notes == ["openvino-int8 answers."]
    assert open_bundle(ranked, engine="reference").classifier.kind == "transformer"
    labels = [one.label for one in open_bundle(ranked, engine="reference").predict(TEXTS)]
    assert [one.label for one in bundle.predict(TEXTS)] == labels


def test_one_that_answers_otherwise_here_is_passed_over(ranked: Path) -> None:
    """The stored answers are changed, which is what another processor's wrong products look like."""
    manifest = Manifest.open(ranked)
    assert manifest.probes
    probes = Probes.open(ranked / manifest.probes.path)
    wrong = probes.model_copy(update={"logits": [[row[1], row[0]] for row in probes.logits]})
    wrong.write(ranked / manifest.probes.path)
    stored = BundleFile.of(ranked / manifest.probes.path, ranked)
    manifest.model_copy(update={"probes": stored}).write(ranked)
    told = Told()
    bundle = open_bundle(ranked, progress=told)
    assert bundle.engine == "reference"
    assert len(told.notes) == 1  # the other artefact is slower than the reference and is not tried
    assert told.notes[0].startswith("openvino-int8 is passed over: openvino-int8 answers otherwise on this machine")
    with pytest.raises(QualityFloor, match=r"where 0\.15 is allowed"):
        open_bundle(ranked, engine="openvino-int8").warm()


def test_a_runtime_that_is_missing_is_passed_over_and_said(ranked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    told = Told()
    assert open_bundle(ranked, progress=told).engine == "reference"
    assert "pip install 'seedbed[openvino]'" in told.notes[0]
    with pytest.raises(MissingExtra):
        open_bundle(ranked, engine="openvino-int8").warm()


def test_a_name_that_is_not_there(ranked: Path) -> None:
    with pytest.raises(UserError, match="holds no engine 'gguf'") as told:
        open_bundle(ranked, engine="gguf")
    assert told.value.hint.startswith("Known: auto, reference, openvino-fp32, openvino-int8.")
