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


def first_line(answer: str, reference: str) -> float:
    """1 where the first line with something in it is the same: what an editor shows of a completion."""
    one, other = (next((line.strip() for line in text.splitlines() if line.strip()), "")
                  for text in (answer, reference))
    return float(one == other)


FIRST_LINE = Metric("first_line", "first lines equal to the reference's", mean_of(first_line), mean)


@dataclass(frozen=True)
class Complete(Write):
    """Scored by letters, since code has no words to speak of; where rows have tests, pass@k says more
    (`seedbed.evaluate.passing`)."""

    name = "complete"

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
