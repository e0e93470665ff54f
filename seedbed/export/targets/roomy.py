"""A causal model that keeps its keys and values in room of its own, as ExecuTorch's runners for phones take it: new
tokens and the place of the first of them go in, logits come out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, DynamicCache
from transformers.cache_utils import DynamicLayer

from .stateful import HIDDEN

ATTENTION = "seedbed_roomy"


class Kept(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer, [1, room, heads, width] as ExecuTorch's attention has them.

    Args:
        start: the place of the first new token.
    """

    def __init__(self, keys: Tensor, values: Tensor, start: Any) -> None:
        super().__init__()
        self.keys, self.values, self.start, self.is_initialized = keys, values, start, True
        self.dtype, self.device = keys.dtype, keys.device

    def update(self, keys: Tensor, values: Tensor, *more: Any, **named: Any) -> tuple[Tensor, Tensor]:
        """Write what is new, [1, heads, new, width] each, and give the whole room."""
        for new, kept in ((keys, self.keys), (values, self.values)):
            torch.ops.llama.update_cache(new.transpose(1, 2).contiguous(), kept, self.start)
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """Tokens that were read before."""
        return int(self.start)


def attend(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
           scaling: float | None = None, sliding_window: int | None = None, start: Any = 0, **more: Any
           ) -> tuple[Tensor, None]:
    """ExecuTorch's attention with a cache: it sees what was read and none of the room behind it. With a mask, as a
    window needs, it computes the whole room; that is zeros or what was read before, which the runtimes see to.

    Args:
        query: [1, heads, new, width]
        key, value: [1, room, heads, width]
        start: the place of the first new token.
    """
    asks, mask = query.transpose(1, 2).contiguous(), None
    if sliding_window is not None and sliding_window < key.shape[1]:
        own = torch.arange(asks.shape[1]) + start
        apart = own[:, None] - torch.arange(key.shape[1])[None, :]                          # [new, room]
        mask = torch.where((apart >= 0) & (apart < sliding_window), 0.0, HIDDEN)
    return torch.ops.llama.custom_sdpa(asks, key, value, start, mask, 0.0, mask is None, scaling), None


class Roomy(nn.Module):
    """New tokens and the place of the first; logits after each of them.

    Args:
        root: transformers' model with its vocabulary, of no more use afterwards.
        room: tokens that it keeps.
    """

    def __init__(self, root: Any, room: int) -> None:
        super().__init__()
        AttentionInterface.register(ATTENTION, attend)
        config = root.config
        config._attn_implementation = root.base_model.config._attn_implementation = ATTENTION
        heads = config.num_key_value_heads or config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.root, self.room, self.layers = root, room, config.num_hidden_layers
        for layer in range(self.layers):
            for kind in ("keys", "values"):
                self.register_buffer(f"{kind}_{layer}", torch.zeros(1, room, heads, width), persistent=False)
        self.eval()

    def forward(self, ids: Tensor, start: Tensor) -> Tensor:
        """[1, new], [1] -> [1, new, words]"""
        at, new = start[0].item(), ids.shape[1]
        for known in (at >= 0, at < self.room, at + new <= self.room):
            torch._check(known)  # type: ignore[no-untyped-call]
        cache = DynamicCache()
        cache.layers = [Kept(getattr(self, f"keys_{layer}"), getattr(self, f"values_{layer}"), at)
                        for layer in range(self.layers)]
        places = (torch.arange(new) + start)[None]
        said: Tensor = self.root(input_ids=ids, position_ids=places, past_key_values=cache, use_cache=True,
                                 start=at).logits
        return said
