"""A light guess of each text's language: py3langid, 139 languages in 5 MB, some 50,000 short texts a second."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

UNKNOWN = "und"
"""ISO 639's code for a language that could not be told."""
FEWEST_LETTERS = 12
"""Shorter texts are not guessed: `ok` and `so so` are words of many languages."""
SURE = 0.5
"""Least probability of the best language."""


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def guess(texts: Sequence[str]) -> list[str]:
    """ISO 639-1 code of each text, `und` where it is too short or no language stands out.

    Only the first 1,000 characters are read. The first call loads the model (about a second, 130 MB).
    """
    identify = _identifier().classify
    guessed = []
    for text in texts:
        language, probability = (UNKNOWN, 0.0) if sum(map(str.isalpha, text[:200])) < _least(text) else \
            identify(text[:1000])
        guessed.append(language if probability >= SURE and language != "zxx" else UNKNOWN)  # zxx: no language
    return guessed


def _least(text: str) -> int:
    """Letters that a guess needs; a letter of a script without spaces says as much as a short word."""
    return FEWEST_LETTERS if text[:200].isascii() or max(text[:200]) < "\u2e80" else FEWEST_LETTERS // 3
