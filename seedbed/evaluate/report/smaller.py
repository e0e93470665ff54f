"""What smaller forms of a model cost and lose: the frontier's charts and its sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from ...records import Estimate
from ..frontier import Frontier, Point
from . import wording as w
from .drawing import ACCENT, HALF, INK, LINE, MARK, SOFT, WARN, Drawing, finish
from .forest import axis, own, zoom

LABEL, PLOT = 17, 220
"""Height of a name, and of the plot below the names, in pixels."""
NEEDS = {"size": "room", "speed": "time", "memory": "memory"}
COSTS = {"size": "Size on disk (MB)", "speed": "Time for one text (ms)", "memory": "Peak memory (MB)"}


WRITTEN = {**COSTS, "speed": "Time for one written token (ms)"}


def cost(point: Point, name: str) -> float | None:
    """In the unit of `COSTS`; None where it was not measured."""
    if name == "speed":
        return point.wait
    return (point.size if name == "size" else point.memory) / 1e6 or None


def drawings(found: Frontier) -> list[Drawing]:
    """What is lost against size, time and memory: one chart each. Of a classifier the score with its interval; of a
    model that writes by how much the loss rises, and may rise at most."""
    return [one for name in COSTS if (one := _against(found, name))]


def _height(found: Frontier, one: Point) -> Estimate | None:
    """Where a form stands, and its interval. The loss of a model that writes varies from row to row far more than it
    rises, so what is drawn is the rise."""
    if not found.writes:
        return one.score
    if one is found.points[0]:
        return Estimate(value=0.0, low=0.0, high=0.0, n=found.n)
    if one.loss is None or one.bound is None:
        return None
    return Estimate(value=one.loss, low=one.loss, high=max(one.loss, one.bound), n=found.n)


def _against(found: Frontier, name: str) -> Drawing | None:
    shown = [(one, score, at) for one in found.points if (score := _height(found, one)) and (at := cost(one, name))]
    if len(shown) < 2:
        return None
    title = (WRITTEN if found.writes else COSTS)[name]
    data: list[dict[str, Any]] = [
        {"at": at, "score": score.value, "low": score.low, "high": score.high, "name": w.tidy(one.name, 26),
         "says": f"{one.name}: {_says(found, one, score)} at {at:.3g} {title[-3:-1]}",
         **_look(found, one)}
        for one, score, at in shown]
    most = max(at for _, _, at in shown) * 1.12
    low, high = _rises([score for _, score, _ in shown], found.floor) if found.writes else \
        zoom([score for _, score, _ in shown])
    top, bottom = LABEL * len(data), LABEL * len(data) + PLOT
    base = alt.Chart(alt.Data(values=data))
    x = alt.X("at:Q", scale=alt.Scale(domain=[0, most], nice=False),
              axis=alt.Axis(title=title, tickCount=5, grid=False))

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
    if found.writes:
        layers.append(alt.Chart(alt.Data(values=[{"floor": found.floor}])).mark_rule(
            strokeDash=[5, 4], strokeWidth=1.5, color=SOFT).encode(y=y("floor")))
    layers += [base.mark_rule(strokeWidth=2, opacity=0.55).encode(x=x, y=y("low"), y2="high:Q", color=own("tone")),
               base.mark_point(filled=True, size=90, opacity=1, aria=True).encode(
                   x=x, y=y("score"), color=own("tone"), description="says:N",
                   shape=alt.Shape("shape:N", scale=None, legend=None))]
    what = "Rise of the loss" if found.writes else w.metric_name(found.metric)
    return Drawing(f"frontier-{name}", f"{what} against {title[:1].lower()}{title[1:]}",
                   " ".join(f"{one['says']}." for one in data), finish(alt.layer(*layers), HALF, bottom))


def _rises(some: Sequence[Estimate], floor: float) -> tuple[float, float]:
    """A domain that holds every rise, the floor and 0, with some air."""
    low, high = min(0.0, *(one.low for one in some)), max(floor, *(one.high for one in some))
    return low - (high - low) * 0.08, high + (high - low) * 0.08


def _says(found: Frontier, one: Point, score: Estimate) -> str:
    """A point in words."""
    if not found.writes:
        return w.estimate(score, found.metric)
    if one is found.points[0]:
        return "what the others are held against,"
    return f"the loss rises by {lost(found, score.value)}, at most by {lost(found, score.high)} nats a token,"


def _look(found: Frontier, one: Point) -> dict[str, str]:
    """Colour and shape of a point, and the colour of its name."""
    if one.name == found.chosen:
        return {"tone": ACCENT, "words": ACCENT, "shape": "circle"}
    tone = INK if one is found.points[0] else MARK if one.passed else WARN
    return {"tone": tone, "words": INK, "shape": "triangle-up" if tone == WARN else "circle"}


def lost(found: Frontier, value: float) -> str:
    """What is lost: of a classifier a share of answers (`0.9 %`), of a model that writes nats (`0.0123`)."""
    return w.number(value, 4) if found.writes else share(value)


def share(value: float) -> str:
    """`0.9 %`, `97.5 %`, `1 %`."""
    return f"{w.number(value * 100, 1).removesuffix('.0')}{w.THIN}%"


def cases(found: Frontier) -> str:
    """What tells the loss, counted."""
    return w.plural(found.n, "case" if found.writes else "text")


def headline(found: Frontier) -> str:
    """What came of it, in one sentence."""
    kept = f"raise the loss by at most {lost(found, found.floor)} nats a token" if found.writes else \
        f"lose at most {lost(found, found.floor)} of the answers"
    if found.chosen is None:
        if any(one.passed for one in found.points):
            return f"No form that is proven to {kept} takes less {NEEDS[found.prefer]} than the original."
        near = found.closest
        if near is None or near.bound is None:
            return f"No smaller form could be measured; none is proven to {kept}."
        may = f"raise it by {lost(found, near.bound)}" if found.writes else f"lose {lost(found, near.bound)}"
        return (f"No smaller form is proven to {kept}. The closest is {near.name}: it may {may} "
                f"({share(near.level or 0)} sure, {cases(found)}).")
    best, first = found.point(found.chosen), found.points[0]
    assert best.bound is not None and best.level is not None
    costs = [f"{w.number(first.size / best.size, 1)} times smaller"] if best.size else []
    if first.wait and best.wait:
        times = first.wait / best.wait
        costs.append(f"{w.number(max(times, 1 / times), 1)} times {'faster' if times >= 1 else 'slower'}")
    at_most = f"raises the loss by at most {lost(found, best.bound)} nats a token" if found.writes else \
        f"loses at most {lost(found, best.bound)} of the answers"
    return (f"{best.name} is {' and '.join(costs)}, and {at_most} "
            f"({share(best.level)} sure, {cases(found)}; the floor is {lost(found, found.floor)}).")


def fallen(found: Frontier) -> list[str]:
    """Parts that fell in the form that was chosen, or else in the closest one."""
    one = found.point(found.chosen) if found.chosen else found.closest
    return [f"{one.name} falls on {fell.dimension} {fell.value}: {fell.lost} of its {w.plural(fell.n, 'text')} lost."
            for fell in one.fell] if one else []


def state(found: Frontier, one: Point) -> str:
    """What became of a form, in a word or two."""
    if one is found.points[0]:
        return "the original"
    if one.status == "refused" or one.passed:
        return "chosen" if one.name == found.chosen else "passed" if one.passed else "refused"
    return "not tested" if one.bound is not None and one.bound <= found.floor else "failed"
