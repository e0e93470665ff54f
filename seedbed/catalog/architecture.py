"""The shape of a model, and how many parameters follow from it.

The counts follow the layers of the transformers classes named in the cards; a test holds them against the
counts that the models' authors publish.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from ..records import Record

Family = Literal["llama", "mistral", "qwen2", "gemma3", "falcon", "bert", "t5"]
BERT_TOKEN_TYPES = 2
T5_POSITION_BUCKETS = 32


class Architecture(Record):
    """Figures of a model's published config."""

    model_class: str
    """The class in transformers, for instance `LlamaForCausalLM`."""
    family: Family
    layers: int = Field(gt=0)
    """For an encoder-decoder: layers of the encoder."""
    decoder_layers: int = Field(default=0, ge=0)
    """Layers of the decoder of an encoder-decoder; 0 for every other model."""
    hidden: int = Field(gt=0)
    intermediate: int = Field(gt=0)
    heads: int = Field(gt=0)
    kv_heads: int = Field(gt=0)
    head_dim: int = Field(gt=0)
    vocabulary: int = Field(gt=0)
    tied_embeddings: bool
    """The output vocabulary is the input embedding; nothing is stored twice."""
    positions: int = Field(default=0, ge=0)
    """Learned position vectors (BERT); 0 where positions are rotated in."""
    sliding_window: int | None = Field(default=None, gt=0)
    """Tokens that a windowed layer sees back; None when every layer sees everything."""
    full_attention_every: int | None = Field(default=None, gt=0)
    """With a window: each n-th layer sees everything. None: every layer is windowed."""
    extra_parameters: int = Field(default=0, ge=0)
    """Parameters outside the text model: an image tower, a classifier on top."""

    @property
    def generates(self) -> bool:
        """It writes text; the others only read."""
        return self.family != "bert"

    @property
    def query(self) -> int:
        """Width of all query heads."""
        return self.heads * self.head_dim

    @property
    def key(self) -> int:
        """Width of all key heads; the values are as wide."""
        return self.kv_heads * self.head_dim

    @property
    def gated(self) -> bool:
        """The feed-forward part has three matrices (gate, up, down), not two."""
        return self.family not in ("falcon", "bert")


@dataclass(frozen=True)
class Block:
    """Layers of one kind.

    Args:
        layers: how many there are.
        matrices: (inputs, outputs) of each linear matrix in one layer.
        small: norms and biases of one layer.
    """

    layers: int
    matrices: tuple[tuple[int, int], ...]
    small: int

    @property
    def linear(self) -> int:
        """Parameters of one layer's matrices."""
        return sum(inputs * outputs for inputs, outputs in self.matrices)


@dataclass(frozen=True)
class Parameters:
    """Parameters by how they are stored.

    Args:
        tables: token, position and type embeddings.
        head: the output vocabulary where it is not tied; else 0.
        linear: matrices inside the layers, which quantization shrinks.
        small: norms and biases, which stay as they are.
        extra: outside the text model.
    """

    tables: int
    head: int
    linear: int
    small: int
    extra: int

    @property
    def total(self) -> int:
        return self.tables + self.head + self.linear + self.small + self.extra


def blocks(a: Architecture) -> tuple[Block, ...]:
    """The kinds of layers of a model."""
    h, i, q, k = a.hidden, a.intermediate, a.query, a.key
    attention = ((h, q), (h, k), (h, k), (q, h))
    feed_forward = ((h, i), (h, i), (i, h)) if a.gated else ((h, i), (i, h))
    if a.family == "t5":
        encoder = Block(a.layers, attention + feed_forward, 2 * h)
        return encoder, Block(a.decoder_layers, attention * 2 + feed_forward, 3 * h)
    if a.family == "falcon":  # query, key and value are one matrix; one norm with bias serves both halves
        return (Block(a.layers, ((h, q + 2 * k), (q, h), *feed_forward), 2 * h),)
    small = {"llama": 2 * h, "mistral": 2 * h, "qwen2": 2 * h + q + 2 * k, "gemma3": 4 * h + 2 * a.head_dim,
             "bert": q + 2 * k + h + i + h + 4 * h}[a.family]
    return (Block(a.layers, attention + feed_forward, small),)


def parameters(a: Architecture) -> Parameters:
    """Parameters of a model, from its shape."""
    h, v = a.hidden, a.vocabulary
    kinds = blocks(a)
    linear = sum(b.layers * b.linear for b in kinds)
    small = sum(b.layers * b.small for b in kinds)
    tables, head = v * h, 0 if a.tied_embeddings else v * h
    if a.family == "bert":
        tables, head = (v + a.positions + BERT_TOKEN_TYPES) * h, 0
        linear, small = linear + h * h, small + 3 * h  # the pooler, its bias, the norm of the embeddings
    elif a.family == "t5":
        small += 2 * h + 2 * T5_POSITION_BUCKETS * a.heads
    else:
        small += 2 * h if a.family == "falcon" else h
    return Parameters(tables, head, linear, small, a.extra_parameters)
