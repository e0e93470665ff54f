"""Rows of encoder-decoders: what the encoder reads, and after it what the decoder is given, as one list of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Paired(list[int]):
    """Tokens of a row of an encoder-decoder: what the encoder reads, and after it what the decoder is given.

    Attributes:
        source: how many the encoder reads.
    """

    def __init__(self, source: Sequence[int], target: Sequence[int]) -> None:
        super().__init__([*source, *target])
        self.source = len(source)


def is_paired(config: Any) -> bool:
    """Whether the family has an encoder that reads and a decoder that writes (T5, BART, Marian)."""
    return bool(getattr(config, "is_encoder_decoder", False))


def holds_paired(folder: Path) -> bool:
    """Whether the model in a folder is one."""
    from transformers import AutoConfig

    return is_paired(AutoConfig.from_pretrained(folder, local_files_only=True))


def source_of(ids: Sequence[int]) -> int:
    """How many of these tokens an encoder reads; 0 where there is none."""
    return ids.source if isinstance(ids, Paired) else 0


def row_of(ids: Sequence[int], source: int) -> list[int]:
    """Tokens of which an encoder reads the first `source`, if any."""
    return Paired(ids[:source], ids[source:]) if source else list(ids)


def begun(ids: Sequence[int], end: int) -> list[int]:
    """The first tokens of a row, as a row of the same kind."""
    return row_of(list(ids[:end]), source_of(ids))


def followed(ids: Sequence[int], more: Sequence[int]) -> list[int]:
    """A row and tokens after it, as a row of the same kind."""
    return row_of([*ids, *more], source_of(ids))


def said_in(ids: Sequence[int]) -> int:
    """Tokens of a row after each of which another is foretold: all, or those that a decoder is given."""
    return len(ids) - source_of(ids)
