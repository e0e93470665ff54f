"""Answers that are JSON of a schema: what breaks it cannot be written (llguidance)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError

SPACE = r"( |\n[ \t]{0,32})?"
"""Between the parts of an answer: nothing, a space, or a new line and its indentation. With more a model can write
white space for ever. A schema may say otherwise (`x-guidance`)."""


class Form:
    """A schema in the words of one tokenizer.

    Args:
        schema: a JSON schema, as text.
        tokenizer: of transformers.
        ends: tokens at which the model stops.

    Raises:
        UserError: the tokenizer has no words for JSON, or the schema says what cannot be held to word by word.
    """

    def __init__(self, schema: str, tokenizer: Any, ends: set[int]) -> None:
        from llguidance import LLMatcher
        from llguidance.hf import from_tokenizer

        try:
            self._words = from_tokenizer(tokenizer, eos_token=sorted(ends))
        except ValueError as problem:
            raise UserError(f"With this model's tokenizer answers cannot be held to a schema: {_first(problem)}.",
                            "Write without one.") from None
        self._grammar = LLMatcher.grammar_from_json_schema(schema, defaults={"whitespace_pattern": SPACE})
        failed, said = LLMatcher.validate_grammar_with_warnings(self._grammar, self._words)
        if failed:
            raise UserError(f"Answers cannot be held to this schema word by word: {_first(said[0])}.",
                            "Leave out what is named, or write without a schema.")

    def begin(self) -> Course:
        """For one answer."""
        from llguidance import LLMatcher

        return Course(LLMatcher(self._words, self._grammar, log_level=0))


class Course:
    """One answer as it comes to be."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    @property
    def ended(self) -> bool:
        """Nothing more may follow."""
        return bool(self._matcher.is_stopped())

    def allowed(self, words: int) -> Tensor:
        """Whether each word may follow. [words]; a model may have more than its tokenizer, and they never may"""
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        return torch.from_numpy(np.unpackbits(bits, count=words, bitorder="little")).bool()

    def forced(self) -> list[int]:
        """Words that must follow now, as the tokenizer reads them; they count as written."""
        words: list[int] = self._matcher.compute_ff_tokens()
        self._matcher.consume_tokens(words)
        return words

    def take(self, token: int) -> None:
        """A word that was written."""
        self._matcher.consume_token(token)


def _first(problem: object) -> str:
    return str(problem).strip().splitlines()[0].rstrip(".")
