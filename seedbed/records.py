"""The base of every record that is written to disk, and the one form in which a figure is shown to a person."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

TENTATIVE_BELOW = 30
"""Under this many cases a figure is called tentative."""


class Record(BaseModel):
    """A frozen record; a field that is not known is an error, so that a newer format never passes unseen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(Record):
    """A figure with its confidence interval and the number of cases behind it."""

    value: float
    low: float
    high: float
    n: int
    level: float = 0.95

    @property
    def tentative(self) -> bool:
        return self.n < TENTATIVE_BELOW
