"""Figures as people read them: every estimate with its interval and the number of cases behind it."""

from __future__ import annotations

import unicodedata
from typing import Any

from rich.cells import cell_len, set_cell_size

from ...records import TENTATIVE_BELOW, Estimate
from ..result import Scores

THIN = "\u202f"
"""Narrow space that does not break, between a figure and its unit."""
MINUS = "\u2212"

METRICS = {
    "macro_f1": ("Balanced score (macro-F1)", "Precision and recall in one figure, every class counting the same."),
    "micro_f1": ("Overall score (micro-F1)", "Precision and recall in one figure, every answer counting the same."),
    "accuracy": ("Accuracy", "The share of texts that it gets right."),
}
SHARES = ("accuracy", "precision", "recall", "risk")


def metric_name(metric: str) -> str:
    """The metric for people."""
    return METRICS.get(metric, (metric.replace("_", " "), ""))[0]


def short_metric(metric: str) -> str:
    """The metric as an axis title."""
    return {"macro_f1": "macro-F1", "micro_f1": "micro-F1", "f1": "F1"}.get(metric, metric.replace("_", " "))


def metric_meaning(metric: str) -> str:
    """One sentence on what the metric says; empty for a metric of a plugin."""
    return METRICS.get(metric, ("", ""))[1]


def percent(share: float, digits: int | None = None) -> str:
    """0.793 as `79 %`; shares near nothing or all keep a digit, so that 99.96 % never reads as 100 %."""
    return f"{_hundredths(share) if digits is None else f'{share * 100:.{digits}f}'}{THIN}%".replace("-", MINUS)


def _hundredths(share: float) -> str:
    value = share * 100
    if 99.95 <= value < 100:
        return "over 99.9"
    if 0 < value < 0.05:
        return "under 0.1"
    return f"{value:.1f}" if 0 < abs(value) < 1 or 99 < abs(value) < 100 else f"{value:.0f}"


def number(value: float, digits: int = 3) -> str:
    """A plain decimal with a true minus sign."""
    return f"{value:.{digits}f}".replace("-", MINUS)


def signed(value: float, digits: int = 3) -> str:
    """A difference, with its sign."""
    return f"{value:+.{digits}f}".replace("-", MINUS)


def count(value: float) -> str:
    """12345 as `12 345`."""
    return f"{int(value):,}".replace(",", THIN)


def plural(n: float, one: str, many: str | None = None) -> str:
    """`1 text`, `379 texts`."""
    return f"{count(n)} {one if n == 1 else many or one + 's'}"


def figure(value: float, metric: str) -> str:
    """A share as a percentage, any other score as a decimal."""
    return percent(value) if metric in SHARES else number(value)


def between(estimate: Estimate, metric: str) -> str:
    """The interval alone: `75 to 83 %` or `0.50 to 0.61`."""
    if metric in SHARES:
        low, high = percent(estimate.low), percent(estimate.high)
        return f"{low.removesuffix(THIN + '%')} to {high}"
    return f"{number(estimate.low, 2)} to {number(estimate.high, 2)}"


def level(estimate: Estimate) -> str:
    """`95 % interval`."""
    return f"{percent(estimate.level, 0)} interval"


def estimate(one: Estimate, metric: str, noun: str = "text") -> str:
    """`79 % (95 % interval 75 to 83 %; 379 texts)`, with `tentative` where the cases are few."""
    few = f"; tentative, under {TENTATIVE_BELOW} cases" if one.tentative else ""
    return f"{figure(one.value, metric)} ({level(one)} {between(one, metric)}; {plural(one.n, noun)}{few})"


def right_in(scores: Scores, multi_label: bool, held: str) -> str:
    """`Right in 79 of 100 texts (95 % interval 75 to 83; 379 held-out texts)`."""
    one = scores.accuracy
    what = "Every label right in" if multi_label else "Right in"
    return (f"{what} {_hundredths(one.value)} of 100 texts ({level(one)} "
            f"{_hundredths(one.low)} to {_hundredths(one.high)}; "
            f"{plural(one.n, held + ' text')})")


def seconds(value: float) -> str:
    """A duration with the unit that fits."""
    if value < 0.001:
        return f"under 1{THIN}ms" if value > 0 else f"0{THIN}s"
    if value < 1:
        return f"{value * 1000:.0f}{THIN}ms"
    if value < 10:
        return f"{value:.1f}{THIN}s"
    if round(value) < 60:
        return f"{value:.0f}{THIN}s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60}{THIN}min" + (f" {whole % 60}{THIN}s" if whole % 60 else "")
    minutes = round(value / 60)
    return f"{minutes // 60}{THIN}h" + (f" {minutes % 60}{THIN}min" if minutes % 60 else "")


def milliseconds(value: float) -> str:
    """A latency."""
    return f"{value:.2g}{THIN}ms" if value < 1 else f"{value:.1f}{THIN}ms" if value < 100 else seconds(value / 1000)


def size(value: float) -> str:
    """Bytes with a decimal unit, as shops and file managers count them."""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= step:
            shown = value / step
            return f"{shown:.0f}{THIN}{unit}" if shown >= 100 else f"{shown:.1f}{THIN}{unit}"
    return f"{value:.0f} bytes"


def rate(value: float) -> str:
    """A speed such as texts per second: whole above 10."""
    return count(round(value)) if value >= 10 else f"{value:.1f}"


def p_value(value: float) -> str:
    return "under 0.001" if value < 0.001 else f"{value:.3f}"


def tidy(value: Any, limit: int | None = None) -> str:
    """Any value as one printable line: control and direction characters gone, halves of pairs replaced.

    Args:
        limit: most columns it may take; a wide (CJK) character takes two. An ellipsis
            stands for what is cut, in the middle.
    """
    text = ", ".join(map(str, value)) or "no label" if isinstance(value, list | tuple) else str(value)
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = " ".join("".join(" " if c.isspace() else c for c in text if c.isspace() or not _hidden(c)).split())
    return text if limit is None else _cut(text, limit)


def _hidden(character: str) -> bool:
    kind = unicodedata.category(character)
    joiner = character in "\u200c\u200d"  # they shape letters in Persian and Hindi, and emoji
    return kind in ("Cc", "Cs", "Cn") or (kind == "Cf" and not joiner)


def _cut(text: str, limit: int) -> str:
    """Cut in the middle: names of one family often differ at their end."""
    if cell_len(text) <= limit:
        return text
    tail = set_cell_size(text[::-1], (limit - 1) // 3)[::-1].lstrip()
    return f"{set_cell_size(text, limit - 1 - cell_len(tail)).rstrip()}…{tail}"
