"""Falcon and BLOOM in GGUF files: one tensor for queries, keys and values, and tokenizers with cuts of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_writer import Change, made, prove, refuses, write

from seedbed.export import gguf_fused, gguf_words
from seedbed.export.gguf_fused import apart
from seedbed.export.gguf_pack import type_of
from seedbed.export.targets.gguf import GgufTarget
from seedbed.export.writer_reference import SAID
from seedbed.models.cuts import cut_of, set_cut

pytest.importorskip("xllamacpp", reason="GGUF needs seedbed[gguf]")
SEVERAL = {"new_decoder_architecture": True, "num_kv_heads": 2}
LONG = {"max_position_embeddings": 512}


def cut(name: str) -> Change:
    """A family's own cut, with words that were learned through it."""
    def change(model: Any, tokenizer: Any) -> Any:
        set_cut(tokenizer.backend_tokenizer, name)
        odd = "2027 2027 7041 7041 $$ <=> ++ `x` 12345678 ²³ |(a)|"
        return tokenizer.train_new_from_iterator([*SAID, odd] * 9, 320)
    return change


def failed(model: Path, folder: Path) -> set[str]:
    return {one.name for one in prove(GgufTarget(), write(GgufTarget(), model, folder, "f16"), model, "f16").failed}


@pytest.mark.parametrize(("family", "more"), [
    ("falcon", {}), ("falcon", SEVERAL), ("falcon", SEVERAL | {"num_ln_in_parallel_attn": 1}),
    ("falcon", {"multi_query": False}), ("falcon", {"tie_word_embeddings": False}),
    ("falcon", {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}}),
    ("bloom", {}), ("bloom", {"n_head": 6, "hidden_size": 48}), ("bloom", {"tie_word_embeddings": False})])
def test_llama_cpp_answers_as_the_model(family: str, more: dict[str, Any], tmp_path: Path) -> None:
    """Also with heads whose paces of fading are no powers of a power of two: six."""
    model = made(tmp_path / "model", family, **LONG | more)
    found = prove(GgufTarget(), write(GgufTarget(), model, tmp_path / "out", "f16"), model, "f16")
    assert not found.failed, [one.told for one in found.failed]
    assert sum(one.n for one in found.checks if one.name.startswith("divergence, ")) == 400
    assert 0 < (found.figure("divergence, long text") or 0) < 1e-5


def test_queries_keys_and_values_stand_apart() -> None:
    rows = np.array(["q0", "q1", "k0", "v0", "q2", "q3", "k1", "v1"])  # two groups of two heads, one row each
    assert apart(rows, 4, 2).tolist() == ["q0", "q1", "q2", "q3", "k0", "k1", "v0", "v1"]
    assert apart(rows[:4], 2, 1).tolist() == ["q0", "q1", "k0", "v0"]


@pytest.mark.parametrize(("family", "more", "wrong"), [
    ("falcon", SEVERAL, lambda values, heads, groups: values),                           # as transformers has it
    ("bloom", {}, lambda values, heads, groups: values),
    ("falcon", {"multi_query": False}, lambda values, heads, groups: apart(values, heads, 1)),
    ("falcon", {}, lambda values, heads, groups: np.concatenate([values[:32], values[40:], values[32:40]]))])
def test_another_order_is_found_out(family: str, more: dict[str, Any], wrong: Any, tmp_path: Path,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_fused, "apart", wrong)
    found = failed(made(tmp_path / "model", family, **LONG | more), tmp_path / "out")
    assert {"divergence, short text", "divergence, long text"} <= found and "divergence of single steps" not in found


@pytest.mark.parametrize("family", ["falcon", "bloom"])
def test_its_cut_of_texts_is_llama_cpps(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same tokens for odd texts too; others where the file names another cut."""
    from transformers import AutoTokenizer

    model = made(tmp_path / "model", family, cut(family), **LONG)
    tokenizer = AutoTokenizer.from_pretrained(model)
    assert cut_of(tokenizer.backend_tokenizer) == family
    folder = write(GgufTarget(), model, tmp_path / "out", "f16")
    assert not prove(GgufTarget(), folder, model, "f16").failed
    with GgufTarget().opened(folder, model) as form:
        for text in ("a-b--c $5+3 <=> ``x`` ~|^", "1 12 123 1234 1234567 ١٢٣٤ ²³½", "it's  we're\n\n\n  x\t",
                     "今日は👍x。(a)|b|、c…", ""):
            assert form.runtime.tokens(text, special=False) == tokenizer(text)["input_ids"]
    monkeypatch.setattr(gguf_words, "cut_of", lambda tokenizer: "gpt-2")
    assert failed(model, tmp_path / "other") == {"texts with other tokens"}


@pytest.mark.parametrize(("family", "more", "told"), [
    ("falcon", {"alibi": True}, "fades with the distance"), ("falcon", {"bias": True}, "have biases"),
    ("falcon", {"parallel_attn": False}, "beside each other"),
    ("falcon", {"activation": "relu"}, "The activation relu"),
    ("bloom", {"apply_residual_connection_post_layernorm": True}, "add to what their norms give")])
def test_what_its_graph_has_otherwise_is_refused(family: str, more: dict[str, Any], told: str,
                                                 tmp_path: Path) -> None:
    refuses(GgufTarget(), made(tmp_path / "model", family, **more), "f16", told)


def test_the_recipe_of_k_quants_is_llama_cpps() -> None:
    def kind(name: str, family: str = "falcon", tied: bool = True, width: int = 4608) -> str:
        return type_of(name, (64, width), "q4_k_m", 32, tied, family)
    assert (kind("token_embd.weight"), kind("token_embd.weight", "bloom")) == ("Q8_0", "Q6_K")
    assert [kind(f"blk.{layer}.attn_qkv.weight") for layer in (0, 4, 5, 6)] == ["Q6_K", "Q4_K", "Q4_K", "Q6_K"]
    assert [kind(f"blk.{layer}.ffn_down.weight") for layer in (1, 2, 4, 31)] == ["Q6_K", "Q5_K", "Q4_K", "Q5_K"]
    assert [kind(f"blk.{layer}.ffn_down.weight", "bloom") for layer in (1, 2, 4)] == ["Q6_K", "Q6_K", "Q4_K"]
    assert kind("blk.2.ffn_down.weight", width=4544) == "Q5_1"
