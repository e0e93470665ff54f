"""How long texts are in a model's tokens, and what would be cut. Reads `tokenizer.json`; no model is loaded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFile, NotFound

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BATCH = 1000
LIMITS = (("sentence_bert_config.json", "max_seq_length"), ("tokenizer_config.json", "model_max_length"),
          ("config.json", "max_position_embeddings"))
"""Files beside a tokenizer that name the limit, the most binding first."""
ENDLESS = 10**6
"""`tokenizer_config.json` writes a huge number where a model sets no limit."""


@dataclass(frozen=True)
class Counter:
    """Counts a model's tokens, with a tokenizer that neither pads nor truncates."""

    tokenizer: Tokenizer
    limit: int | None
    """Most tokens of a text that the model's own files name, with the special ones; None when they do not."""

    def count(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokens of each text, special ones included."""
        return np.array([len(one.ids) for start in range(0, len(texts), BATCH)
                         for one in self.tokenizer.encode_batch_fast(list(texts[start:start + BATCH]))], np.int64)

    @property
    def special(self) -> int:
        """Special tokens that the model adds to every text."""
        return int(self.tokenizer.num_special_tokens_to_add(False))


def counter(path: Path) -> Counter:
    """A token counter.

    Args:
        path: a `tokenizer.json`, or a model folder that holds one.

    Raises:
        NotFound: there is none.
        CorruptFile: it cannot be read.
    """
    from tokenizers import Tokenizer

    file = path / "tokenizer.json" if path.is_dir() else path
    if file.suffix != ".json" or not file.is_file():
        raise NotFound(f"There is no tokenizer.json in {path}.",
                       "Name a model folder that holds one, or leave out the model to skip token counts.")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as problem:  # the library raises bare Exception
        raise CorruptFile(f"{file} is not a tokenizer: {problem}", "Fetch the model again.") from None
    limit = (tokenizer.truncation or {}).get("max_length")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for name, key in LIMITS:
        try:
            value = json.loads((file.parent / name).read_text("utf-8")).get(key)
        except (OSError, ValueError, AttributeError):
            continue
        if isinstance(value, int) and 0 < value < ENDLESS:
            limit = value
            break
    return Counter(tokenizer, limit)
