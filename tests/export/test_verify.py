from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sample_bundle import make

from seedbed.cli import main
from seedbed.export.bundle import Bundle, open_bundle
from seedbed.export.manifest import BundleFile, Manifest
from seedbed.export.verify import verify


@pytest.fixture
def copied(openvino_bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(openvino_bundle.folder, tmp_path / "elsewhere"))


def rehash(folder: Path, name: str) -> None:
    """As someone would who changes an artefact and its hash as well."""
    manifest = Manifest.open(folder)
    engines = [one if one.name != name else one.model_copy(update={
        "files": [BundleFile.of(folder / file.path, folder) for file in one.files]}) for one in manifest.engines]
    manifest.model_copy(update={"engines": engines}).write(folder)


def test_a_copied_bundle_proves_itself(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = verify(copied)
    assert not found.failed
    assert [(one.name, len(one.checks)) for one in found.engines] == [
        ("reference", 1), ("openvino-fp32", 8), ("openvino-int8", 8)]
    reference, *others = found.engines
    assert {one.made_from for one in others} == {reference.digest}
    assert main(["verify", str(copied), "--quiet"]) == 0
    told = capsys.readouterr().out
    assert f"openvino-int8 {others[1].digest[:12]}, made from {reference.digest[:12]}, 4 files: as certified" in told
    assert told.count("yes\n") == 17
    assert main(["verify", str(copied), "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["engines"][2]["checks"] == [
        check.model_dump() for check in others[1].checks]


@pytest.mark.parametrize("name", ["model/head.safetensors", "openvino-int8/model.bin", "probes.json"])
def test_a_changed_byte_is_found(copied: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    content = bytearray((copied / name).read_bytes())
    content[-3] ^= 1
    (copied / name).write_bytes(content)
    found = verify(copied)
    assert f"{name} was changed" in found.failed
    assert main(["verify", str(copied), "--quiet"]) == 3
    assert f"{name} was changed" in capsys.readouterr().err


def test_an_artefact_changed_together_with_its_hash_is_found_by_its_answers(copied: Path) -> None:
    values = json.loads((copied / "openvino-fp32" / "tokenizer.json").read_text())
    values["normalizer"]["lowercase"] = False
    (copied / "openvino-fp32" / "tokenizer.json").write_text(json.dumps(values))
    rehash(copied, "openvino-fp32")
    open_bundle(copied, verify=True)  # the hashes fit
    assert verify(copied).failed.startswith("openvino-fp32: texts with other tokens: ")


def test_a_reference_changed_together_with_its_hash_is_found(copied: Path) -> None:
    from safetensors.numpy import load_file, save_file

    head = load_file(copied / "model" / "head.safetensors")
    save_file({**head, "weight": head["weight"][::-1].copy()}, copied / "model" / "head.safetensors")
    rehash(copied, "reference")
    found = verify(copied)
    assert found.engines[0].failed.startswith("probability, all texts: ")
    assert found.engines[1].failed == "it was made from another model than the one in bundle.json"


def test_what_is_not_installed_is_said_and_is_no_fault(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "openvino", None)  # what Python makes of a package that is not there
    found = verify(copied)
    assert not found.failed
    assert [one.note for one in found.engines] == [
        "", *["not run here. Install it with: pip install 'seedbed[openvino]'"] * 2]


def test_a_bundle_without_artefacts_is_checked_by_its_hashes(tmp_path: Path) -> None:
    make(tmp_path / "bundle")
    found = verify(tmp_path / "bundle")
    assert (found.failed, found.engines[0].note) == ("", "no stored answers: nothing was exported yet")
