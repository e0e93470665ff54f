"""Body, pooling and head as one torch module, written so that tracing it loses nothing."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ...engines.base import TAGS
from ...engines.exported import describe
from ...errors import UserError
from ...models import kernels

if TYPE_CHECKING:
    from ...engines.base import Classifier, Reader

STATEFUL = ("lfm2", "lfm2_moe", "falcon_h1", "mamba", "mamba2", "jamba", "bamba", "zamba", "zamba2",
            "granitemoehybrid", "rwkv", "recurrent_gemma", "qwen3_next")
"""Families whose layers carry a state through the row: traced, they keep the length of the sample."""


class Graph(nn.Module):
    """Token ids and mask to logits, a vector, or log-probabilities of tags, as `Backbone` and the head on it answer.

    Args:
        model: in fp32; its attention is set to one that can be traced, so it is of no more use for training.
    """

    def __init__(self, model: Reader) -> None:
        super().__init__()
        backbone = model.backbone
        kernels.plain(backbone.root)
        if backbone.body.config._attn_implementation == kernels.ATTENTION:
            backbone.root.set_attn_implementation(
                "sdpa" if getattr(type(backbone.body), "_supports_sdpa", False) else "eager")
        self.body, self.causal = backbone.body, backbone.causal
        self.pooling, self.normalized = backbone.pooling, backbone.normalized
        self.tags = model.gives == TAGS
        self.head: nn.Module = nn.Identity()
        if model.weight is not None:
            self.head = linear = nn.Linear(backbone.width, len(model.bias))
            linear.weight = nn.Parameter(torch.as_tensor(model.weight), requires_grad=False)
            linear.bias = nn.Parameter(torch.as_tensor(model.bias), requires_grad=False)
        self.eval()

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """[rows, tokens], [rows, tokens] -> [rows, labels], [rows, width], or [rows, tokens, tags]"""
        # A causal model's real tokens never look at the padding on their right. To mask it would leave rows that
        # look at nothing beyond a sliding window, and their NaN would reach the mean.
        seen = torch.ones_like(ids) if self.causal else mask
        hidden = self.body(input_ids=ids, attention_mask=seen).last_hidden_state     # [rows, tokens, width]
        if self.tags:
            logs: Tensor = self.head(hidden).log_softmax(-1)
            return logs
        lengths = mask.sum(1)                                                        # [rows]
        if self.pooling == "last":
            pooled = hidden.gather(1, (lengths - 1)[:, None, None].expand(-1, 1, hidden.shape[2]))[:, 0]
        elif self.pooling == "cls":
            pooled = hidden[:, 0]
        else:
            real = mask[:, :, None].to(hidden.dtype)
            pooled = (hidden * real).sum(1) / lengths[:, None]
        if self.normalized:
            pooled = nn.functional.normalize(pooled, dim=-1)
        scores: Tensor = self.head(pooled)
        return scores


def sample() -> tuple[Tensor, Tensor]:
    """Ids and mask to trace with. One row is padded, on the left: a mask of ones would be taken for a constant and
    left out of the file."""
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    return torch.tensor([[1, 1, 2, 3, 4], [4, 3, 2, 1, 2]]), mask


def refuse(model: Classifier | Reader, target: str) -> None:
    """What no target can write.

    Raises:
        UserError: the model has no body to export, or is of a family that is known to come out wrong.
    """
    if not hasattr(model, "backbone"):
        raise UserError(f"A model of the kind {model.kind} needs no export to {target}: it runs without torch as it "
                        "is, in milliseconds.", "Use the bundle itself: seedbed predict BUNDLE")
    family = model.backbone.body.config.model_type
    if family in STATEFUL:
        raise UserError(f"Models of the family {family} carry a state through the text, which {target} would fix to "
                        "the length of one sample.", "Use the bundle itself, or train another base: seedbed models")
    if model.backbone.paired:
        raise UserError(f"Encoder-decoders ({family}) are exported as models that write alone.",
                        "Use the bundle itself, or train another base: seedbed models")
    if not getattr(model.backbone.tokenizer, "is_fast", False):
        raise UserError(f"The tokenizer of this model has no tokenizer.json, and {target} reads texts with that.",
                        "Train a base whose folder has one.")


def beside(model: Reader, folder: Path, kind: str, precision: str, *, alone: bool = False) -> None:
    """Write tokenizer and description next to the runtime's file."""
    backbone = model.backbone
    tokenizer = backbone.tokenizer
    describe(folder, kind, tokenizer.backend_tokenizer, gives=model.gives,
             labels=backbone.width if model.bias is None else len(model.bias), max_tokens=backbone.max_tokens,
             pad=tokenizer.pad_token_id or 0, empty=tokenizer.eos_token_id or 0, alone=alone, causal=backbone.causal,
             precision=precision)


@contextlib.contextmanager
def silently() -> Iterator[None]:
    """Within it nothing that an exporter warns of, logs or prints is shown: rooms never print, and what matters is
    measured afterwards. An exception keeps its words."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), \
                contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
