"""A transformer body with a linear head, run by torch: the reference engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import CorruptFile, lacking
from ..tasks.classify import Floats
from .base import LABELS, read_kind, write_kind

if TYPE_CHECKING:
    from ..models.backbone import Backbone

BODY, HEAD = "body", "head.safetensors"


class TransformerHead:
    """`backbone(text) @ weight.T + bias`. Frozen sentence embeddings and fine-tuned models are both this.

    Args:
        backbone: body, tokenizer and pooling.
        weight: [labels, width], fp32.
        bias: [labels], fp32.
    """

    kind, gives = "transformer", LABELS

    def __init__(self, backbone: Backbone, weight: Any, bias: Any) -> None:
        self.backbone = backbone
        # safetensors writes the memory as it lies: of a transposed view that would be other numbers
        self.weight, self.bias = (np.ascontiguousarray(one, np.float32) for one in (weight, bias))

    def logits(self, texts: Sequence[str]) -> Floats:
        """[texts, labels]"""
        if not texts:
            return np.zeros((0, len(self.bias)), np.float32)
        return np.asarray(self.backbone.embed(texts).numpy() @ self.weight.T + self.bias, np.float32)

    def save(self, folder: Path) -> None:
        """Write `body/` (as transformers writes a model), `head.safetensors` and `engine.json`."""
        from safetensors.numpy import save_file
        self.backbone.save(folder / BODY)
        save_file({"weight": self.weight, "bias": self.bias}, folder / HEAD)
        write_kind(folder, self.kind)

    @classmethod
    def load(cls, folder: Path, *, exactly: bool = False) -> TransformerHead:
        """Open what `save` wrote.

        Args:
            exactly: in fp32, whatever this machine would choose.

        Raises:
            NotFound, CorruptFile: a file is missing or cannot be read.
        """
        import torch
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        from ..models.backbone import DESCRIPTION, Backbone
        read_kind(folder)
        try:
            head = load_file(folder / HEAD)
            if not (folder / BODY / DESCRIPTION).is_file():  # it would open, and pool in another way
                raise ValueError(f"{BODY}/{DESCRIPTION} is missing")
            backbone = Backbone.open(folder / BODY, dtype=torch.float32 if exactly else None)
            if head["weight"].shape != (len(head["bias"]), backbone.width):
                raise ValueError(f"the head is {head['weight'].shape}, the body's vectors have {backbone.width}")
            return cls(backbone, head["weight"], head["bias"])
        except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as problem:
            if lacking(problem):
                raise
            raise CorruptFile(f"The model in {folder} cannot be read: {problem}.",
                              "Make the bundle again from its run.") from problem

    @property
    def size(self) -> int:
        body = sum(p.numel() * p.element_size() for p in self.backbone.body.parameters())
        return int(body + self.weight.nbytes + self.bias.nbytes)
