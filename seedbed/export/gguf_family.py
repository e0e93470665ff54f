"""How llama.cpp has a family of models: its name, its facts, its weights. Llama's own, and Qwen 2's, are here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..tasks.classify import Floats

FREQUENCIES = "rope_freqs.weight"
"""By how much each frequency of the positions is divided; no tensor of transformers."""
Tensors = Iterable[tuple[str, Floats]]


class Family:
    """What most families share. Others say what they have otherwise.

    Attributes:
        name: llama.cpp's name of it.
        activation: that its graph computes, whatever the file says.
        ropes: kinds of positions that its graph reads.
        windowed: layers that look back only so far do so there too.
        headed: the words are scored by a tensor of their own, even if it is the table of words once more.
    """

    name = ""
    activation = "silu"
    ropes: tuple[str, ...] = ("default", "linear")
    windowed = False
    headed = False

    def refusal(self, config: Any) -> str | None:
        """What llama.cpp's graph would compute otherwise than the model; None where there is nothing."""
        if (kind := rope_of(config)["rope_type"]) not in self.ropes:
            return f"Positions of the kind {kind} are not exported to GGUF here."
        if (act := self.activated(config)) != self.activation:
            return f"The activation {act} is not what llama.cpp computes for {config.model_type}."
        return None

    def activated(self, config: Any) -> str:
        """The activation of the model."""
        return str(config.hidden_act)

    def describe(self, out: Any, config: Any) -> None:
        """Write what llama.cpp must know of the shape.

        Args:
            out: a `GGUFWriter`.
        """
        heads, width = config.num_attention_heads, head_of(config)
        out.add_block_count(config.num_hidden_layers)
        out.add_context_length(self.context(config))
        out.add_embedding_length(config.hidden_size)
        out.add_feed_forward_length(self.inner(config))
        out.add_head_count(heads)
        out.add_head_count_kv(self.groups(config))
        self.norms(out, config)
        out.add_vocab_size(config.vocab_size)
        if width * heads != config.hidden_size:
            out.add_key_length(width)
            out.add_value_length(width)
        self.place(out, config)

    def inner(self, config: Any) -> int:
        """Width of the MLP."""
        return int(config.intermediate_size)

    def groups(self, config: Any) -> int:
        """Heads of keys."""
        return int(config.num_key_value_heads or config.num_attention_heads)

    def context(self, config: Any) -> int:
        """Most tokens of a text."""
        return int(config.max_position_embeddings)

    def norms(self, out: Any, config: Any) -> None:
        """Write what is added under the root of the norms."""
        out.add_layer_norm_rms_eps(config.rms_norm_eps)

    def place(self, out: Any, config: Any) -> None:
        """Write what llama.cpp must know of the positions."""
        add_rope(out, rope_of(config), head_of(config))

    def tensors(self, stored: Tensors, config: Any) -> Iterator[tuple[str, Floats]]:
        """The tensors of the file, named as transformers names them.

        Args:
            stored: those of the model's files.
        """
        for name, values in stored:
            yield name, self.turned(name, values, config)

    def turned(self, name: str, values: Floats, config: Any) -> Floats:
        """A tensor as llama.cpp has it."""
        return values


class Llama(Family):
    """Llama and Mistral: llama.cpp turns neighbours, and transformers the two halves of a head. Rows of queries and
    keys then stand in another order."""

    name = "llama"
    ropes = ("default", "linear", "llama3")

    def tensors(self, stored: Tensors, config: Any) -> Iterator[tuple[str, Floats]]:
        """The frequencies of Llama 3 stand in a tensor."""
        yield from super().tensors(stored, config)
        if rope_of(config)["rope_type"] == "llama3":
            yield FREQUENCIES, llama3(config)

    def turned(self, name: str, values: Floats, config: Any) -> Floats:
        """Queries and keys in the other order."""
        heads = {"q_proj": config.num_attention_heads, "k_proj": self.groups(config)}.get(name.split(".")[-2])
        return neighbours(values, heads) if heads else values


class Qwen2(Family):
    """Qwen 2: as transformers has it."""

    name = "qwen2"


def neighbours(values: Floats, heads: int) -> Floats:
    """Rows of queries or keys, in pairs of neighbours instead of two halves of a head. [heads x width, ...]"""
    return np.ascontiguousarray(values.reshape(heads, 2, -1, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape))


def add_rope(out: Any, rope: dict[str, Any], width: int) -> None:
    """Write how positions turn the heads.

    Args:
        rope: as `rope_of` gives it.
        width: of a head.
    """
    import gguf

    out.add_rope_dimension_count(width)
    out.add_rope_freq_base(float(rope["rope_theta"]))
    if rope["rope_type"] == "linear":
        out.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        out.add_rope_scaling_factor(float(rope["factor"]))


def llama3(config: Any) -> Floats:
    """By how much each frequency is divided (Llama 3.1), as `rope_freqs` has it. [head width / 2]"""
    rope, width = rope_of(config), head_of(config)
    factor, low, high = (float(rope[name]) for name in ("factor", "low_freq_factor", "high_freq_factor"))
    old = float(rope["original_max_position_embeddings"])
    out = []
    for place in range(0, width, 2):
        wave = 2 * math.pi * float(rope["rope_theta"]) ** (place / width)
        smooth = (old / wave - low) / (high - low)
        out.append(1.0 if wave < old / high else factor if wave > old / low else
                   1 / ((1 - smooth) / factor + smooth))
    return np.array(out, np.float32)


def rope_of(config: Any, kind: str | None = None) -> dict[str, Any]:
    """How a model turns its heads by their positions.

    Args:
        kind: of layers, where each kind does it in its own way.
    """
    rope = dict(getattr(config, "rope_parameters", None) or {})
    rope = dict(rope.get(kind) or {}) if kind else rope
    return {"rope_type": "default", "rope_theta": getattr(config, "rope_theta", 10_000.0), **rope}


def head_of(config: Any) -> int:
    """Width of a head."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
