"""What a runtime wrote that tells texts and no tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def spelled(runtime: Any, ids: Sequence[int], pieces: Sequence[str],
            look: Callable[[list[int], int], str | None]) -> list[int]:
    """Tokens of what was written, piece by piece: of those that look alike the likeliest. It ends where a piece is
    none, as half a character is.

    Args:
        runtime: gives logits.
        ids: tokens that were gone on from.
        pieces: texts of one token each.
        look: how a token looks after those that were written; None where it is no text.
    """
    made = list[int]()
    for piece in pieces:
        scores = runtime.logits([*ids, *made])[0]
        likely = next((int(one) for one in np.argsort(-scores) if look(made, int(one)) == piece), None)
        if likely is None:
            break
        made.append(likely)
    return made
