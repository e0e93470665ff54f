"""ONNX for models that write: ONNX Runtime GenAI answers as the model does, and broken exports show."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from sample_writer import made, prove, tuned, write, writes_the_likeliest

from seedbed.errors import CorruptFile, UserError
from seedbed.export.certificate import Certificate
from seedbed.export.targets.onnx_writer import OnnxWriterTarget

pytest.importorskip("onnxruntime_genai", reason="ONNX Runtime GenAI is not installed: pip install 'seedbed[onnx]'")

FILES = {"model.onnx", "model.onnx.data", "genai_config.json", "seedbed.json", "tokenizer.json",
         "tokenizer_config.json", "chat_template.jinja"}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1}
"""Heads 16 wide: this runtime takes no narrower ones."""


def exported(model: Path, folder: Path, precision: str = "int8") -> Path:
    return write(OnnxWriterTarget(), model, folder, precision)


def proven(folder: Path, model: Path, precision: str = "int8") -> Certificate:
    return prove(OnnxWriterTarget(), folder, model, precision)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("qwen"), "qwen2", **HEADS)


@pytest.fixture(scope="module")
def small(qwen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same at 8 bits."""
    return exported(qwen, tmp_path_factory.mktemp("onnx") / "int8")


def test_runtime_and_tokenizer_answer_as_the_model(qwen: Path, small: Path) -> None:
    assert {path.name for path in small.iterdir()} == FILES
    assert json.loads((small / "seedbed.json").read_text())["data_hash"] == "abc"
    found = proven(small, qwen)
    assert not found.failed, [one.told for one in found.failed]
    assert [one.name for one in found.checks] == [
        "prompts with other tokens", "texts with other tokens", "ends at which it does not stop",
        "divergence, short text", "divergence, medium text", "divergence, long text", "same next word",
        "divergence of single steps", "likelier words than those written, nats"]
    assert 1e-6 < (found.figure("divergence, long text") or 0) < 0.005
    assert found.pace and found.pace.reads > 0 and found.faster > 0


def test_it_writes_the_likeliest_words_and_stops(qwen: Path, small: Path) -> None:
    writes_the_likeliest(OnnxWriterTarget(), small, qwen)


def test_a_longer_context_than_it_was_made_for_is_not_asked_of_it(qwen: Path, small: Path) -> None:
    writer: Any = OnnxWriterTarget().author(small, qwen)
    assert len(writer.runtime.logits([5] * 128)[0]) == len(writer.tokenizer)
    with OnnxWriterTarget().opened(small, qwen) as form:
        whole = form.runtime.logits([5, 6, 7, 8], 4)
        assert np.allclose(form.runtime.logits([5, 6, 9], 3)[:2], whole[:2], atol=6e-2)
        assert not np.allclose(form.runtime.logits([9, 6, 7, 8], 4), whole, atol=6e-2)


def test_the_base_in_place_of_the_tuned_model_is_found_out(small: Path, tmp_path: Path) -> None:
    other = made(tmp_path / "tuned", "qwen2", change=tuned, **HEADS)
    names = [one.name for one in proven(small, other).failed]
    assert {"divergence, short text", "divergence, long text"} <= set(names)


def test_a_missing_end_and_another_template_are_found_out(qwen: Path, small: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small, tmp_path / "copy"))
    file = folder / "genai_config.json"
    said = json.loads(file.read_text())
    said["model"]["eos_token_id"] = 0
    file.write_text(json.dumps(said))
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("Be kind.", "Be brief."))
    assert [one.name for one in proven(folder, qwen).failed] == [
        "prompts with other tokens", "ends at which it does not stop"]


def test_a_cut_file_is_not_opened(qwen: Path, small: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small, tmp_path / "copy"))
    os.truncate(folder / "model.onnx.data", 2_000)
    with pytest.raises(CorruptFile, match="ONNX Runtime cannot open"):
        proven(folder, qwen)


@pytest.mark.slow
def test_the_builder_says_what_it_cannot_express(qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Path(shutil.copytree(qwen, tmp_path / "broken"))
    (broken / "model.safetensors").unlink()
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        OnnxWriterTarget().write(broken, tmp_path / "out", "int8", {})


def test_it_tells_nobody_what_it_runs(qwen: Path, small: Path) -> None:
    """The runtime's own events are off before a model is opened."""
    code = ("import sys; import onnxruntime_genai as og; said = []; off = og.disable_telemetry_events\n"
            "og.disable_telemetry_events = lambda: (said.append('off'), off()); config = og.Config\n"
            "og.Config = lambda place: (said.append('open'), config(place))[1]\n"
            "from pathlib import Path; from seedbed.engines.onnx_genai import OnnxFile\n"
            "OnnxFile(Path(sys.argv[1]), 64); assert said == ['off', 'open'], said")
    subprocess.run([sys.executable, "-c", code, str(small)], check=True)


@pytest.mark.parametrize(("family", "told"), [
    ("bloom", "family bloom that write are not exported to ONNX Runtime GenAI here"),
    ("mistral", "looks back 8 tokens"), ("llama", "heads whose width is a multiple of 16, and this model's is 8")])
def test_what_would_come_out_wrong_is_refused(family: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        OnnxWriterTarget().refuse(tiny.model(family), "int8")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8", "int4"])
@pytest.mark.parametrize(("family", "more"), [
    ("qwen2", HEADS), ("mistral", {"sliding_window": None, "head_dim": 16}),
    ("llama", {"head_dim": 16, "tie_word_embeddings": False}),
    ("llama", {"head_dim": 16, "rope_parameters": {
        "rope_type": "llama3", "rope_theta": 10_000.0, "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 32}})])
def test_other_families_and_other_positions(tmp_path: Path, family: str, more: dict[str, Any],
                                            precision: str) -> None:
    model = made(tmp_path / "model", family, **more)
    found = proven(exported(model, tmp_path / "out", precision), model, precision)
    assert {one.name for one in found.failed} <= ({"same next word"} if precision == "int4" else set())
