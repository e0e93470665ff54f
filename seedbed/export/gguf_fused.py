"""Families whose queries, keys and values are one tensor: Falcon and BLOOM in GGUF files."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tasks.classify import Floats
from .gguf_family import Family

LEARNED = 2048
"""Tokens of BLOOM's texts, where its config does not say so."""


class Fused(Family):
    """One tensor holds, group by group, queries, their keys and their values. llama.cpp has all queries, then all the
    keys, then all values."""

    activation = "gelu"

    def norms(self, out: Any, config: Any) -> None:
        """Norms with a mean and a bias."""
        out.add_layer_norm_eps(config.layer_norm_epsilon)

    def turned(self, name: str, values: Floats, config: Any) -> Floats:
        """The three apart."""
        fused = ".query_key_value." in name
        return apart(values, config.num_attention_heads, self.groups(config)) if fused else values


class Falcon(Fused):
    """Falcon 7B, which has one head of keys for all queries; 40B and Falcon 2, which have several."""

    name = "falcon"

    def refusal(self, config: Any) -> str | None:
        """Falcon's smaller kinds, whose graph is another one."""
        return next((said for wrong, said in (
            (config.alibi, "Its attention fades with the distance (ALiBi); llama.cpp's Falcon turns heads instead."),
            (not (config.parallel_attn or config.new_decoder_architecture),
             "Its MLP reads what the attention gave, and llama.cpp's Falcon computes both beside each other."),
            (config.bias, "Its layers have biases, which llama.cpp's Falcon does not add.")) if wrong),
            super().refusal(config))

    def activated(self, config: Any) -> str:
        """Falcon has another word for it."""
        return str(config.activation)

    def inner(self, config: Any) -> int:
        """Falcon has another word for it."""
        return int(config.ffn_hidden_size)

    def groups(self, config: Any) -> int:
        """The older kind has one head of keys, or one for each of the queries."""
        if config.new_decoder_architecture:
            return int(config.num_kv_heads)
        return 1 if config.multi_query else int(config.num_attention_heads)


class Bloom(Fused):
    """BLOOM: a head of keys for each of the queries, and attention that fades with the distance."""

    name = "bloom"

    def refusal(self, config: Any) -> str | None:
        """One of its switches."""
        return ("Its layers add to what their norms give, and in llama.cpp to what came before the norms."
                if config.apply_residual_connection_post_layernorm else super().refusal(config))

    def activated(self, config: Any) -> str:
        """It has but one."""
        return self.activation

    def inner(self, config: Any) -> int:
        """Always that wide."""
        return 4 * int(config.hidden_size)

    def groups(self, config: Any) -> int:
        """Each head has keys of its own."""
        return int(config.num_attention_heads)

    def context(self, config: Any) -> int:
        """What it has learned; it has no limit."""
        return int(getattr(config, "seq_length", None) or LEARNED)

    def place(self, out: Any, config: Any) -> None:
        """Nothing turns; llama.cpp knows the paces."""


def apart(values: Floats, heads: int, groups: int) -> Floats:
    """All queries, then all keys, then all values. [groups x (heads / groups + 2) x width, ...]"""
    each = values.reshape(groups, heads // groups + 2, -1, *values.shape[1:])
    return np.concatenate([some.reshape(-1, *values.shape[1:]) for some in (each[:, :-2], each[:, -2], each[:, -1])])
