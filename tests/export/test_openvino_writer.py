"""OpenVINO for models that write: runtime, tokenizer and GenAI answer as the model does, and broken exports show."""

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
from sample_writer import FACTS, at_4_bits, made, prove, tuned, uneven, write, writes_the_likeliest

from seedbed.errors import CorruptFile, UserError
from seedbed.export.certificate import Certificate
from seedbed.export.targets.openvino_writer import OpenVinoWriterTarget
from seedbed.export.writer_reference import Reference, logs
from seedbed.models.template import Row

pytest.importorskip("openvino_genai", reason="OpenVINO needs seedbed[openvino]")
pytest.importorskip("openvino_tokenizers", reason="OpenVINO needs seedbed[openvino]")

FILES = {"openvino_model.xml", "openvino_model.bin", "openvino_tokenizer.xml", "openvino_tokenizer.bin",
         "openvino_detokenizer.xml", "openvino_detokenizer.bin", "config.json", "generation_config.json",
         "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}


def exported(model: Path, folder: Path, precision: str = "int8") -> Path:
    return write(OpenVinoWriterTarget(), model, folder, precision)


def proven(folder: Path, model: Path, precision: str = "int8") -> Certificate:
    return prove(OpenVinoWriterTarget(), folder, model, precision)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def small(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same at 8 bits."""
    return exported(llama, tmp_path_factory.mktemp("openvino") / "int8")


def test_runtime_tokenizer_and_genai_answer_as_the_model(llama: Path, small: Path) -> None:
    assert {path.name for path in small.iterdir()} == FILES
    assert not list(small.glob("*.py")) and (small / "openvino_model.bin").stat().st_size < 60_000  # a quarter
    found = proven(small, llama)
    assert not found.failed, [one.told for one in found.failed]
    assert [one.name for one in found.checks] == [
        "prompts with other tokens", "texts with other tokens", "ends at which it does not stop",
        "divergence, short text", "divergence, medium text", "divergence, long text", "same next word",
        "divergence of single steps", "likelier words than those written, nats"]
    assert 1e-6 < (found.figure("divergence, long text") or 0) < 0.005
    assert found.pace and found.pace.reads > 0 and found.faster > 0


def test_it_writes_the_likeliest_words_and_stops(llama: Path, small: Path) -> None:
    writes_the_likeliest(OpenVinoWriterTarget(), small, llama)


def test_what_was_read_is_not_read_again_and_another_text_begins_anew(llama: Path, small: Path) -> None:
    with OpenVinoWriterTarget().opened(small, llama) as form:
        one = form.runtime
        whole = one.logits([5, 6, 7, 8], 4)
        assert np.allclose(one.logits([5, 6, 7, 8, 9], 1)[0], _anew(one, [5, 6, 7, 8, 9]), atol=6e-2)
        assert np.allclose(one.logits([5, 6, 7, 8], 4), whole, atol=6e-2)
        assert not np.allclose(one.logits([9, 6, 7, 8], 4), whole, atol=6e-2)


def test_a_prompt_is_scored_after_the_tokens_that_are_asked_for(llama: Path, small: Path) -> None:
    """In passes of 512, of which 256 are scored; the head is asked for no more."""
    ids = [10 + at % 200 for at in range(900)]
    with OpenVinoWriterTarget().opened(small, llama) as form:
        one: Any = form.runtime
        said = one.logits(ids, 600)  # passes of 512, 256 and 132 tokens
        assert said.shape[0] == 600 and one._request.get_tensor("logits").shape[1] == 132
        one.forget()
        assert np.allclose(one.logits(ids, 3), said[-3:], atol=6e-2)
        assert one._request.get_tensor("logits").shape[1] == 3


def _anew(runtime: Any, ids: list[int]) -> Any:
    runtime.forget()
    return runtime.logits(ids)[0]


def test_the_base_in_place_of_the_tuned_model_is_found_out(small: Path, tmp_path: Path) -> None:
    names = [one.name for one in proven(small, made(tmp_path / "tuned", change=tuned)).failed]
    assert {"divergence, short text", "divergence, long text"} <= set(names)


def test_a_missing_end_and_another_template_are_found_out(llama: Path, small: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small, tmp_path / "copy"))
    file = folder / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"eos_token_id": 0}))
    assert [one.name for one in proven(folder, llama).failed] == ["ends at which it does not stop"]

    def other(model: Any, tokenizer: Any) -> None:
        tokenizer.chat_template = tokenizer.chat_template.replace("Be kind.", "Be brief.")
    assert [one.name for one in proven(small, made(tmp_path / "other", change=other)).failed] == [
        "prompts with other tokens"]


def test_a_cache_that_forgets_is_found_out(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an export whose length was fixed by its sample: one text at once is right, step by step it is wrong."""
    from seedbed.export.targets import stateful

    right = stateful.Decoder.forward

    def forgets(self: Any, *given: Any) -> Any:
        logits, *kept = right(self, *given)
        return logits, *(one * 0.5 for one in kept)
    monkeypatch.setattr(stateful.Decoder, "forward", forgets)
    names = [one.name for one in proven(exported(llama, tmp_path / "out"), llama).failed]
    assert names[0] == "divergence of single steps"


def test_a_cut_file_is_not_opened(small: Path, llama: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small, tmp_path / "copy"))
    os.truncate(folder / "openvino_model.bin", 20_000)
    with pytest.raises(CorruptFile, match="OpenVINO cannot open"):
        proven(folder, llama)


def test_openvino_tells_nobody_what_it_runs() -> None:
    code = "import sys, seedbed.engines.genai; assert sys.modules['openvino_telemetry'] is None; import openvino"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("family", "told"), [
    ("bloom", "family bloom that write are not exported to OpenVINO GenAI here"),
    ("gemma2", "family gemma2 that write are not")])
