"""Words that an answer shares with its reference: ROUGE, token F1 and equality.

The package rouge-score keeps a to z and digits alone: of "naïve" it reads "na" and "ve", of Russian, Greek or Chinese
nothing, so that every answer scores 0. Here words are those of any script. On texts in ASCII both agree
(tests/tasks/test_metrics.py holds values of rouge-score 0.1.2); its stemmer, which knows English alone, is left out.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from . import Metric, f1, mean, mean_of


@cache
def _pattern() -> Any:
    import regex  # knows marks and scripts, which `re` does not: vowel signs of Hindi are no letters to it

    unspaced = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
    return regex.compile(rf"[{unspaced}]\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}]--[{unspaced}]]+", regex.V1)


def words(text: str) -> list[str]:
    """Words in small letters, without punctuation; in scripts that put no space between words, each letter."""
    found: list[str] = _pattern().findall(unicodedata.normalize("NFC", text).lower())
    return found


def rouge_n(answer: str, reference: str, n: int) -> float:
    """F1 of the n-grams of words, each as often as it occurs.

    Lin (2004), "ROUGE: a package for automatic evaluation of summaries".
    """
    given, has = (_grams(words(text), n) for text in (answer, reference))
    return float(f1((given & has).total(), given.total(), has.total()))


def rouge_l(answer: str, reference: str) -> float:
    """F1 of the longest sequence of words that both have in this order, gaps allowed (Lin 2004)."""
    given, has = words(answer), words(reference)
    return float(f1(in_common(given, has), len(given), len(has)))


def token_f1(answer: str, reference: str) -> float:
    """F1 of the words, whatever their order (Rajpurkar et al. 2016, SQuAD; without its English articles).

    Two texts without any word are alike if they are equal.
    """
    given, has = words(answer), words(reference)
    return rouge_n(answer, reference, 1) if given or has else float(tidy(answer) == tidy(reference))


def tidy(text: str) -> str:
    """The text with composed letters and single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def in_common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence.

    Bit by bit (Hyyrö 2004, "Bit-parallel LCS-length computation revisited"): one step a word of `other`.
    """
    places: dict[str, int] = {}
    for at, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << at
    every = (1 << len(one)) - 1
    free = every  # a 0 for each word of `one` that ends a longer common sequence
    for word in other:
        there = free & places.get(word, 0)
        free = ((free + there) | (free - there)) & every
    return len(one) - free.bit_count()


def _grams(found: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(found[at:] for at in range(n)), strict=False))


ROUGE_1 = Metric("rouge_1", "ROUGE-1, F1 of words", mean_of(partial(rouge_n, n=1)), mean)
ROUGE_2 = Metric("rouge_2", "ROUGE-2, F1 of pairs of words", mean_of(partial(rouge_n, n=2)), mean)
ROUGE_L = Metric("rouge_l", "ROUGE-L, F1 of the longest common sequence", mean_of(rouge_l), mean)
TOKEN_F1 = Metric("token_f1", "token F1", mean_of(token_f1), mean)
EXACT = Metric("exact", "answers equal to the reference", mean_of(lambda a, r: float(tidy(a) == tidy(r))), mean)
