"""A transformer that gives a text a vector, run by torch: the reference engine of models that embed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from ..errors import CorruptFile, UserError, lacking
from ..models.backbone import DESCRIPTION, Backbone
from ..tasks.classify import Floats
from .base import VECTOR


class Embedder:
    """What a body's tokens give together, pooled and scaled as its folder says.

    Args:
        backbone: body, tokenizer and pooling.
    """

    kind, gives = "embedder", VECTOR
    weight: Any = None
    bias: Any = None

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone

    def vectors(self, texts: Sequence[str]) -> Floats:
        """[texts, width]"""
        return np.asarray(self.backbone.embed(texts).numpy(), np.float32)

    @classmethod
    def load(cls, folder: Path, *, exactly: bool = False) -> Self:
        """Open the model of a run of `seedbed train --task embed`.

        Args:
            exactly: in fp32, whatever this machine would choose.

        Raises:
            NotFound, CorruptFile: a file is missing or cannot be read.
        """
        try:
            if not (folder / DESCRIPTION).is_file():  # it would open, and pool in another way
                raise ValueError(f"{DESCRIPTION} is missing")
            return cls(Backbone.open(folder, dtype=torch.float32 if exactly else None))
        except UserError:
            raise
        except (OSError, KeyError, ValueError, RuntimeError) as problem:
            if lacking(problem):
                raise
            raise CorruptFile(f"The model in {folder} cannot be read: {problem}.",
                              "Copy the bundle again, or train it again.") from problem
