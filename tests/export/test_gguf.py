"""GGUF files of models that write: llama.cpp answers as the model does, and broken files are found out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from sample_writer import FACTS, TEMPLATE, made, pieces, prove, tuned, uneven, write

from seedbed.errors import CorruptFile, UserError
from seedbed.export import gguf_family, gguf_words
from seedbed.export.certificate import Certificate
from seedbed.export.targets.gguf import FILE, MODELFILE, GgufTarget
from seedbed.export.writer_certificate import certify
from seedbed.export.writer_reference import SAID, Reference
from seedbed.models.template import Row

pytest.importorskip("xllamacpp", reason="GGUF needs seedbed[gguf]")

def exported(model: Path, folder: Path, precision: str = "f16") -> Path:
    return write(GgufTarget(), model, folder, precision)


def proven(folder: Path, model: Path, precision: str = "f16") -> Certificate:
    return prove(GgufTarget(), folder, model, precision)


def failed(folder: Path, model: Path) -> list[str]:
    return [one.name for one in proven(folder, model).failed]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("llama"))


@pytest.mark.parametrize(("family", "more"), [
    ("llama", {}), ("llama", {"tie_word_embeddings": False, "head_dim": 16, "attention_bias": True}),
    ("llama", {"rope_parameters": {"rope_type": "llama3", "rope_theta": 10_000.0, "factor": 8.0,
                                   "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                   "original_max_position_embeddings": 32}}),
    ("llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 2.0}}),
    ("qwen2", {}), ("mistral", {"sliding_window": None})])
def test_llama_cpp_answers_as_the_model(tmp_path: Path, family: str, more: dict[str, Any]) -> None:
    model = made(tmp_path / "model", family, **more)
    found = proven(exported(model, tmp_path / "out"), model)
    assert not found.failed, [one.told for one in found.failed]
    assert [one.name for one in found.checks] == [
        "prompts with other tokens", "texts with other tokens", "ends at which it does not stop",
        "divergence, short text", "divergence, medium text", "divergence, long text", "same next word",
        "divergence of single steps"]
    assert 0 < (found.figure("divergence, long text") or 0) < 1e-4


@pytest.mark.parametrize(("precision", "kinds"), [("q8_0", {"Q8_0"}), ("q4_k_m", {"Q5_0", "Q8_0"})])
def test_quantized_by_llama_cpp(llama: Path, tmp_path: Path, precision: str, kinds: set[str]) -> None:
    """Rows of 32 are too short for the K types: llama.cpp's own substitutes stand in."""
    from gguf import GGUFReader

    folder = exported(llama, tmp_path / "out", precision)
    with GgufTarget().opened(folder, llama) as form:
        runtime = form.runtime
        reference = Reference.open(llama)
        ids = reference.texts()["medium"]
        p, q = (torch.from_numpy(one.logits(ids, len(ids))).log_softmax(-1) for one in (reference, runtime))
    assert 1e-6 < float((p.exp() * (p - q)).sum(-1).mean()) < 0.05
    read = GGUFReader(folder / FILE)
    assert {t.tensor_type.name for t in read.tensors if len(t.shape) > 1} == kinds
    said = {name: field.contents() for name, field in read.fields.items() if name.startswith(("general", "seedbed"))}
    assert said["general.license"] == "Apache-2.0" and said["seedbed.data_hash"] == "abc"


def test_k_quants_where_rows_are_long_enough(tmp_path: Path) -> None:
    from gguf import GGUFReader

    model = made(tmp_path / "model", hidden_size=256, intermediate_size=512, head_dim=64,
                 initializer_range=0.05)
    folder = exported(model, tmp_path / "out", "q4_k_m")
    kinds = {t.name: t.tensor_type.name for t in GGUFReader(folder / FILE).tensors if len(t.shape) > 1}
    assert set(kinds.values()) == {"Q4_K", "Q6_K"} and kinds["token_embd.weight"] == "Q6_K"
    assert kinds["blk.0.attn_q.weight"] == "Q4_K" and kinds["blk.3.ffn_down.weight"] == "Q6_K"
    found = proven(folder, model, "q4_k_m")  # its likeliest words are near ties: they are random numbers
    assert {one.name for one in found.failed} <= {"same next word"}
    assert 1e-4 < (found.figure("divergence, ") or 0) < 0.1


