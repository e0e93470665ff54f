"""What a model keeps of the tokens that it has read: keys and values with room for those to come."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache
from transformers.cache_utils import DynamicLayer

ROOM = 64
"""Tokens by which the room for keys and values grows. transformers' own cache is made anew with every token: all of
it is copied, and pieces of ever other sizes leave holes in the heap (docs/LOG.md)."""


class Roomy(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer, [rows, heads, tokens, width]: the first tokens of tensors that have room."""

    keys: Tensor
    values: Tensor
    _rooms: tuple[Tensor, Tensor] | None = None
    _shown: Tensor | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Add those of the next tokens; all of them so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        held = self.get_seq_length()
        total = held + key_states.shape[-2]
        rooms = self._rooms
        if rooms is None or self.keys is not self._shown or total > rooms[0].shape[-2]:  # rows may have been dropped
            rooms = self._rooms = (_roomy(self.keys, key_states, held, total),
                                   _roomy(self.values, value_states, held, total))
        for room, new in zip(rooms, (key_states, value_states), strict=True):
            room[..., held:total, :] = new
        self.keys, self.values = rooms[0][..., :total, :], rooms[1][..., :total, :]
        self._shown = self.keys
        return self.keys, self.values


def _roomy(old: Tensor, new: Tensor, held: int, total: int) -> Tensor:
    room = new.new_empty(*new.shape[:-2], (total // ROOM + 1) * ROOM, new.shape[-1])
    if held:
        room[..., :held, :] = old
    return room


def cache_of(config: Any) -> DynamicCache:
    """An empty cache; layers of other kinds (a window, a state) are transformers' own."""
    cache = DynamicCache(config=config)
    cache.layers = [Roomy() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def read_once(root: Any, ids: Tensor, mask: Tensor | None = None) -> dict[str, Any]:
    """What each pass of a decoder is given besides its tokens: what the encoder read, and a place for what is kept.

    Args:
        ids, mask: of the sources. [rows, tokens]
    """
    own = DynamicCache()
    own.layer_class_to_replicate = Roomy
    return {"encoder_outputs": root.get_encoder()(input_ids=ids, attention_mask=mask), "attention_mask": mask,
            "past_key_values": EncoderDecoderCache(own, DynamicCache())}
