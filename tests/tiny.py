"""Tiny models of true architecture on disk: real layer types, their own tokenizer, random weights."""

from __future__ import annotations

import json
import random
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

DECODERS = ("llama", "qwen2", "mistral", "gemma3")
FAMILIES = (*DECODERS, "bert")
PAIRED = ("t5", "flan_t5", "bart", "marian")
WRITERS = (*DECODERS, "qwen2_moe", "falcon", "bloom", "phi3", "gemma2", "lfm2", "falcon_h1", *PAIRED)
"""Families that learn to write: dense, mixture of experts, hybrids of attention with convolution or state space, and
encoder-decoders (T5 with one table of words for input and output, and FLAN-T5 with two)."""
LAYERS = 4
GOOD, BAD = ["great", "lovely", "works", "happy", "fast"], ["broken", "awful", "refund", "slow", "dead"]
OTHER = ["the", "box", "came", "on", "monday", "and", "it", "was", "blue", "with", "a", "paper", "label", "inside"]
TEXTS = ["", "great", "It was a lovely, fast box!", "broken", " ".join(OTHER * 3), "naïve 好 👍 \t\n x",
         "a b c d e f g", "the box came on monday", "slow " * 60]
"""Shorter and longer than the sliding windows, empty, odd, and one that is cut."""


def sentences(rows: int, seed: int = 0, kinds: int = 2) -> tuple[list[str], list[str]]:
    """Texts that a word decides, with their labels `bad`, `good` (and `mixed`)."""
    pick = random.Random(seed)
    texts, labels = [], []
    for i in range(rows):
        label = ("bad", "good", "mixed")[i % kinds]
        words = {"bad": BAD, "good": GOOD, "mixed": BAD[:2] + GOOD[:2]}[label]
        some = pick.choices(OTHER, k=pick.randrange(2, 9)) + pick.choices(words, k=2)
        if label == "mixed":
            some += [pick.choice(GOOD), pick.choice(BAD)]
        pick.shuffle(some)
        texts.append(" ".join(some))
        labels.append(label)
    return texts, labels


