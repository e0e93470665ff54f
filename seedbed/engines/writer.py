"""A language model that writes, run by torch: the reference for every other engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from ..models.backbone import Backbone
from ..models.doctor import ends
from .author import Author
from .cache import cache_of, read_once
from .sampling import Sampling


class Writer(Author):
    """Writes one text at a time.

    Args:
        backbone: opened with its vocabulary.
    """

    def __init__(self, backbone: Backbone) -> None:
        self.backbone, self.paired = backbone, backbone.paired
        super().__init__(backbone.tokenizer, backbone.root.config,
                         ends(backbone.tokenizer, backbone.root.generation_config), backbone.max_tokens)

    @classmethod
    def open(cls, folder: Path) -> Writer:
        """Open a model folder as transformers writes it, or a folder with a GGUF file.

        Raises:
            NotFound, CorruptFile: there is no model in it.
        """
        return cls(Backbone.open(folder, vocabulary=True, max_tokens=1 << 30))

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
