"""Makes findings of a data check: counts, the first lines, short excerpts in which personal data is masked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset
from .health import Finding
from .personal import excerpt, redact
from .tally import EXAMPLES_SHOWN, LINES_SHOWN, Severity


@dataclass(frozen=True)
class Notes:
    """The rows that findings point at: the text of each, where it starts in its source, and the source."""

    texts: list[str]
    lines: NDArray[np.int64]
    sources: list[str]
    """A file's name where that is enough; empty when all rows come from one source."""

    @classmethod
    def of(cls, dataset: Dataset) -> Notes:
        sources = dataset.column("source")
        lines = np.array([line or 0 for line in dataset.column("line")], np.int64)
        short = {source: re.split(r"[/\\]", source)[-1] for source in set(sources)}
        if len(set(short.values())) < len(short):
            short = {source: source for source in short}
        return cls(dataset.texts, lines, [short[source] for source in sources] if len(short) > 1 else [])

    def where(self, row: int) -> str:
        """`line 12`, with the file's name before it where there are several."""
        return f"{self.sources[row]} line {self.lines[row]}" if self.sources else f"line {self.lines[row]}"

    def quote(self, row: int, at: int = 0) -> str:
        """The row's text, shortened and masked, in quotes."""
        return f"“{excerpt(self.texts[row], at)}”"

    def make(self, code: str, severity: Severity, rows: Sequence[int], message: str, fix: str, *,
             examples: Sequence[str] | None = None, count: int | None = None) -> list[Finding]:
        """A finding about those rows, or nothing where there are none.

        Args:
            rows: positions, in the order in which their lines should be shown.
            examples: what to show instead of the first texts.
            count: the figure of a finding that is not about rows.
        """
        if not rows and count is None:
            return []
        if examples is None:
            examples = [f"{self.where(row)}: {self.quote(row)}" for row in rows[:3]]
        return [Finding(code=code, severity=severity, count=len(rows) if count is None else count,
                        message=redact(message), fix=redact(fix),
                        lines=[int(self.lines[row]) for row in rows[:LINES_SHOWN]],
                        examples=[redact(one) for one in examples[:EXAMPLES_SHOWN]])]


def plural(n: int, one: str, many: str) -> str:
    """`1 row has`, `1,200 rows have`."""
    return f"{n:,} {one if n == 1 else many}"


def several(names: Sequence[str], most: int = 6) -> str:
    """`a, b and c`, or `a, b, c and 12 more`."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most:,} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def percent(part: float, whole: float) -> str:
    """`12 %`, `0.3 %`, `under 0.1 %`."""
    share = 100 * part / whole if whole else 0.0
    if 0 < share < 0.1:
        return "under 0.1 %"
    return f"{share:.1f} %" if share < 10 and round(share, 1) != round(share) else f"{share:.0f} %"