def test_bits_are_spent_where_the_rows_need_them(tmp_path: Path) -> None:
    """An importance matrix of the run's own rows: columns that carry much are kept more exactly."""
    from gguf import GGUFReader, dequantize

    model = made(tmp_path / "model", change=uneven, hidden_size=256, intermediate_size=512, head_dim=64)
    rows = [Row(list(range(3, 40)), [True] * 37), Row(list(range(40, 60)), [True] * 20)]
    reference = Reference.open(model, learned=rows)
    importance = reference.importance
    layers = reference.root.config.num_hidden_layers
    assert len(importance) == 7 * layers and "lm_head.weight" not in importance
    with torch.no_grad():
        entered = [reference.root.model.layers[0].input_layernorm(reference.root.model.embed_tokens(
            torch.tensor([row.ids])))[0] for row in rows]
    name = "model.layers.0.self_attn.v_proj.weight"
    assert np.allclose(importance[name], torch.cat(entered).square().mean(0), rtol=1e-4)

    def lost(folder: Path) -> float:
        """What the products of one matrix are off by on such rows, squared."""
        tensor = next(t for t in GGUFReader(folder / FILE).tensors if t.name == "blk.0.attn_v.weight")
        off = dequantize(tensor.data, tensor.tensor_type) - reference.root.get_parameter(name).detach().numpy()
        return float((off ** 2 @ importance[name]).sum())
    seen = tmp_path / "seen"
    seen.mkdir()
    GgufTarget().write(model, seen, "q4_k_m", FACTS, reference)
    plain = exported(model, tmp_path / "plain", "q4_k_m")
    assert lost(seen) < 0.9 * lost(plain)
    assert (seen / FILE).stat().st_size - (plain / FILE).stat().st_size < 256
    said = GGUFReader(seen / FILE).fields
    assert [said[f"quantize.imatrix.{one}_count"].contents() for one in ("entries", "chunks")] == [7 * layers, 2]
    assert "quantize.imatrix.entries_count" not in GGUFReader(plain / FILE).fields


def test_the_recipe_of_k_quants_is_llama_cpps() -> None:
    from seedbed.export.gguf_pack import type_of

    def kind(name: str, tied: bool = True, width: int = 2048) -> str:
        return type_of(name, (64, width), "q4_k_m", 24, tied)
    assert [kind(f"blk.{i}.attn_v.weight") for i in (0, 3, 5, 21)] == ["Q6_K", "Q4_K", "Q6_K", "Q6_K"]
    assert kind("blk.0.attn_q.weight") == kind("blk.4.ffn_down.weight") == "Q4_K"
    assert (kind("token_embd.weight"), kind("token_embd.weight", tied=False), kind("output.weight", tied=False)) == (
        "Q6_K", "Q4_K", "Q6_K")
    assert (kind("blk.0.attn_q.weight", width=576), kind("token_embd.weight", width=576)) == ("Q5_0", "Q8_0")
    assert kind("blk.0.attn_q.weight", width=100) == "F16" and type_of("x.weight", (64,), "q8_0", 24, True) == "F32"


def test_a_wrong_template_is_found_out(llama: Path, tmp_path: Path) -> None:
    def other(model: Any, tokenizer: Any) -> None:
        tokenizer.chat_template = TEMPLATE.replace("system\nBe kind.", "system\n")
    assert failed(exported(made(tmp_path / "other", change=other), tmp_path / "out"), llama) == [
        "prompts with other tokens"]


def test_a_missing_end_is_found_out(llama: Path, tmp_path: Path) -> None:
    def more(model: Any, tokenizer: Any) -> None:
        model.generation_config.eos_token_id = [0, tokenizer.convert_tokens_to_ids("<mask>")]
    stops = made(tmp_path / "stops", change=more)
    assert not failed(exported(stops, tmp_path / "good"), stops)
    assert failed(exported(llama, tmp_path / "out"), stops) == ["ends at which it does not stop"]


def test_the_base_in_place_of_the_tuned_model_is_found_out(llama: Path, tmp_path: Path) -> None:
    found = failed(exported(llama, tmp_path / "out"), made(tmp_path / "tuned", change=tuned))
    assert {"divergence, short text", "divergence, long text"} <= set(found)


def test_rows_in_the_wrong_order_are_found_out(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_family, "neighbours", lambda values, heads: values)
    found = failed(exported(llama, tmp_path / "out"), llama)
    assert {"divergence, medium text", "divergence, long text"} <= set(found)
    assert "divergence of single steps" not in found  # it is consistent, and wrong


def test_another_cut_of_texts_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_digits(model: Any, tokenizer: Any) -> Any:
        return tokenizer.train_new_from_iterator([*SAID, "2027 2027 755 755 7041 7041"] * 9, 320)
    model = made(tmp_path / "model", change=with_digits)
    assert not failed(exported(model, tmp_path / "good"), model)
    monkeypatch.setattr(gguf_words, "cut_of", lambda tokenizer: "smollm")
    assert failed(exported(model, tmp_path / "out"), model) == ["texts with other tokens"]


@pytest.mark.parametrize("modern", [False, True])
def test_a_sentencepiece_tokenizer_is_read_as_it_is(tmp_path: Path, modern: bool) -> None:
    """As MobileLLaMA has it: scores in the place of merges, bytes for what has no word, a space before a text."""
    model = made(tmp_path / "model", change=lambda model, tokenizer: pieces(320, modern))
    folder = exported(model, tmp_path / "out")
    found = proven(folder, model)
    assert not found.failed, [one.told for one in found.failed]
    with GgufTarget().opened(folder, model) as form:
        ids = form.runtime.tokens("the box 今", special=False)
        assert ids[0] == 1 and form.runtime.tokens("the box", special=False)[1] == ids[1]
        assert {3 + byte for byte in "今".encode()} <= set(ids)  # no word for it: three bytes


