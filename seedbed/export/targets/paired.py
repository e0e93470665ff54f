"""An encoder-decoder as two graphs: what the encoder reads becomes keys and values once, the decoder goes on with
them.

They are traced with masks and positions of their own, as `stateful` does it: what transformers makes inside a trace
would keep the length of the sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, DynamicCache, EncoderDecoderCache
from transformers.cache_utils import DynamicLayer

from .stateful import HIDDEN, attend

ATTENTION = "seedbed_paired"
SAMPLE_SOURCE, SAMPLE_PAST, SAMPLE_NEW = 5, 3, 2
"""Tokens of what is traced; no two alike, so that no length is taken for another."""


def attend_placed(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
                  position_bias: Tensor | None = None, **more: Any) -> tuple[Tensor, None]:
    """`stateful.attend` with what T5 adds for distances. [rows, heads, tokens, width] each"""
    if position_bias is not None:
        attention_mask = position_bias if attention_mask is None else attention_mask + position_bias
    return attend(module, query, key, value, attention_mask, **more)


class Kept(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer, [rows, heads, tokens, width], whose length is that of the tensors: transformers
    asks first whether there are any, which a trace would answer once for all."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.keys, self.values, self.is_initialized = keys, values, True
        self.dtype, self.device = keys.dtype, keys.device

    def get_seq_length(self) -> int:
        """Tokens that were read."""
        return self.keys.shape[-2]


class Encoder(nn.Module):
    """Tokens of the source and which of them are real; keys and values of each of the decoder's layers.

    Args:
        root: transformers' model, as `opened` gives it.
    """

    def __init__(self, root: Any) -> None:
        super().__init__()
        self.body = root.get_encoder()
        self.crosses = nn.ModuleList(_crosses(root))
        self.eval()

    def forward(self, ids: Tensor, mask: Tensor) -> Any:
        """[rows, source], [rows, source] -> 2 x layers of [rows, heads, source, width]"""
        read = self.body(input_ids=ids, attention_mask=unseen(mask)).last_hidden_state
        return tuple(self._split(part(read), one) for one in self.crosses for part in _parts(one))

    def _split(self, states: Tensor, attention: nn.Module) -> Tensor:
        rows, tokens, _ = states.shape
        return states.view(rows, tokens, *_heads(attention)).transpose(1, 2)


class Decoder(nn.Module):
    """New tokens, which tokens of the source are real, and keys and values of the source and of what was said before;
    logits, and the latter anew.

    Args:
        root: transformers' model, as `opened` gives it.
    """

    def __init__(self, root: Any) -> None:
        super().__init__()
        self.root, self.layers = root, len(_crosses(root))
        self.eval()

    def forward(self, ids: Tensor, mask: Tensor, kept: list[Tensor]) -> Any:
        """[rows, new], [rows, source], 2 x layers of [rows, heads, source, width] and as many of [.., past, ..]"""
        caches = []
        for some in (kept[2 * self.layers:], kept[:2 * self.layers]):
            cache = DynamicCache()
            cache.layers = [Kept(keys, values) for keys, values in zip(some[::2], some[1::2], strict=True)]
            caches.append(cache)
        own, cross = caches
        both = EncoderDecoderCache(DynamicCache(), DynamicCache())
        both.self_attention_cache, both.cross_attention_cache = own, cross
        both.is_updated = dict.fromkeys(range(self.layers), True)
        past = own.layers[0].get_seq_length()
        said = self.root(
            encoder_outputs=(kept[0][:, 0],), attention_mask=unseen(mask), decoder_input_ids=ids,
            decoder_attention_mask=_later(ids, past), past_key_values=both, use_cache=True)
        return said.logits, *chain.from_iterable((layer.keys, layer.values) for layer in own.layers)


def opened(model: Path) -> Any:
    """A model folder in fp32, so that tracing it loses nothing."""
    from transformers import AutoModelForSeq2SeqLM

    AttentionInterface.register(ATTENTION, attend_placed)
    root = AutoModelForSeq2SeqLM.from_pretrained(model, dtype=torch.float32, local_files_only=True,
                                                 attn_implementation=ATTENTION)
    for module in root.modules():
        if getattr(module, "has_relative_attention_bias", False):
            _tabled(module)
    return root.eval()


def unseen(mask: Tensor) -> Tensor:
    """What is added to what each token sees of the source. [rows, source] -> [rows, 1, 1, source]"""
    return torch.where(mask[:, None, None, :] > 0, 0.0, HIDDEN)


def _later(ids: Tensor, past: Any) -> Tensor:
    """The same of what the decoder says: no token sees a later one. -> [rows, 1, new, all]"""
    own = torch.arange(ids.shape[1], device=ids.device) + past                           # [new]
    whole = torch.arange(ids.shape[1] + past, device=ids.device)                         # [all]
    seen = (own[:, None] >= whole[None, :])[None, None].expand(ids.shape[0], -1, -1, -1)
    return torch.where(seen, 0.0, HIDDEN)


def _tabled(attention: Any) -> None:
    """Let T5 look up what it adds for a distance in a table that torch made: the logarithm by which it puts distances
    together is rounded otherwise in other runtimes, and at a bound the distance would fall on the other side."""
    far, both = attention.relative_attention_max_distance, not attention.is_decoder
    with torch.no_grad():
        buckets = attention._relative_position_bucket(
            torch.arange(-far, far + 1), bidirectional=both, num_buckets=attention.relative_attention_num_buckets,
            max_distance=far)
        attention.register_buffer("by_distance", attention.relative_attention_bias(buckets))    # [distances, heads]

    def bias(new: Any, every: Any, device: Any = None, past_seen_tokens: Any = 0) -> Tensor:
        own = torch.arange(new, device=device) + past_seen_tokens
        apart = (torch.arange(every, device=device)[None, :] - own[:, None]).clamp(-far, far) + far
        found: Tensor = attention.by_distance[apart].permute(2, 0, 1)[None]              # [1, heads, new, all]
        return found
    attention.compute_bias = bias


def _crosses(root: Any) -> list[Any]:
    """The attention of each of the decoder's layers that looks at the source."""
    names = ("EncDecAttention", "encoder_attn")
    return [module for name, module in root.get_decoder().named_modules() if name.rpartition(".")[2] in names]


