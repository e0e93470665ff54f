from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch

from seedbed.errors import CorruptFile, NotFound
from seedbed.models.backbone import Backbone
from seedbed.models.cuts import cut_of
from seedbed.models.folder import CONVERTED, open_folder, pooling_of


def write_gguf(file: Path, cut: str = "default") -> None:
    """The tiny Llama as llama.cpp would have it: names of its own, query and key rows in another order.

    Args:
        cut: how its tokenizer cuts texts.
    """
    import gguf
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny.model("llama"), dtype=torch.float32)
    tokenizer, config = AutoTokenizer.from_pretrained(tiny.model("llama")), model.config
    out = gguf.GGUFWriter(file, "llama")
    out.add_context_length(config.max_position_embeddings)
    out.add_embedding_length(config.hidden_size)
    out.add_block_count(config.num_hidden_layers)
    out.add_feed_forward_length(config.intermediate_size)
    out.add_head_count(config.num_attention_heads)
    out.add_head_count_kv(config.num_key_value_heads)
    out.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    out.add_rope_freq_base(10000.0)
    out.add_layer_norm_rms_eps(config.rms_norm_eps)
    out.add_vocab_size(config.vocab_size)
    words = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre(cut)
    out.add_token_list(words)
    out.add_token_types([3 if w in tokenizer.all_special_tokens else 1 for w in words])
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    out.add_token_merges([" ".join(pair) for pair in merges])
    out.add_bos_token_id(1)
    out.add_eos_token_id(0)
    out.add_unk_token_id(3)
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
             "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    for name, tensor in model.model.state_dict().items():
        values = tensor.numpy()
        heads = {"q": config.num_attention_heads, "k": config.num_key_value_heads}.get(
            name.split("self_attn.")[-1][0] if "self_attn" in name else "")
        if heads:
            values = np.ascontiguousarray(
                values.reshape(heads, 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape))
        if name.startswith("layers."):
            _, place, rest = name.split(".", 2)
            name = f"blk.{place}.{names[rest.removesuffix('.weight')]}.weight"
        else:
            name = {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}[name]
        out.add_tensor(name, values)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(file)
    return file


def test_a_gguf_file_gives_the_vectors_of_the_model_it_was_made_from(gguf_file: Path, tmp_path: Path) -> None:
    shutil.copy(gguf_file, tmp_path)
    found = Backbone.open(tmp_path)
    expected = Backbone.open(tiny.model("llama"))
    texts = [t for t in tiny.TEXTS if t]
    assert found.tokens(texts) == expected.tokens(texts)
    far = (found.embed(texts) - expected.embed(texts)).abs().max() / expected.embed(texts).abs().max()
    assert float(far) < 0.05  # stored in bf16
    assert {p.name for p in tmp_path.iterdir()} == {"tiny.gguf", CONVERTED, ".convert.lock"}
    before = (tmp_path / CONVERTED / "config.json").stat().st_mtime_ns
    assert open_folder(tmp_path) == tmp_path / CONVERTED
    assert (tmp_path / CONVERTED / "config.json").stat().st_mtime_ns == before  # once


def test_the_tokenizer_cuts_texts_as_the_gguf_file_says(tmp_path: Path) -> None:
    """SmolLM2's takes digits one by one, and transformers makes GPT-2's of all."""
    from transformers import AutoTokenizer

    write_gguf(tmp_path / "tiny.gguf", "smollm")
    (tmp_path / "converted").mkdir()  # of a version that did not
    folder = open_folder(tmp_path)
    assert cut_of(AutoTokenizer.from_pretrained(folder).backend_tokenizer) == "smollm"
    assert not (tmp_path / "converted").exists()


@pytest.mark.slow
def test_two_processes_that_convert_at_once(gguf_file: Path, tmp_path: Path) -> None:
    shutil.copy(gguf_file, tmp_path)
    (tmp_path / (CONVERTED + ".part")).mkdir()  # a process that was killed left it
    (tmp_path / (CONVERTED + ".part") / "config.json").write_text("{ half")
    code = ("import sys; from pathlib import Path; from seedbed.models import folder, backbone\n"
            "real, done = folder._convert, []\n"
            "folder._convert = lambda *a: (done.append(1), real(*a))\n"
            "model = backbone.Backbone.open(Path(sys.argv[1]))\n"
            "print(len(done), float(model.embed(['great box']).sum()))")
    both = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [(*one.communicate(timeout=200), one.returncode) for one in both]
    assert [code for _, _, code in told] == [0, 0], told
    converted, sums = zip(*(out.split() for out, _, _ in told), strict=True)
    assert sorted(converted) == ["0", "1"]
    assert sums[0] == sums[1]
    assert not any("%|" in errors for _, errors, _ in told)  # no bars


@pytest.mark.parametrize("content", [b"", b"GGUF", b"no model at all" * 100])
def test_a_broken_gguf_file_is_told_and_nothing_is_left(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(content)
    with pytest.raises(CorruptFile, match=r"broken\.gguf cannot be read as a model"):
        open_folder(tmp_path)
    assert not (tmp_path / CONVERTED).exists()


def test_a_gguf_file_that_is_cut_short_is_told(gguf_file: Path, tmp_path: Path) -> None:
    content = gguf_file.read_bytes()
    (tmp_path / "cut.gguf").write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(CorruptFile):
        open_folder(tmp_path)


def test_an_empty_folder_and_none(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(NotFound, match=r"holds neither config\.json nor a GGUF file") as told:
            open_folder(folder)
        assert "seedbed models pull" in told.value.hint


def test_a_folder_without_a_description_pools_by_its_kind() -> None:
    assert pooling_of(tiny.model("llama")) == ("", False, None)
    assert pooling_of(tiny.model("bert")) == ("mean", True, 48)
    assert Backbone.open(tiny.model("llama")).pooling == "last"


@pytest.mark.real
def test_the_real_smollm2_still_speaks(smollm2_folder: Path) -> None:
    """Words that a broken conversion (rows of query and key in the wrong order, wrong tokens) would not find."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    begin, folder = time.monotonic(), open_folder(smollm2_folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)

    def goes_on(prompt: str) -> str:
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        out = model.generate(ids, max_new_tokens=4, do_sample=False, pad_token_id=0)
        return str(tokenizer.decode(out[0, ids.shape[1]:]))
    assert "Paris" in goes_on("The capital of France is")
    assert "4" in goes_on("1, 2, 3,")
    assert sum(p.numel() for p in model.parameters()) == 134_515_008
    assert time.monotonic() - begin < 200
