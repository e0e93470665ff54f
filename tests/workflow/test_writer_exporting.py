"""`seedbed export` of a model that writes: from a run to files that are proven, and answers by them."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import pytest
from test_workflow_tune import CONFIG, QUICK, write

from seedbed.cli import main
from seedbed.engines.writer import Writer
from seedbed.errors import CorruptFile, MissingExtra, NotFound, QualityFloor, UserError
from seedbed.evaluate.costs import Pace
from seedbed.export import writer_certificate
from seedbed.export.manifest import Manifest
from seedbed.export.writer_engine import TRIAL, open_author
from seedbed.progress import SILENT, Silent
from seedbed.workflow import finetune
from seedbed.workflow.exporting import ExportConfig, export

pytest.importorskip("xllamacpp", reason="GGUF needs seedbed[gguf]")


@pytest.fixture
def run(tiny_ladder: Path, tmp_path: Path) -> Path:
    finetune(write(tmp_path / "asked.jsonl"), CONFIG, QUICK, out=tmp_path / "out")
    return tmp_path / "out"


def test_a_run_is_exported_proven_and_answers(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["export", str(run), "--to", "gguf:f16,gguf-q8_0", "--quiet"]) == 0
    told = capsys.readouterr().out
    assert "gguf-f16" in told and "gguf-q8_0" in told and "tokens/s" in told
    manifest = Manifest.open(run / "bundle")
    assert [one.name for one in manifest.engines] == ["reference", "gguf-f16", "gguf-q8_0"]
    exact = manifest.engines[1]
    assert exact.made_from == manifest.reference.digest and set(exact.tools) >= {"gguf", "xllamacpp"}
    assert {Path(one.path).name for one in exact.files} == {"model.gguf", "Modelfile", TRIAL}
    made = exact.certificate
    assert made and made.pace and made.reference_pace and made.pace.writes > 0
    rows = next(one for one in made.checks if one.name.startswith("rise of the loss"))
    assert rows.n == 12 and abs(rows.found) < 0.005  # the run's test rows

    said = {}
    for engine in ("reference", "gguf-f16"):
        assert main(["generate", str(run), "the box and the slow came 901", "--max-tokens", "12", "--engine", engine,
                     "--quiet"]) == 0
        said[engine] = capsys.readouterr().out
    assert said["reference"] == said["gguf-f16"] != "\n"
    assert main(["generate", str(run / "bundle"), "the box", "--max-tokens", "2"]) == 0
    assert " answers" in capsys.readouterr().err  # the fastest one is told, be it the reference
    assert main(["generate", str(run), "the box", "--engine", "gguf-q4_k_m"]) == 2
    assert "holds no engine 'gguf-q4_k_m'" in capsys.readouterr().err

    assert main(["verify", str(run / "bundle"), "--quiet"]) == 0
    told = capsys.readouterr().out
    assert "gguf-f16" in told and "the exported forms are held against it" in told

    with monkeypatch.context() as patch:  # a processor on which the runtime computes something else
        file = run / "bundle" / "gguf-f16" / TRIAL
        trial = json.loads(file.read_text())
        trial["logs"] = [[-3.4] * len(row) for row in trial["logs"]]
        size = file.stat().st_size
        file.write_text(json.dumps(trial).ljust(size)[:size])
        patch.setattr("seedbed.export.manifest.BundleFile.check", lambda *a, **k: None)
        with pytest.raises(QualityFloor, match="gguf-f16 answers otherwise on this machine than certified"):
            open_author(str(run), "gguf-f16", SILENT)
    with pytest.raises(CorruptFile, match=r"trial\.json has"):
        file.write_text("{}")
        open_author(str(run), "gguf-f16", SILENT)
    assert main(["verify", str(run / "bundle"), "--quiet"]) == 3
    assert "trial.json has 2 bytes" in capsys.readouterr().out


class Notes(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said = list[str]()

    def note(self, text: str) -> None:
        self.said.append(text)


def test_without_its_run_a_bundle_is_compared_on_texts_of_our_own(run: Path, tmp_path: Path,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    (run / "bundle").rename(tmp_path / "bundle")
    done = export(tmp_path / "bundle", ExportConfig(to=("gguf:f16",)))
    assert "not in its run folder" in done.note
    made = done.added[0].certificate
    assert made and not [one for one in made.checks if one.name.startswith("rise")]
    assert [path.name for path in sorted((tmp_path / "bundle").iterdir())] == [
        "README.md", "bundle.json", "gguf-f16", "model"]

    manifest = Manifest.open(tmp_path / "bundle")

    def timed(writes: float) -> None:
        """As if the form wrote so many tokens a second where it was exported, and the reference one."""
        told = {"pace": Pace(reads=1, writes=writes), "reference_pace": Pace(reads=1, writes=1)}
        entry = done.added[0].model_copy(update={"certificate": made.model_copy(update=told)})
        manifest.model_copy(update={"engines": [manifest.reference, entry]}).write(tmp_path / "bundle")
    timed(0.5)
    assert isinstance(open_author(str(tmp_path / "bundle"), "auto", SILENT)[0], Writer)  # nothing is faster
    assert not isinstance(open_author(str(tmp_path / "bundle"), "gguf-f16", SILENT)[0], Writer)
    timed(2)

    def missing() -> None:
        raise MissingExtra("Writing or running GGUF files", "gguf")
    monkeypatch.setattr("seedbed.engines.llama_library.library", missing)  # on a machine without the runtime
    notes = Notes()
    author, folder = open_author(str(tmp_path / "bundle"), "auto", notes)
    assert isinstance(author, Writer) and folder == tmp_path / "bundle" / "model"
    assert notes.said == ["gguf-f16 is passed over: Writing or running GGUF files needs an optional part that is not "
                          "installed. Install it with: pip install 'seedbed[gguf]'",
                          "reference answers: no form that can be used here was faster."]
    with pytest.raises(MissingExtra):
        open_author(str(tmp_path / "bundle"), "gguf-f16", notes)


def test_what_answers_otherwise_is_not_added(run: Path, monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(writer_certificate.LIMITS, "q8_0", writer_certificate.Limits(0.0, 1.0, -1.0, 0.0))
    assert main(["export", str(run), "--to", "gguf:q8_0,gguf:f16", "--quiet"]) == 3
    told = capsys.readouterr().err
    assert "gguf-q8_0 answers otherwise than the model it was made from. divergence, short text" in told
    assert "Added: gguf-f16." in told and "Take a higher precision: --to gguf:f16" in told
    assert [one.name for one in Manifest.open(run / "bundle").engines] == ["reference", "gguf-f16"]
    assert not (run / "bundle" / "gguf-q8_0").exists()


def test_a_folder_for_a_device_answers_without_seedbed(run: Path, tmp_path: Path,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    device = tmp_path / "device"
    assert main(["export", str(run), "--to", "gguf:f16", "--edge", str(device), "--quiet"]) == 0
    told = capsys.readouterr().out
    made = json.loads((device / "edge.json").read_text())
    assert f"{device}: gguf-f16 with a runner, {made['size'] / 1e6:.1f} MB; answering took " in told
    assert f"{made['peak_memory'] / 1e6:.0f} MB of memory at the peak" in told
    words = [sys.executable, "-S", "generate.py", "the box and the slow came 901", "--max-tokens", "6"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=device,
                          env={"PYTHONPATH": sysconfig.get_path("platlib")})
    assert done.returncode == 0, done.stderr
    assert main(["generate", str(run), "the box and the slow came 901", "--max-tokens", "6", "--engine", "gguf-f16",
                 "--quiet"]) == 0
    assert done.stdout == capsys.readouterr().out != "\n"

    with pytest.raises(UserError, match="device is there already"):
        export(run, ExportConfig(edge=device))
    with pytest.raises(UserError, match="--page is for models that give labels"):
        export(run, ExportConfig(edge=tmp_path / "other", page=True))


def test_base_and_adapter_apart(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run), "--to", "gguf_lora:f16", "--quiet"]) == 0
    assert "gguf_lora-f16" in capsys.readouterr().out
    entry = Manifest.open(run / "bundle").engines[1]
    assert {Path(one.path).name for one in entry.files} == {"base.gguf", "adapter.gguf", "Modelfile", TRIAL}
    proof = entry.certificate
    assert proof and (proof.figure("share of the adapter's change that is otherwise") or 0) < 0.01
    assert proof.rise and proof.figure("divergence without the adapter") is not None

    said = {}
    for engine in ("reference", "gguf_lora-f16"):
        assert main(["generate", str(run), "the box and the slow came 901", "--max-tokens", "12", "--engine", engine,
                     "--quiet"]) == 0
        said[engine] = capsys.readouterr().out
    assert said["reference"] == said["gguf_lora-f16"] != "\n"
    assert main(["verify", str(run), "--anew", "--quiet"]) == 0  # with the base and its adapter, as it was exported
    told = capsys.readouterr().out
    assert "gguf_lora-f16" in told and "byte by byte" in told
    export(run, ExportConfig(to=("gguf_lora:f16",), edge=tmp_path / "device"))
    code = tmp_path / "device" / "generate.py"
    alone = [sys.executable, code, "the box and the slow came 901", "--max-tokens", "12"]
    assert subprocess.run(alone, capture_output=True, text=True).stdout == said["reference"]
    assert not (tmp_path / "device" / "generate.mjs").exists()

    with pytest.raises(UserError, match="The adapter that this model was made of is not here: the trained adapter: "):
        (run / "adapter" / "adapter_model.safetensors").write_bytes(b"another")
        export(run, ExportConfig(to=("gguf_lora",)))
    (run / "bundle").rename(tmp_path / "bundle")
    with pytest.raises(UserError, match=r"The adapter that this model was made of is not here: .* is not there"):
        export(tmp_path / "bundle", ExportConfig(to=("gguf_lora",)))
    assert main(["verify", str(tmp_path / "bundle"), "--quiet"]) == 0
    assert "divergence after the adapter was off" in capsys.readouterr().out


def test_of_weights_at_4_bits_the_base_has_their_values(tiny_ladder: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="QLoRA needs seedbed[qlora]")
    finetune(write(tmp_path / "asked.jsonl"), replace(CONFIG, method="qlora"), QUICK, out=tmp_path / "out")
    done = export(tmp_path / "out", ExportConfig(to=("gguf_lora:f16",)))
    proof = done.added[0].certificate
    assert proof and not proof.failed and (proof.figure("divergence without the adapter") or 1) < 0.002


def test_what_has_no_adapter_is_not_written_apart(tiny_ladder: Path, tmp_path: Path) -> None:
    finetune(write(tmp_path / "asked.jsonl"), replace(CONFIG, method="full"), QUICK, out=tmp_path / "out")
    with pytest.raises(UserError, match="was not made of a base and an adapter") as found:
        export(tmp_path / "out", ExportConfig(to=("gguf_lora",)))
    assert "--to gguf" in found.value.hint
    assert len(Manifest.open(tmp_path / "out" / "bundle").engines) == 1


def test_what_is_wrong_is_told(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="gguf does not write the precision 'int8'"):
        export(run, ExportConfig(to=("gguf:int8",)))
    with pytest.raises(UserError, match="--floor is for models that give labels"):
        export(run, ExportConfig(floor=0.1))
    with monkeypatch.context() as patch, pytest.raises(MissingExtra) as told:
        patch.setattr("seedbed.export.targets.find_spec", lambda name: None)
        export(run, ExportConfig())
    assert told.value.hint == "Install it with: pip install 'seedbed[gguf]'"
    with pytest.raises(NotFound, match="is not a bundle"):
        export(tmp_path, ExportConfig())
    weights = run / "bundle" / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CorruptFile, match=r"model\.safetensors was changed"):
        export(run, ExportConfig())
