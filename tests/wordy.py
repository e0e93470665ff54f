"""Tiny models with a vocabulary of a thousand words, of each kind of tokenizer, learned from the docs."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import tiny
import torch

DOCS = Path(__file__).parent.parent / "docs"
KINDS = ("byte_level", "llama3", "byte_fallback", "unigram", "word_piece")
"""SmolLM2 and Qwen2; Llama 3 (whole words first); Gemma; T5; BERT."""
SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<s>", "</s>", "<|endoftext|>", "<|im_end|>", "<mask>"]
FAMILY = {"byte_level": "qwen2", "llama3": "llama", "byte_fallback": "gemma3", "unigram": "t5", "word_piece": "bert"}


def lines() -> list[str]:
    """What the tokenizers have learned from."""
    return [line for page in ("run", "train", "bundle", "data-formats") for line in
            (DOCS / f"{page}.md").read_text().splitlines() if len(line) > 20]


MINE = ["The model learns from rows of the file, and the test rows judge it.", "A row without a label is left out.",
        "naïve 好 👍 tests <eos> of the budget", "", "seedbed run reviews.csv --budget 10m"]
"""Texts of a user, which need few of the words."""
OTHERS = ["Completely unheard-of zebras, quantified: 3.14159!", "日本語 \t\n ЖЖ", "adapter checkpoints of the bundle"]
"""Texts of which some words are lost."""


def tokenizer(kind: str, size: int = 1000) -> Any:
    """A tokenizer of transformers of that kind."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    names = {"eos_token": "<eos>", "bos_token": "<bos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    if kind == "word_piece":
        made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        made.decoder = decoders.WordPiece()
        made.train_from_iterator(lines(), trainers.WordPieceTrainer(
            vocab_size=size, special_tokens=["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
            show_progress=False))
        values = json.loads(made.to_str())  # BERT's file calls words that it holds in reserve no special ones
        values["added_tokens"] = [one for one in values["added_tokens"] if "unused" not in one["content"]]
        made = Tokenizer.from_str(json.dumps(values))
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 3), ("[SEP]", 4)])
        return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]",
                                       cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
    if kind == "unigram":
        made = Tokenizer(models.Unigram())
        made.normalizer, made.pre_tokenizer = normalizers.NFKC(), pre_tokenizers.Metaspace()
        made.decoder = decoders.Metaspace()
        made.train_from_iterator(lines(), trainers.UnigramTrainer(
            vocab_size=size, special_tokens=["<pad>", "<eos>", "<unk>"], unk_token="<unk>", show_progress=False))
        made.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
        return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<eos>", pad_token="<pad>", unk_token="<unk>")
    if kind == "byte_fallback":
        made = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
        made.normalizer = normalizers.Replace(" ", "▁")
        made.pre_tokenizer = pre_tokenizers.Split(Regex("▁"), "merged_with_next")
        made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
        bytes = [f"<0x{byte:02X}>" for byte in range(256)]
        made.train_from_iterator(lines(), trainers.BpeTrainer(
            vocab_size=size + 256, special_tokens=[*SPECIAL, *bytes], show_progress=False))
        values = json.loads(made.to_str())  # bytes are plain words, so that a text that says <0x41> is letters
        values["added_tokens"] = [one for one in values["added_tokens"] if not one["content"].startswith("<0x")]
        made = Tokenizer.from_str(json.dumps(values))
        made.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
        return PreTrainedTokenizerFast(tokenizer_object=made, **names)
    made = Tokenizer(models.BPE(ignore_merges=kind == "llama3"))
    words = Regex(r"\s?\p{L}+|\p{N}{1,3}|\s+|[^\s\p{L}\p{N}]+")
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False) if kind == "byte_level" else \
        pre_tokenizers.Sequence([pre_tokenizers.Split(words, "isolated"),
                                 pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(lines(), trainers.BpeTrainer(
        vocab_size=size, special_tokens=SPECIAL, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    if kind == "llama3":  # a whole word to which no merges lead, as Llama 3 has them
        values = json.loads(made.to_str())
        values["model"]["vocab"]["Ġzebras"] = len(values["model"]["vocab"])
        made = Tokenizer.from_str(json.dumps(values))
    return PreTrainedTokenizerFast(tokenizer_object=made, **names)


_HOME = tempfile.TemporaryDirectory(prefix="seedbed-wordy-")


@cache
def model(kind: str, tied: bool = True) -> Path:
    """The folder of a tiny model with such a tokenizer, made once a test run. Tests do not write into it."""
    from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM, GenerationConfig

    folder, read = Path(_HOME.name) / f"{kind}-{tied}", tokenizer(kind)
    config = tiny._config(FAMILY[kind], len(read) + 5)  # more rows than words, as Qwen2 has them
    config.tie_word_embeddings = tied or kind == "unigram"
    config.pad_token_id = config.decoder_start_token_id = read.pad_token_id
    config.eos_token_id, config.bos_token_id = read.eos_token_id, read.bos_token_id
    with torch.random.fork_rng():
        torch.manual_seed(3)
        of = {"word_piece": AutoModel, "unigram": AutoModelForSeq2SeqLM}.get(kind, AutoModelForCausalLM)
        made = of.from_config(config)
        if kind == "unigram" and not tied:  # as FLAN-T5: its class always ties at first
            made.lm_head.weight = torch.nn.Parameter(torch.empty_like(made.lm_head.weight))
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    if kind != "word_piece":
        last = len(read) - 1
        made.generation_config = GenerationConfig(
            eos_token_id=[read.eos_token_id, last], pad_token_id=read.pad_token_id, suppress_tokens=[last, 700, 701],
            decoder_start_token_id=read.pad_token_id)
    made.save_pretrained(folder)
    read.save_pretrained(folder)
    return folder
