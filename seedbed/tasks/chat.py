"""Answer as in the rows: whatever they ask, however they ask it."""

from __future__ import annotations

from dataclasses import dataclass

from .metrics import Metric
from .metrics.grams import chrf
from .metrics.words import EXACT, ROUGE_L, TOKEN_F1
from .write import Write


@dataclass(frozen=True)
class Chat(Write):
    """Rows stay as they are. An answer can be good and unlike its reference: read some beside the figures."""

    name = "chat"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return TOKEN_F1, ROUGE_L, chrf(), EXACT