def _tokenizer(family: str) -> Any:
    """Byte-level BPE as SmolLM2 has it (Gemma's puts a <bos> first), or BERT's WordPiece."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    lines = [" ".join(OTHER), *sentences(60)[0]]
    if family == "bert":
        made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        made.normalizer = normalizers.BertNormalizer()
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
        made.train_from_iterator(lines, trainers.WordPieceTrainer(
            vocab_size=200, special_tokens=special, show_progress=False))
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
        return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]",
                                       cls_token="[CLS]", sep_token="[SEP]")
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    # AutoTokenizer adds the special tokens of a family's own class where they are missing
    special = ["<eos>", "<bos>", "<pad>", "<unk>", "<s>", "</s>", "<|endoftext|>", "<|im_end|>", "<mask>"]
    made.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    if family == "gemma3":
        made.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    if family in PAIRED:
        made.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<eos>", bos_token="<bos>",
                                   **{"pad_token": "<pad>"} if family in PAIRED else {})


def _config(family: str, words: int) -> Any:
    from transformers import BertConfig, Gemma3TextConfig, LlamaConfig, MistralConfig, Qwen2Config

    shape: dict[str, Any] = {
        "vocab_size": words, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": LAYERS,
        "num_attention_heads": 4, "max_position_embeddings": 128, "initializer_range": 0.2}
    if family == "bert":
        return BertConfig(**shape)
    shape |= {"num_key_value_heads": 2, "tie_word_embeddings": True, "eos_token_id": 0, "bos_token_id": 1,
              "pad_token_id": None}
    if family == "llama":
        return LlamaConfig(**shape)
    if family == "qwen2":
        return Qwen2Config(**shape)
    if family == "mistral":
        return MistralConfig(**shape, sliding_window=8)
    if family in PAIRED:
        return _paired(family, words)
    if family != "gemma3":
        return _rarer(family, shape)
    return Gemma3TextConfig(**shape, head_dim=16, sliding_window=8, query_pre_attn_scalar=16,
                            layer_types=["sliding_attention", "full_attention"] * (LAYERS // 2))


def _paired(family: str, words: int) -> Any:
    import transformers as t
    ids = {"vocab_size": words, "d_model": 32, "eos_token_id": 0, "bos_token_id": 1, "pad_token_id": 2,
           "decoder_start_token_id": 2}
    if family in ("t5", "flan_t5"):
        return t.T5Config(**ids, d_kv=8, d_ff=64, num_layers=LAYERS, num_decoder_layers=LAYERS - 1, num_heads=4,
                          relative_attention_num_buckets=8, relative_attention_max_distance=16,
                          feed_forward_proj="relu" if family == "t5" else "gated-gelu",
                          tie_word_embeddings=family == "t5")
    return (t.BartConfig if family == "bart" else t.MarianConfig)(
        **ids, encoder_layers=LAYERS, decoder_layers=LAYERS - 1, encoder_attention_heads=4, decoder_attention_heads=4,
        encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=128, init_std=0.2, scale_embedding=True,
        forced_eos_token_id=None)


def _rarer(family: str, shape: dict[str, Any]) -> Any:
    import transformers as t
    plain = {name: value for name, value in shape.items() if name not in ("num_key_value_heads", "intermediate_size")}
    if family == "falcon":
        return t.FalconConfig(**plain, multi_query=True, parallel_attn=True, bias=False, alibi=False)
    if family == "bloom":
        return t.BloomConfig(**{name: plain[name] for name in (
            "vocab_size", "hidden_size", "initializer_range", "eos_token_id", "bos_token_id", "pad_token_id")},
            n_layer=LAYERS, n_head=4)
    return {
        "qwen2_moe": lambda: t.Qwen2MoeConfig(
            **shape, moe_intermediate_size=16, shared_expert_intermediate_size=32, num_experts=4,
            num_experts_per_tok=2, decoder_sparse_step=1),
        "phi3": lambda: t.Phi3Config(**shape),
        "gemma2": lambda: t.Gemma2Config(**shape, head_dim=8, sliding_window=8, query_pre_attn_scalar=8),
        "lfm2": lambda: t.Lfm2Config(**shape, layer_types=["conv", "full_attention"] * (LAYERS // 2),
                                     block_multiple_of=8),
        "falcon_h1": lambda: t.FalconH1Config(**shape, head_dim=8, mamba_d_ssm=32, mamba_n_heads=4, mamba_d_head=8,
                                              mamba_n_groups=1, mamba_d_state=8)}[family]()


def build(family: str, folder: Path) -> Path:
    """Write a model of that family into `folder`, BERT as a sentence-transformers folder."""
    from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM
    from transformers.utils.logging import disable_progress_bar

    tokenizer = _tokenizer(family)
    config = _config(family, len(tokenizer))
    with torch.random.fork_rng():
        torch.manual_seed(7)
        kind = AutoModelForSeq2SeqLM if family in PAIRED else AutoModelForCausalLM
        model = (AutoModel if family == "bert" else kind).from_config(config)
        if family == "flan_t5":  # its class always ties at first; a checkpoint with a head of its own unties
            model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight) * 0.2)
        if family in ("bart", "marian"):
            model.final_logits_bias.normal_()
        with torch.no_grad():  # norms and biases start as ones and zeros, which would hide a mistake with them
            for parameter in model.parameters():
                if parameter.ndim == 1:
                    parameter.add_(torch.randn_like(parameter) * 0.2)
    disable_progress_bar()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if family == "bert":
        modules = [("0", "", "Transformer"), ("1", "1_Pooling", "Pooling"), ("2", "2_Normalize", "Normalize")]
        (folder / "modules.json").write_text(json.dumps(
            [{"idx": int(i), "name": i, "path": path, "type": f"sentence_transformers.models.{kind}"}
             for i, path, kind in modules]))
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(
            {"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}))
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 48}))
    return folder


_HOME = tempfile.TemporaryDirectory(prefix="seedbed-tiny-")


@cache
def model(family: str) -> Path:
    """The folder of the tiny model of that family, made once a test run. Tests do not write into it."""
    return build(family, Path(_HOME.name) / family)


@pytest.fixture(autouse=True)
def exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread, and fp32 where a machine would choose bf16. Imported by the `conftest.py` of rooms with models."""
    from seedbed.models import backbone, runtime

    torch.set_num_threads(1)
    chosen = runtime.Runtime(torch.float32, 1, None, None, "fp32: a test")
    monkeypatch.setattr(backbone, "runtime", lambda: chosen)