def test_a_cut_file_is_not_opened(llama: Path, tmp_path: Path) -> None:
    folder = exported(llama, tmp_path / "out")
    os.truncate(folder / FILE, (folder / FILE).stat().st_size - 5_000)
    with pytest.raises(CorruptFile, match=r"llama\.cpp cannot open .*model\.gguf"):
        proven(folder, llama)


@pytest.mark.parametrize(("family", "more", "told"), [
    ("mistral", {}, "looks back 8 tokens"), ("phi3", {}, "family phi3 that write are not exported to GGUF"),
    ("qwen2", {"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0,
                                   "high_freq_factor": 4.0, "original_max_position_embeddings": 32}},
     "the kind llama3"),
    ("llama", {"hidden_act": "gelu"}, "The activation gelu"),
    ("llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, "the kind dynamic")])
def test_what_would_come_out_wrong_is_refused(tmp_path: Path, family: str, more: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told) as found:
        GgufTarget().refuse(made(tmp_path / "model", family, **more), "f16")
    assert "seedbed generate" in found.value.hint


def test_a_cut_that_is_not_known_is_refused(tmp_path: Path) -> None:
    def other(model: Any, tokenizer: Any) -> None:
        from tokenizers import pre_tokenizers
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Punctuation(), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    with pytest.raises(UserError, match="neither a SentencePiece BPE nor one of bytes that cuts texts as"):
        GgufTarget().refuse(made(tmp_path / "model", change=other), "f16")


def test_the_modelfile_says_the_template_in_ollamas_words(llama: Path, tmp_path: Path) -> None:
    text = (exported(llama, tmp_path / "out") / MODELFILE).read_text()
    assert text.startswith(
        'FROM ./model.gguf\nTEMPLATE """{{ range .Messages }}{{ if eq .Role "system" }}<s>system\n')
    assert 'SYSTEM """Be kind."""' in text
    assert 'PARAMETER stop "<eos>"' in text and 'PARAMETER stop "</s>"' in text


def test_pieces_are_given_up_where_they_would_say_something_else(tmp_path: Path) -> None:
    def counted(model: Any, tokenizer: Any) -> None:
        tokenizer.chat_template = "{{ messages | length }}" + TEMPLATE
    folder = exported(made(tmp_path / "model", change=counted), tmp_path / "out")
    text = (folder / MODELFILE).read_text()
    assert "TEMPLATE" not in text and "could not be said in Ollama's language" in text


def test_words_that_only_the_model_has_are_filled_in(tmp_path: Path) -> None:
    """A table of words that is wider than the tokenizer: its last rows have no text, and are scored all the same."""
    from transformers import AutoTokenizer

    count = len(AutoTokenizer.from_pretrained(tiny.model("llama"))) + 32
    model = made(tmp_path / "model", vocab_size=count)
    with GgufTarget().opened(exported(model, tmp_path / "out"), model) as form:
        assert form.runtime.logits([5, 6]).shape == (1, count)
        assert not certify(form, Reference.open(model), "f16").failed


def test_it_writes_what_the_model_writes(llama: Path, tmp_path: Path) -> None:
    from seedbed.engines.sampling import Sampling
    from seedbed.engines.writer import Writer

    here, there = GgufTarget().author(exported(llama, tmp_path / "out"), llama), Writer.open(llama)
    asked = [{"role": "user", "content": "the box came on monday"}]
    for how in (Sampling(max_tokens=24), Sampling(max_tokens=24, temperature=0.7, seed=5),
                Sampling(max_tokens=24, stop=("e",))):
        text = "".join(there.answer(asked, how))
        assert "".join(here.answer(asked, how)) == text
    said, other = ("".join(one.go_on("the box", Sampling(max_tokens=8))) for one in (here, there))
    assert said == other != ""


def test_tokens_read_before_are_not_read_again(llama: Path, tmp_path: Path) -> None:
    folder = exported(llama, tmp_path / "out")
    with GgufTarget().opened(folder, llama) as form:
        runtime = form.runtime
        first = runtime.logits([5, 6, 7, 8], 4)
        other = runtime.logits([5, 6, 9, 8], 2)  # it goes back to where the two part
        runtime.forget()
        assert np.allclose(runtime.logits([5, 6, 9, 8], 4)[2:], other, atol=2e-3)
        runtime.forget()
        assert np.allclose(runtime.logits([5, 6, 7, 8], 4), first, atol=1e-5)
    assert json.loads((llama / "generation_config.json").read_text())["eos_token_id"] == [0, 5]
