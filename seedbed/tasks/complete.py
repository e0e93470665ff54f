"""Go on with a text or with code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..data.health import Finding
from ..data.notes import Notes, plural
from ..data.turns import Turn
from .metrics import Metric, mean, mean_of
from .metrics.grams import chrf
from .metrics.words import EXACT
from .write import Write, rows_where


def line_of(text: str) -> str:
    """The first line with something in it: what an editor shows of a completion."""
    return next((line for line in text.splitlines() if line.strip()), "")


def first_line(answer: str, reference: str) -> float:
    """1 where the first line with something in it is the same."""
    return float(line_of(answer).strip() == line_of(reference).strip())


def similarity(answer: str, reference: str) -> float:
    """1 minus the share of letters to change, add and take away (Levenshtein), of the longer text."""
    from rapidfuzz.distance import Levenshtein

    return float(Levenshtein.normalized_similarity(answer, reference))


FIRST_LINE = Metric("first_line", "first lines equal to the reference's", mean_of(first_line), mean)


@dataclass(frozen=True)
class Complete(Write):
    """Scored by letters, since code has no words to speak of; where rows have tests, pass@k says more
    (`seedbed.evaluate.passing`)."""

    name = "complete"
    better = ("The better continuation fits what stands before it: code that runs and does what it should, or a "
              "text of one piece.")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return chrf(), FIRST_LINE, EXACT

    def prompt(self, text: str) -> list[Turn]:
        return [{"role": "user", "content": f"Write what follows here, and nothing else.\n\n{text}"}]

    def findings(self, inputs: Sequence[str], answers: Sequence[str], notes: Notes) -> list[Finding]:
        again = rows_where(lambda asked, answer: bool(asked.strip()) and answer.startswith(asked), inputs, answers)
        return [*super().findings(inputs, answers, notes), *notes.make(
            "repeats_question", "warning", again,
            f"{plural(len(again), 'completion begins', 'completions begin')} with the text before it.",
            "Leave that text out of the answer, unless the model shall repeat it.")]
