"""What smaller forms of a model cost and lose: the frontier's charts, its sentences, and the same as a table."""

from __future__ import annotations

from typing import Any

import altair as alt

from ..frontier import Frontier, Point
from . import wording as w
from .drawing import ACCENT, HALF, INK, LINE, MARK, WARN, Drawing, finish
from .forest import axis, own, zoom

LABEL, PLOT = 17, 220
"""Height of a name, and of the plot below the names, in pixels."""
NEEDS = {"size": "room", "speed": "time", "memory": "memory"}
COSTS = {"size": "Size on disk (MB)", "speed": "Time for one text (ms)", "memory": "Peak memory (MB)"}


def cost(point: Point, name: str) -> float | None:
    """In the unit of `COSTS`; None where it was not measured."""
    if name == "speed":
        return point.speed.median_ms if point.speed else None
    return (point.size if name == "size" else point.memory) / 1e6 or None


def drawings(found: Frontier) -> list[Drawing]:
    """The score with its interval against size, time and memory: one chart each."""
    return [one for name in COSTS if (one := _against(found, name))]


def _against(found: Frontier, name: str) -> Drawing | None:
    shown = [(one, one.score, at) for one in found.points if one.score and (at := cost(one, name))]
    if len(shown) < 2:
        return None
    data: list[dict[str, Any]] = [
        {"at": at, "score": score.value, "low": score.low, "high": score.high, "name": w.tidy(one.name, 26),
         "says": f"{one.name}: {w.estimate(score, found.metric)} at {at:.3g} {COSTS[name][-3:-1]}",
         **_look(found, one)}
        for one, score, at in shown]
    most = max(at for _, _, at in shown) * 1.12
    low, high = zoom([score for _, score, _ in shown])
    top, bottom = LABEL * len(data), LABEL * len(data) + PLOT
    base = alt.Chart(alt.Data(values=data))
    x = alt.X("at:Q", scale=alt.Scale(domain=[0, most], nice=False),
              axis=alt.Axis(title=COSTS[name], tickCount=5, grid=False))

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", scale=alt.Scale(domain=[low, high], range=[bottom, top], nice=False),
                     axis=axis(None, found.metric, tickCount=5))
    # points of like cost lie close together: each name has a line of its own above them, and a thread to its point
    layers = []
    for row, one in enumerate(sorted(data, key=lambda one: -float(one["at"]))):
        end = bottom - (one["high"] - low) / (high - low) * PLOT
        single, right = alt.Chart(alt.Data(values=[one])), one["at"] > most / 2
        layers += [single.mark_rule(strokeWidth=1, color=LINE).encode(
                       x=x, y=alt.value(LABEL * row + 14), y2=alt.value(end)),
                   single.mark_text(align="right" if right else "left", xOffset=5 if right else -5, baseline="middle")
                   .encode(x=x, y=alt.value(LABEL * row + 7), text="name:N", color=own("words"))]
    layers += [base.mark_rule(strokeWidth=2, opacity=0.55).encode(x=x, y=y("low"), y2="high:Q", color=own("tone")),
               base.mark_point(filled=True, size=90, opacity=1, aria=True).encode(
                   x=x, y=y("score"), color=own("tone"), description="says:N",
                   shape=alt.Shape("shape:N", scale=None, legend=None))]
    return Drawing(f"frontier-{name}", f"{w.metric_name(found.metric)} against {COSTS[name].lower()}",
                   " ".join(f"{one['says']}." for one in data), finish(alt.layer(*layers), HALF, bottom))


def _look(found: Frontier, one: Point) -> dict[str, str]:
    """Colour and shape of a point, and the colour of its name."""
    if one.name == found.chosen:
        return {"tone": ACCENT, "words": ACCENT, "shape": "circle"}
    tone = INK if one is found.points[0] else MARK if one.passed else WARN
    return {"tone": tone, "words": INK, "shape": "triangle-up" if tone == WARN else "circle"}


def lost(share: float) -> str:
    """A share of answers: `0.9 %`, `97.5 %`, `1 %`."""
    return f"{w.number(share * 100, 1).removesuffix('.0')}{w.THIN}%"


def headline(found: Frontier) -> str:
    """What came of it, in one sentence."""
    floor = lost(found.floor)
    if found.chosen is None:
        if any(one.passed for one in found.points):
            return (f"No form that is proven to lose at most {floor} of the answers takes less {NEEDS[found.prefer]} "
                    "than the original.")
        near = found.closest
        if near is None or near.bound is None:
            return f"No smaller form could be measured; none is proven to lose at most {floor} of the answers."
        return (f"No smaller form is proven to lose at most {floor} of the answers. The closest is {near.name}: it "
                f"may lose {lost(near.bound)} ({lost(near.level or 0)} sure, {w.plural(found.n, 'text')}).")
    best, first = found.point(found.chosen), found.points[0]
    assert best.bound is not None and best.level is not None
    costs = [f"{w.number(first.size / best.size, 1)} times smaller"] if best.size else []
    if first.speed and best.speed:
        times = first.speed.median_ms / best.speed.median_ms
        costs.append(f"{w.number(max(times, 1 / times), 1)} times {'faster' if times >= 1 else 'slower'}")
    return (f"{best.name} is {' and '.join(costs)}, and loses at most {lost(best.bound)} of the answers "
            f"({lost(best.level)} sure, {w.plural(found.n, 'text')}; the floor is {floor}).")


def fallen(found: Frontier) -> list[str]:
    """Parts that fell in the form that was chosen, or else in the closest one."""
    one = found.point(found.chosen) if found.chosen else found.closest
    return [f"{one.name} falls on {fell.dimension} {fell.value}: {fell.lost} of its {w.plural(fell.n, 'text')} lost."
            for fell in one.fell] if one else []


def rows(found: Frontier) -> list[dict[str, Any]]:
    """The frontier as a table; a figure that was not measured is None."""
    return [{"name": one.name, "size": one.size, "memory": one.memory,
             "ms": one.speed.median_ms if one.speed else None,
             "rate": one.speed.texts_per_second if one.speed else None, "score": one.score, "loss": one.loss,
             "bound": one.bound, "level": one.level, "fell": one.fell,
             "state": "the original" if one is found.points[0] else "chosen" if one.name == found.chosen else
             "passed" if one.passed else one.status if one.status == "refused" else "failed", "reason": one.reason}
            for one in found.points]


def table(found: Frontier) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The same for a terminal: columns and cells."""
    columns = ("", "form", "MB", "ms a text", "texts/s", "memory MB", w.short_metric(found.metric), "lost", "at most",
               "")
    return columns, [
        ("*" if row["state"] == "chosen" else "", row["name"], _cell(row["size"] and row["size"] / 1e6),
         _cell(row["ms"]), _cell(row["rate"]), _cell(row["memory"] and row["memory"] / 1e6),
         "" if row["score"] is None else
         f"{row['score'].value:.3f} ({row['score'].low:.3f} to {row['score'].high:.3f})",
         "" if row["loss"] is None else lost(row["loss"]),
         "" if row["bound"] is None else f"{lost(row['bound'])} ({lost(row['level'])} sure)",
         "; ".join([row["state"], *filter(None, [row["reason"]])])) for row in rows(found)]


def _cell(value: float | None) -> str:
    """Three digits."""
    return "" if not value else f"{value:.0f}" if value >= 100 else f"{value:.3g}"
