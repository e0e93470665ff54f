"""Tiny models of true architecture that chat and stop, and what is asked of every target that writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from seedbed.engines.sampling import Sampling
from seedbed.errors import UserError
from seedbed.export.certificate import Certificate
from seedbed.export.targets.writers import WriterTarget
from seedbed.export.writer_certificate import certify
from seedbed.export.writer_reference import Reference
from seedbed.models import grid
from seedbed.models.paired import Paired, followed
from seedbed.models.template import Row

TEMPLATE = ("{% for message in messages %}{% if loop.first and message['role'] != 'system' %}{{ '<s>system\nBe kind."
            "</s>\n' }}{% endif %}{{ '<s>' + message['role'] + '\n' + message['content'] + '</s>\n' }}{% endfor %}{%"
            " if add_generation_prompt %}{{ '<s>assistant\n' }}{% endif %}")
GEMMA = ("{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set said = messages[0]['content'] + '\n\n' %}"
         "{% set messages = messages[1:] %}{% endif %}{% for message in messages %}{{ '<start_of_turn>' + ("
         "'model' if message['role'] == 'assistant' else message['role']) + '\n' + (said if loop.first and said else"
         " '') + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}"
         "{{ '<start_of_turn>model\n' }}{% endif %}")
"""As Gemma 3 has it: what the system says stands in the first question."""
FACTS = {"name": "tiny", "licence": "Apache-2.0", "data_hash": "abc"}
SPACE, BYTES = "\u2581", [f"<0x{one:02X}>" for one in range(256)]
Change = Callable[[Any, Any], Any]


def made(folder: Path, family: str = "llama", change: Change | None = None, **more: Any) -> Path:
    """A tiny model of that family that chats and stops at `<eos>` and `</s>`.

    Args:
        change: does something to the model and its tokenizer, or gives another tokenizer.
        more: values of its config.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny.model(family))
    config = AutoConfig.from_pretrained(tiny.model(family), **more)
    torch.manual_seed(3)
    paired = family in tiny.PAIRED
    model = (AutoModelForSeq2SeqLM if paired else AutoModelForCausalLM).from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    begins = tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id
    tokenizer.chat_template = "{{ bos_token }}" * begins + TEMPLATE
    model.generation_config.eos_token_id = [0, tokenizer.convert_tokens_to_ids("</s>")]
    if change:
        tokenizer = change(model, tokenizer) or tokenizer
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write(target: WriterTarget, model: Path, folder: Path, precision: str,
          reference: Reference | None = None) -> Path:
    """Export into a new folder."""
    folder.mkdir()
    target.refuse(model, precision)
    target.write(model, folder, precision, FACTS, reference)
    return folder


def taught(model: Path) -> Reference:
    """A reference that knows rows which the model has learned from."""
    return Reference.open(model, learned=[Row(list(range(10 + at, 60 + at)), [True] * 50) for at in range(4)])


def prove(target: WriterTarget, folder: Path, model: Path, precision: str) -> Certificate:
    """What was exported against a model."""
    with target.opened(folder, model) as form:
        return certify(form, Reference.open(model), precision)


def refuses(target: WriterTarget, model: Path, precision: str, told: str) -> None:
    """The target says beforehand what would come out wrong, and what to do instead."""
    with pytest.raises(UserError, match=told) as found:
        target.refuse(model, precision)
    assert "seedbed generate" in found.value.hint


def writes_the_likeliest(target: WriterTarget, folder: Path, model: Path) -> None:
    """What was exported writes its likeliest words, stops at an end, and draws the same with the same seed."""
    writer: Any = target.author(folder, model)
    ids = writer.asked([{"role": "user", "content": "the box came on monday"}])
    row, want = Paired(ids, [writer.template.start]) if writer.paired else ids, list[int]()
    for _ in range(10):
        writer.runtime.forget()
        want.append(int(writer.runtime.logits(followed(row, want))[0].argmax()))
    assert list(writer._tokens(ids, Sampling(), 10)) == want and not writer.ends & set(want)
    writer.ends |= {want[4]}
    assert list(writer._tokens(ids, Sampling(), 10)) == want[:want.index(want[4])]
    warm = Sampling(max_tokens=12, temperature=1.0, seed=3)
    assert "".join(writer.go_on("the box", warm)) == "".join(writer.go_on("the box", warm))


def uneven(model: Any, tokenizer: Any) -> None:
    """Some columns of each weight carry much, the others little."""
    with torch.no_grad():
        for layer in model.model.layers:
            layer.input_layernorm.weight[::8] *= 12
            layer.post_attention_layernorm.weight[::8] *= 12


def at_4_bits(model: Any, tokenizer: Any) -> None:
    """Weights as `--method qat` leaves them."""
    with torch.no_grad():
        for layer in model.model.layers:
            for weight in grid.matrices([layer], 32):
                weight.copy_(grid.rounded(weight, 32))


def tuned(model: Any, tokenizer: Any) -> None:
    """A change to the weights, as a training makes."""
    with torch.no_grad():
        weight = next(one for name, one in reversed(list(model.named_parameters())) if one.ndim == 2 and
                      ("down_proj" in name or ".wo." in name or "fc2" in name))
        weight += 0.5 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))


def pieces(size: int, modern: bool) -> Any:
    """A tokenizer as SentencePiece makes them and transformers turns them: with a merge for every way to a word.

    Args:
        modern: spaces are turned where texts are cut, not before.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words, special = _words(size - 259), ["<unk>", "<s>", "</s>"]
    vocabulary = {word: place for place, word in enumerate([*special, *BYTES, *words])}
    merges = _merges(words, vocabulary)
    made = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    if modern:
        made.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, prepend_scheme="always", split=False)
    else:
        made.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    made.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(),
                                      decoders.Strip(" ", 1, 0)])
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="</s>", bos_token="<s>", unk_token="<unk>")


def gemma(model: Any, tokenizer: Any) -> Any:
    """A tokenizer as Gemma has it (no space before a text, runs of spaces and of line ends), template and ends."""
    from tokenizers import AddedToken, processors
    from transformers import GemmaTokenizer

    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"]
    runs = [mark * count for mark in ("\n", SPACE) for count in (1, 2, 3, 4)]
    words = [*runs, *_words(len(tokenizer) - len(special) - 256 - len(runs) + 1)]
    vocabulary = {word: place for place, word in enumerate(dict.fromkeys([*special, *BYTES, *words]))}
    made = GemmaTokenizer(vocab=vocabulary, merges=_merges(words, vocabulary))
    made.add_special_tokens({"additional_special_tokens": special[5:]})
    made.add_tokens([AddedToken(run, normalized=False) for run in runs if run != SPACE])
    made.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", 2)])
    made.chat_template = GEMMA
    model.generation_config.eos_token_id = [1, 6]
    return made


def _words(count: int) -> list[str]:
    """So many pieces of words, as SentencePiece learns them."""
    from tokenizers import Tokenizer, models, normalizers, trainers

    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    trained.train_from_iterator([" ".join(tiny.OTHER)] * 9, trainers.BpeTrainer(
        vocab_size=count, show_progress=False, limit_alphabet=24))
    return [word for word, _ in sorted(trained.get_vocab().items(), key=lambda pair: pair[1])]


def _merges(words: list[str], vocabulary: dict[str, int]) -> list[tuple[str, str]]:
    """A merge for every way to a word."""
    return [(word[:at], word[at:]) for word in words for at in range(1, len(word))
            if word[:at] in vocabulary and word[at:] in vocabulary]
