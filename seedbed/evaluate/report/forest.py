"""The forest plot: one row a thing, its score as a dot with the interval as a line. Most charts here are one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from ...records import Estimate
from . import wording as w
from .drawing import ACCENT, INK, MARK, PAPER, SOFT, WARN, finish


@dataclass(frozen=True)
class Row:
    """One row.

    Args:
        label: its name, tidied.
        score: dot and interval.
        note: what else to say about it, for instance a cost; may be empty.
        strong: the one to look at.
        hollow: drawn as a ring, for one that is worse.
        warn: drawn in the colour of warnings, as a triangle.
    """

    label: str
    score: Estimate
    note: str = ""
    strong: bool = False
    hollow: bool = False
    warn: bool = False


def zoom(scores: Sequence[Estimate]) -> tuple[float, float]:
    """A domain that holds every interval with some air, inside 0 to 1 for scores that live there."""
    low, high = min(s.low for s in scores), max(s.high for s in scores)
    air = max((high - low) * 0.12, 0.02)
    return max(0.0, low - air) if low >= 0 else low - air, min(1.0, high + air) if high <= 1 else high + air


def axis(title: str | None, metric: str, **more: Any) -> alt.Axis:
    """An axis in the metric's own form; shares in per cent."""
    if metric in w.SHARES:
        more["labelExpr"] = f"format(datum.value * 100, '.0f') + '{w.THIN}%'"
    return alt.Axis(title=title, **more)


def own(field: str) -> alt.Color:
    """The colour that stands in the row itself."""
    return alt.Color(f"{field}:N", scale=None, legend=None)


def colors(row: Row) -> dict[str, str]:
    """Colours of line, dot and words of a row."""
    tone = WARN if row.warn else ACCENT if row.strong else MARK
    return {"stroke": tone, "fill": PAPER if row.hollow else tone, "words": ACCENT if row.strong else INK}


def says(row: Row, metric: str) -> str:
    """A row in words, for the hint and the text beside the chart."""
    return f"{row.label}: {w.estimate(row.score, metric)}" + (f", {row.note}" if row.note else "")


def forest(rows: Sequence[Row], metric: str, width: int, *, stacked: bool = False, reference: float | None = None,
           domain: tuple[float, float] | None = None) -> Any:
    """A forest plot.

    Args:
        rows: from top to bottom.
        metric: decides how figures are written.
        width: of the drawing in pixels.
        stacked: the name above its line, for narrow drawings; else to its left, with the figures at the right.
        reference: draws a dashed upright line there.
        domain: of the axis; by default what the intervals need.
    """
    data = [{"at": i, "label": r.label, "value": r.score.value, "low": r.score.low, "high": r.score.high,
             "shape": "triangle-up" if r.warn else "circle", "says": says(r, metric), "figures": _figures(r, metric),
             **colors(r)} for i, r in enumerate(rows)]
    limits = domain or zoom([r.score for r in rows])
    y = alt.Y("at:O", axis=None)
    scale = alt.Scale(domain=list(limits), nice=False)
    shown = axis(w.short_metric(metric), metric, tickCount=4 if stacked else 6, grid=not stacked)
    x = alt.X("value:Q", scale=scale, axis=shown)
    down = 15 if stacked else 0
    base = alt.Chart(alt.Data(values=data))
    layers = [
        base.mark_rule(strokeWidth=2.5, strokeCap="round", yOffset=down).encode(
            x=alt.X("low:Q", scale=scale, axis=shown), x2="high:Q", y=y, color=own("stroke")),
        base.mark_point(size=95, opacity=1, strokeWidth=2.5, aria=True, yOffset=down).encode(
            x=x, y=y, stroke=own("stroke"), fill=own("fill"), description="says:N",
            shape=alt.Shape("shape:N", scale=None, legend=None)),
    ]
    if reference is not None:  # where names stand above the lines it may not cross them
        at = alt.X("reference:Q", scale=scale, axis=shown)
        line = alt.Chart(alt.Data(values=[{"reference": reference}])).mark_rule(
            strokeDash=[3, 4], strokeWidth=1.5, color=SOFT).encode(x=at)
        ticks = base.transform_calculate(reference=str(reference)).mark_tick(
            color=SOFT, thickness=1.5, size=22, yOffset=down).encode(x=at, y=y)
        layers.insert(0, ticks if stacked else line)
    name = base.mark_text(baseline="middle", align="left" if stacked else "right", xOffset=0 if stacked else -12,
                          yOffset=-20 if stacked else 0)
    figures = base.mark_text(baseline="middle", align="left", xOffset=0 if stacked else 12, yOffset=-4 * stacked)
    layers += [name.encode(x=alt.value(0), y=y, text="label:N", color=own("words")),
               figures.encode(x=alt.value(0 if stacked else "width"), y=y, text="figures:N", color=alt.value(SOFT))]
    return finish(alt.layer(*layers), width, (62 if stacked else 30) * len(rows))


def _figures(row: Row, metric: str) -> str:
    few = ", tentative" if row.score.tentative else ""
    cases = f"n{w.THIN}={w.THIN}{w.count(row.score.n)}"
    text = f"{w.figure(row.score.value, metric)} ({w.between(row.score, metric)}; {cases}{few})"
    return f"{text} · {row.note}" if row.note else text
