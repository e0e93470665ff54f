"""BLEU and chrF of a corpus, from the counts of each row as sacreBLEU makes them (Post 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import Array, Metric

ORDERS = 4
"""Longest n-grams of words in BLEU."""
BETA = 2
"""How much more recall counts than precision in chrF."""
UNSPACED = {"zh": "zh", "ja": "char", "ko": "char", "th": "char", "lo": "char", "km": "char", "my": "char"}
"""How sacreBLEU cuts languages that the tokenizer of WMT (13a) does not cut; others by characters."""


def bleu(language: str = "") -> Metric:
    """Corpus BLEU, 0 to 100 (Papineni et al. 2002), with sacreBLEU's tokenizer and exponential smoothing.

    Args:
        language: ISO 639-1 code of the answers; Chinese, Japanese, Korean, Thai ... are cut into characters.
    """
    cut = UNSPACED.get(language, "13a")

    def count(answers: Sequence[str], references: Sequence[str]) -> Array:
        from sacrebleu.metrics import BLEU
        return _counts(BLEU(tokenize=cut), answers, references, 2 + 2 * ORDERS)

    return Metric("bleu", f"BLEU, 0 to 100 (sacreBLEU, {cut})", count, of_bleu, 100.0)


def chrf(words: int = 0) -> Metric:
    """Corpus chrF, 0 to 100: F2 of character n-grams (Popović 2015), better than BLEU where words have many forms.

    Args:
        words: longest n-grams of words that count too; 2 is chrF++ (Popović 2017).
    """
    def count(answers: Sequence[str], references: Sequence[str]) -> Array:
        from sacrebleu.metrics import CHRF
        return _counts(CHRF(word_order=words), answers, references, 3 * (6 + words))

    return Metric("chrf_plus" if words else "chrf", f"chrF{'+' * words}, 0 to 100 (sacreBLEU)", count, of_chrf, 100.0)


def _counts(metric: Any, answers: Sequence[str], references: Sequence[str], parts: int) -> Array:
    """[rows, parts]: the package offers sums of rows only; its own bootstrap starts from these counts."""
    metric._force = True  # no warning on standard error about answers that end in " ."
    return np.array(metric._extract_corpus_statistics(answers, [list(references)]), np.float64).reshape(-1, parts)


def of_bleu(sums: Array) -> Array:
    """[..., 2 + 2 * orders] lengths of answers and references, n-grams that hit, n-grams given -> [...]"""
    given_size, size = sums[..., 0], sums[..., 1]
    hits, given = sums[..., 2:2 + ORDERS], sums[..., 2 + ORDERS:]
    missed = np.cumsum((hits == 0) & (given > 0), axis=-1)  # of orders without a hit the k-th counts 1 / 2^k of one
    shares = np.where(hits > 0, hits, 0.5 ** missed) / np.maximum(given, 1)
    score = np.exp(np.log(shares).mean(axis=-1) + np.minimum(0, 1 - size / np.maximum(given_size, 1)))
    return np.asarray(100 * np.where((given > 0).all(axis=-1) & (hits > 0).any(axis=-1), score, 0.0))


def of_chrf(sums: Array) -> Array:
    """[..., 3 * orders] n-grams of answers, of references, and of both -> [...]"""
    counts = sums.reshape(*sums.shape[:-1], -1, 3)
    there = (counts[..., :2] > 0).all(axis=-1)
    orders = np.maximum(there.sum(axis=-1), 1)
    precision, recall = ((counts[..., 2] / np.maximum(counts[..., side], 1) * there).sum(axis=-1) / orders
                         for side in (0, 1))
    weight = BETA * BETA
    return np.asarray(100 * (1 + weight) * precision * recall / np.maximum(weight * precision + recall, 1e-12))
