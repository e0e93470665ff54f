"""Say in fewer words what a document says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data.health import Finding
from ..data.notes import Notes, plural
from ..data.turns import Turn
from .metrics import Metric
from .metrics.words import ROUGE_1, ROUGE_2, ROUGE_L, rouge_l, tidy, words
from .write import Write, rows_where

SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=\S)|(?<=[。！？])|\n+")
MOST_SENTENCES, ROWS_TRIED = 10, 200
"""Leading sentences that are tried at most, and training rows that they are tried on."""


def sentences(text: str) -> list[str]:
    """Roughly: they end with a full stop, question or exclamation mark, or with the line."""
    return [part.strip() for part in SENTENCE.split(text) if part and part.strip()]


@dataclass(frozen=True)
class Summarize(Write):
    """
    Args:
        words: about how many a summary shall have, for the prompt; empty says nothing of it.
    """

    words: str = ""

    name = "summarize"
    better = "The better summary says what matters most in the text, and nothing that is not in it."

    @classmethod
    def of(cls, inputs: Sequence[str], answers: Sequence[str], **given: str) -> Write:
        """The length is the median of the training summaries, to 5 words, so that an untrained model knows it."""
        if answers and "words" not in given:
            given["words"] = str(max(5, 5 * round(float(np.median([len(words(one)) for one in answers])) / 5)))
        return super().of(inputs, answers, **given)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return ROUGE_L, ROUGE_1, ROUGE_2

    def prompt(self, text: str) -> list[Turn]:
        length = f" in about {self.words} words" if self.words else ""
        return [{"role": "user", "content": f"Summarize this text{length}.\n\n{text}"}]

    def baseline(self, inputs: Sequence[str], asked: Sequence[str], answered: Sequence[str]) -> list[str]:
        """The first k sentences, with the k that does best on training rows."""
        tried = [(sentences(text), summary) for text, summary in zip(asked[:ROWS_TRIED], answered, strict=False)]
        best = max(range(1, MOST_SENTENCES + 1), key=lambda k: (
            sum(rouge_l(" ".join(parts[:k]), summary) for parts, summary in tried), -k))
        return [" ".join(sentences(text)[:best]) for text in inputs]

    def findings(self, inputs: Sequence[str], answers: Sequence[str], notes: Notes) -> list[Finding]:
        long = rows_where(lambda text, summary: len(summary) >= len(text) > 0, inputs, answers)
        copied = rows_where(lambda text, summary: len(summary) < len(text) and tidy(text).startswith(tidy(summary)),
                            inputs, answers)
        return [
            *super().findings(inputs, answers, notes),
            *notes.make("long_summary", "warning", long,
                        f"{plural(len(long), 'summary is', 'summaries are')} no shorter than the document.",
                        "Check that the two columns are not exchanged; shorten them, or delete the rows."),
            *notes.make("copied_summary", "info", copied,
                        f"{plural(len(copied), 'summary is', 'summaries are')} the beginning of the document, to the "
                        "letter.", "Nothing to do, unless summaries shall be written anew.")]
