"""Writing one text at a time, whatever runs the model: prompts, tokens, what ends an answer, whole characters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

from torch import Tensor

from ..data.turns import Turn
from ..errors import UserError
from ..models.fim import fim_of
from ..models.template import Template
from ..models.texts import Texts
from ..options import check
from .drawing import Drawing
from .form import Form
from .sampling import Sampling

HALF = "\ufffd"
"""What a tokenizer gives for bytes that are not a whole character yet."""


class Author(ABC):
    """A model that writes.

    Args:
        tokenizer: of transformers.
        config: of the model, likewise.
        ends: tokens at which it stops.
        max_tokens: of its context.
    """

    runtime: Any = None
    """Of a form that was exported: gives logits of tokens, as it proves itself by."""
    paired = False
    """An encoder reads the prompt, so that it takes nothing from what the decoder may write."""

    def __init__(self, tokenizer: Any, config: Any, ends: set[int], max_tokens: int) -> None:
        self.tokenizer, self.max_tokens = tokenizer, max_tokens
        self.template = Template.of(tokenizer, config, max_tokens)
        fim = fim_of(tokenizer)
        self.ends = ends | (fim.never if fim else set())
        self._forms = dict[str, Form]()

    @abstractmethod
    def _begin(self, ids: list[int]) -> tuple[Callable[[list[int]], Tensor], list[int]]:
        """What reads further tokens and gives the scores of the word after them ([words], fp32, on the CPU); and the
        tokens to read first."""

    def _tokens(self, ids: list[int], sampling: Sampling, most: int) -> Iterator[int]:
        """Tokens that follow these, until one of `ends`, which is not given, or `most`."""
        drawing = self.drawing(sampling)
        read, new = self._begin(ids)
        while most > 0 and not drawing.ended:
            some = drawing.forced()[:most]
            if not some:
                some, new = [drawing.next(read(new))], []
            for token in some:
                if token in self.ends:
                    return
                yield token
            new += some
            most -= len(some)

    def drawing(self, sampling: Sampling, row: int = 0) -> Drawing:
        """What draws the words of one answer.

        Args:
            row: its number, where several are written together.
        """
        return Drawing(sampling, self.form(sampling.schema).begin() if sampling.schema else None, row)

    def form(self, schema: str) -> Form:
        """A schema in the model's words.

        Raises:
            UserError: this model's answers cannot be held to it.
        """
        if schema not in self._forms:
            self._forms[schema] = Form(schema, self.tokenizer, self.ends)
        return self._forms[schema]

    @cached_property
    def texts(self) -> Texts:
        """Reads texts that hold no special tokens, such as files.

        Raises:
            UserError: the tokenizer is a slow one.
        """
        return Texts(self.tokenizer, self.max_tokens)

    def answer(self, messages: Sequence[Turn], sampling: Sampling = Sampling(),
               tools: Sequence[dict[str, Any]] = ()) -> Iterator[str]:
        """The assistant's next turn, in pieces as it is written. The prompt is rendered as in training.

        Raises:
            UserError: the prompt fills the model's whole context.
        """
        check(sampling)
        ids = self.asked(messages, tools)
        return self._pieces(ids, sampling, min(self.room(ids), sampling.max_tokens))

    def asked(self, messages: Sequence[Turn], tools: Sequence[dict[str, Any]] = ()) -> list[int]:
        """Tokens of a conversation that leave room for an answer, as in training.

        Raises:
            UserError: it fills the model's whole context.
        """
        return self._fits(self.template.ids(messages, tools))

    def go_on(self, text: str, sampling: Sampling = Sampling(), *, special: bool = True) -> Iterator[str]:
        """What follows a text, in pieces as it is written; from an encoder-decoder what it says to the text.

        Args:
            special: put the model's special tokens (a beginning) before it; a rendered prompt has them already.

        Raises:
            UserError: the text fills the model's whole context; a value is out of bounds.
        """
        check(sampling)
        ids = self.read(text, special=special)
        return self._pieces(ids, sampling, min(self.room(ids), sampling.max_tokens))

    def fill(self, prefix: str, suffix: str, sampling: Sampling = Sampling()) -> Iterator[str]:
        """What stands between two texts, in pieces as it is written.

        Raises:
            UserError: the model has no tokens for it; the texts fill its whole context; a value is out of bounds.
        """
        check(sampling)
        ids = self._fits(self.texts.gap(prefix, suffix))
        return self._pieces(ids, sampling, min(self.room(ids), sampling.max_tokens))

    def read(self, text: str, *, special: bool) -> list[int]:
        """Tokens of a text that leave room to go on.

        Raises:
            UserError: it fills the model's whole context.
        """
        ids: list[int] = self.tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
        return self._fits(ids)

    def _fits(self, ids: list[int]) -> list[int]:
        if self.room(ids) < 1:
            raise UserError(f"The text has {len(ids):,} tokens and the model takes {self.max_tokens:,}.",
                            "Shorten it, or take a model with a longer context.")
        return ids

    def room(self, ids: Sequence[int]) -> int:
        """How many tokens the model can write after these; what an encoder read takes nothing from the decoder."""
        left = self.max_tokens - len(ids)
        return left if not self.paired or left < 0 else self.max_tokens

    def _pieces(self, ids: list[int], sampling: Sampling, most: int) -> Iterator[str]:
        """Text that is settled: whole characters that are not the beginning of a stop text."""
        stops = [one for one in sampling.stop if one]
        decode, held = self.tokenizer.decode, max(map(len, stops), default=1) - 1
        made, shown = list[int](), 0
        for token in self._tokens(ids, sampling, most):
            made.append(token)
            text = decode(made, skip_special_tokens=True)
            at = min((place for one in stops if (place := text.find(one)) >= 0), default=-1)
            if at >= 0:
                yield text[shown:at]
                return
            settled = len(text.rstrip(HALF)) - held
            if settled > shown:
                yield text[shown:settled]
                shown = settled
        yield decode(made, skip_special_tokens=True)[shown:]
