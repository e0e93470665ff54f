"""A language model that writes, run by torch: the reference for every other engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ..models.backbone import Backbone
from ..models.doctor import ends
from .author import Author
from .cache import cache_of, read_once


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

    def _begin(self, ids: list[int]) -> tuple[Callable[[list[int]], Tensor], list[int]]:
        root, device = self.backbone.root, self.backbone.device
        given, name, first = {"past_key_values": cache_of(root.config), "logits_to_keep": 1}, "input_ids", list(ids)
        if self.template.start is not None:
            with torch.inference_mode():
                given = read_once(root, torch.tensor([ids], device=device))
            name, first = "decoder_input_ids", [self.template.start]

        @torch.inference_mode()
        def read(new: list[int]) -> Tensor:
            scores: Tensor = root(**{name: torch.tensor([new], device=device)}, use_cache=True, **given).logits
            return scores[0, -1].float().cpu()  # the same draw on every device
        return read, first