def _parts(attention: Any) -> tuple[nn.Module, nn.Module]:
    return (attention.k, attention.v) if hasattr(attention, "k") else (attention.k_proj, attention.v_proj)


def _heads(attention: Any) -> tuple[int, int]:
    """How many, and how wide."""
    if hasattr(attention, "n_heads"):
        return attention.n_heads, attention.key_value_proj_dim
    return attention.num_heads, attention.head_dim


@dataclass(frozen=True)
class Traced:
    """A module and what it is traced with.

    Args:
        kept: names of the keys and values that it takes.
        given: names of what it gives.
        heads, width: of those keys and values.
        hidden: width of the model.
    """

    module: nn.Module
    sample: tuple[Any, ...]
    kept: list[str]
    given: list[str]
    heads: int
    width: int
    hidden: int


def traced(root: Any) -> tuple[Traced, Traced]:
    """Encoder and decoder. One source of the sample is padded: a mask of ones would be taken for a constant."""
    crosses = _crosses(root)
    shape = (*_heads(crosses[0]), int(root.config.hidden_size))
    mask = torch.ones(2, SAMPLE_SOURCE, dtype=torch.long)
    mask[0, -2:] = 0
    ids = torch.arange(3, 3 + 2 * SAMPLE_SOURCE).view(2, -1)
    kept = [torch.zeros(2, shape[0], tokens, shape[1]) for tokens in (SAMPLE_SOURCE, SAMPLE_PAST)
            for _ in range(2 * len(crosses))]
    cross, past, more = ([f"{what}_{kind}.{layer}" for layer in range(len(crosses)) for kind in ("key", "value")]
                         for what in ("cross", "past", "kept"))
    return (Traced(Encoder(root), (ids, mask), [], cross, *shape),
            Traced(Decoder(root), (torch.tensor([[5, 6], [7, 8]]), mask, kept), [*cross, *past], ["logits", *more],
                   *shape))
