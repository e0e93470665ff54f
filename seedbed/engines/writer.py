"""A language model that writes, run by torch: the reference for every other engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..data.turns import Turn
from ..errors import UserError
from ..models.backbone import Backbone
from ..models.doctor import ends
from ..models.fim import fim_of
from ..models.template import Template
from ..models.texts import Texts
from ..options import check
from .cache import cache_of, read_once
from .sampling import Sampling

HALF = "\ufffd"
"""What a tokenizer gives for bytes that are not a whole character yet."""


class Writer:
    """Writes one text at a time.

    Args:
        backbone: opened with its vocabulary.
    """

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self.template = Template.of(backbone.tokenizer, backbone.root.config, backbone.max_tokens)
        self.ends = ends(backbone.tokenizer, backbone.root.generation_config)
        fim = fim_of(backbone.tokenizer)
        self.ends |= fim.never if fim else set()

    @cached_property
    def texts(self) -> Texts:
        """Reads texts that hold no special tokens, such as files.

        Raises:
            UserError: the tokenizer is a slow one.
        """
        return Texts(self.backbone.tokenizer, self.backbone.max_tokens)

    @classmethod
    def open(cls, folder: Path) -> Writer:
        """Open a model folder as transformers writes it, or a folder with a GGUF file.

        Raises:
            NotFound, CorruptFile: there is no model in it.
        """
        return cls(Backbone.open(folder, vocabulary=True, max_tokens=1 << 30))

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
        ids: list[int] = self.backbone.tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
        return self._fits(ids)

    def _fits(self, ids: list[int]) -> list[int]:
        if self.room(ids) < 1:
            raise UserError(f"The text has {len(ids):,} tokens and the model takes {self.backbone.max_tokens:,}.",
                            "Shorten it, or take a model with a longer context.")
        return ids

    def room(self, ids: Sequence[int]) -> int:
        """How many tokens the model can write after these; what an encoder read takes nothing from the decoder."""
        left = self.backbone.max_tokens - len(ids)
        return left if not self.backbone.paired or left < 0 else self.backbone.max_tokens

    def _pieces(self, ids: list[int], sampling: Sampling, most: int) -> Iterator[str]:
        """Text that is settled: whole characters that are not the beginning of a stop text."""
        stops = [one for one in sampling.stop if one]
        decode, held = self.backbone.tokenizer.decode, max(map(len, stops), default=1) - 1
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

    @torch.inference_mode()
    def _tokens(self, ids: list[int], sampling: Sampling, most: int) -> Iterator[int]:
        generator = torch.Generator().manual_seed(sampling.seed)
        root, device = self.backbone.root, self.backbone.device
        new, name = torch.tensor([ids], device=device), "input_ids"
        if self.backbone.paired:
            given, name = read_once(root, new), "decoder_input_ids"
            new = torch.tensor([[self.template.start]], device=device)
        else:
            given = {"past_key_values": cache_of(root.config), "logits_to_keep": 1}
        for _ in range(most):
            scores = root(**{name: new}, use_cache=True, **given).logits
            token = draw(scores[0, -1].float().cpu(), sampling, generator)  # the same draw on every device
            if token in self.ends:
                return
            yield token
            new = torch.tensor([[token]], device=device)


def draw(scores: Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """One token. scores: [words]"""
    if sampling.temperature == 0:
        return int(scores.argmax())
    chances = (scores / sampling.temperature).softmax(-1)
    if sampling.top_p < 1:  # nucleus sampling, Holtzman et al. 2020
        ordered, places = chances.sort(descending=True)
        kept = ordered.cumsum(0) - ordered < sampling.top_p
        chances = torch.zeros_like(chances).scatter(0, places[kept], ordered[kept])
    return int(torch.multinomial(chances, 1, generator=generator))
