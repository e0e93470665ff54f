"""Fill-in-the-middle: the tokens by which a model is told what stands before a gap and what after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Names:
    """What a family calls its tokens.

    Args:
        middle: empty where the suffix stands first always, and what follows the prefix is the middle.
        end: of the middle, where it is not the end of a text.
        others: tokens that are never a part of a file either.
    """

    prefix: str
    suffix: str
    middle: str
    end: str = ""
    others: tuple[str, ...] = ()


FAMILIES = (
    Names("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|endoftext|>",  # Qwen Coder, CodeGemma, Granite 4
          ("<|fim_pad|>", "<|file_sep|>", "<|file_separator|>", "<|repo_name|>")),
    Names("<fim_prefix>", "<fim_suffix>", "<fim_middle>", others=(                # StarCoder, Granite, SmolLM, Refact
        "<fim_pad>", "<file_sep>", "<repo_name>", "<filename>")),
    Names("<fim-prefix>", "<fim-suffix>", "<fim-middle>", others=("<fim-pad>",)),  # SantaCoder
    Names("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),                     # DeepSeek-Coder
    Names("▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"),                                # CodeLlama
    Names("<PRE>", "<SUF>", "<MID>", "<EOT>"),                                    # as Bavarian et al. write them
    Names("[PREFIX]", "[SUFFIX]", "", others=("[MIDDLE]",)))                       # Codestral
KNOWN = frozenset(name for one in FAMILIES for name in (one.prefix, one.suffix, one.middle, *one.others) if name)


@dataclass(frozen=True)
class Fim:
    """The tokens of one model.

    Args:
        prefix, suffix, middle: by number; `middle` is None where the suffix stands first always.
        end: what a middle ends with; None where the model has no such token.
        never: tokens that no answer shows, and that end it.
    """

    prefix: int
    suffix: int
    middle: int | None
    end: int | None
    never: frozenset[int]

    def asked(self, prefix: Sequence[int], suffix: Sequence[int], *, first: bool = False) -> list[int]:
        """The tokens before a middle.

        Args:
            prefix, suffix: tokens of the texts around it.
            first: the suffix stands first (SPM), as Bavarian et al. (2022) write it in appendix D: both marks, the
                suffix, the mark of the middle, then the prefix, which the middle goes on with.
        """
        if self.middle is None:
            return [self.suffix, *suffix, self.prefix, *prefix]
        if first:
            return [self.prefix, self.suffix, *suffix, self.middle, *prefix]
        return [self.prefix, *prefix, self.suffix, *suffix, self.middle]


def fim_of(tokenizer: Any) -> Fim | None:
    """The tokens of a tokenizer of transformers; None where it has none of these families'."""
    words: dict[str, int] = tokenizer.get_vocab()
    for one in FAMILIES:
        if all(name in words for name in (one.prefix, one.suffix, one.middle) if name):
            numbers = [words[name] for name in (one.prefix, one.suffix, one.middle, one.end, *one.others)
                       if name in words]
            return Fim(words[one.prefix], words[one.suffix], words[one.middle] if one.middle else None,
                       words.get(one.end, tokenizer.eos_token_id), frozenset(numbers))
    return None