def test_what_would_come_out_wrong_is_refused(family: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        OpenVinoWriterTarget().refuse(tiny.model(family), "int8")


def test_a_model_that_looks_ahead_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="looks ahead"):
        OpenVinoWriterTarget().refuse(made(tmp_path / "model", "gemma3", use_bidirectional_attention=True), "int8")


@pytest.mark.parametrize(("family", "more"), [
    ("gemma3", {}), pytest.param("mistral", {"head_dim": 16}, marks=pytest.mark.slow),
    pytest.param("phi3", {}, marks=pytest.mark.slow),
    pytest.param("qwen2", {"use_sliding_window": True, "num_attention_heads": 2, "num_key_value_heads": 1,
                           "layer_types": ["full_attention", "sliding_attention"] * 2}, marks=pytest.mark.slow)])
def test_a_window_is_kept_by_genai(family: str, more: dict[str, Any], tmp_path: Path) -> None:
    """Its paged attention keeps of a mask only a window that it knows by its form."""
    model = made(tmp_path / "model", family, sliding_window=32, max_position_embeddings=512, **more)
    found = proven(exported(model, tmp_path / "out"), model)
    assert not found.failed, [one.told for one in found.failed]
    assert found.checks[-1].name == "layers with another window" and found.checks[-1].n == 4


def test_a_window_that_genai_does_not_know_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same mask in another form: the plain runtime answers right, and GenAI sees all of a text."""
    import torch

    from seedbed.export.targets import stateful

    def plain(self: Any, ids: Any, real: Any, window: int | None) -> Any:
        whole = torch.arange(real.shape[1])
        apart = whole[real.shape[1] - ids.shape[1]:][:, None] - whole[None, :]
        seen = (apart >= 0) & (apart < (window or 1 << 30))
        return torch.where(seen[None, None] & (real > 0)[:, None, None, :], 0.0, stateful.HIDDEN)
    monkeypatch.setattr(stateful.Decoder, "_mask", plain)
    model = made(tmp_path / "model", "gemma3", sliding_window=32, max_position_embeddings=512)
    found = proven(exported(model, tmp_path / "out"), model)
    assert {one.name: one.found for one in found.failed}["layers with another window"] == 2
    assert not [one for one in found.failed if one.name.startswith("divergence")]


@pytest.mark.slow
@pytest.mark.parametrize(("family", "more"), [
    ("qwen2", {}), ("mistral", {"sliding_window": None}), ("phi3", {}), ("llama", {"tie_word_embeddings": False}),
    ("llama", {"rope_parameters": {"rope_type": "llama3", "rope_theta": 10_000.0, "factor": 8.0,
                                   "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                   "original_max_position_embeddings": 32}})])
def test_other_families_and_other_positions(tmp_path: Path, family: str, more: dict[str, Any]) -> None:
    model = made(tmp_path / "model", family, **more)
    found = proven(exported(model, tmp_path / "out"), model)
    assert not found.failed, [one.told for one in found.failed]


@pytest.mark.slow
def test_weights_that_4_bits_hold_stay_as_they_are(tmp_path: Path) -> None:
    model = made(tmp_path / "model", change=at_4_bits)
    ids = np.random.default_rng(0).integers(3, 200, 60).tolist()
    reference, folder = Reference.open(model, learned=[Row(ids, [True] * 60)]), tmp_path / "out"
    folder.mkdir()
    OpenVinoWriterTarget().write(model, folder, "int4", FACTS, reference)  # and no scale is fitted to rows
    found = proven(folder, model, "int4")
    assert not found.failed, [one.told for one in found.failed]
    eight = proven(exported(model, tmp_path / "eight"), model)  # which rounds the words' table alike
    assert (found.figure("divergence, long text") or 1) < 1.5 * (eight.figure("divergence, long text") or 0)


@pytest.mark.slow
def test_four_bits_are_nearer_where_rows_show_what_matters(tmp_path: Path) -> None:
    llama = made(tmp_path / "model", change=uneven)
    texts = np.random.default_rng(0).integers(3, 200, (16, 60)).tolist()
    reference = Reference.open(llama, learned=[Row(ids, [True] * 60) for ids in texts[:8]])
    seen = tmp_path / "seen"
    seen.mkdir()
    OpenVinoWriterTarget().write(llama, seen, "int4", FACTS, reference)
    plain = exported(llama, tmp_path / "plain", "int4")

    def off(folder: Path) -> float:
        """Divergence in nats on rows of their kind that it has not seen."""
        total = 0.0
        with OpenVinoWriterTarget().opened(folder, llama) as form:
            for ids in texts[8:]:
                p, q = logs(reference.logits(ids, 60)), logs(form.runtime.logits(ids, 60))
                total += float((np.exp(p) * (p - q)).sum(-1).mean())
        return total
    assert off(seen) < 0.9 * off(plain)
    assert (seen / "openvino_model.bin").stat().st_size < 1.1 * (plain / "openvino_model.bin").stat().st_size


@pytest.mark.slow
def test_four_bits_are_further_off_than_eight(llama: Path, small: Path, tmp_path: Path) -> None:
    near, far = (proven(folder, llama, "int4").figure("divergence, long text") or 0
                 for folder in (small, exported(llama, tmp_path / "int4", "int4")))
    assert near * 5 < far < 1
