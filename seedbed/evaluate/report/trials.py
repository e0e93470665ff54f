"""The chart of a search: each trial's validation loss against its learning rate."""

from __future__ import annotations

from typing import Any

import altair as alt

from ..search import Search, Trial
from . import wording as w
from .drawing import ACCENT, HALF, INK, MARK, PAPER, Drawing, finish


def trials(found: Search) -> Drawing:
    """Every trial with a loss: hollow where it ended early, named where it is the first or the best.

    It is half a column wide, which fits a phone too.
    """
    shown = [(one, min(one.curve)) for one in found.trials if one.curve]
    losses, rates = [loss for _, loss in shown], [one.options["learning_rate"] for one, _ in shown]
    low, high = min(losses), max(losses)
    air = 0.18 * ((high - low) or 1)
    x = alt.X("rate:Q", scale=alt.Scale(type="log", domain=[min(rates) / 1.6, max(rates) * 1.6], nice=False),
              axis=alt.Axis(title="Learning rate (hollow: ended early)", format=".0e", tickCount=3, grid=False))
    y = alt.Y("loss:Q", scale=alt.Scale(domain=[low - air, high + air], nice=False),
              axis=alt.Axis(title="Validation loss, nats", tickCount=5))

    def point(one: Trial, loss: float) -> dict[str, Any]:
        words = f"trial {one.number}: {w.number(loss)}, " + ", ".join(
            f"{name.replace('_', ' ')} {value:.3g}" for name, value in one.options.items())
        return {"rate": one.options["learning_rate"], "loss": loss, "number": one.number,
                "says": words + ("." if one.state == "finished" else ", ended early.")}

    def marks(some: list[dict[str, Any]], **look: Any) -> list[Any]:
        if not some:
            return []
        return [alt.Chart(alt.Data(values=some)).mark_point(filled=True, opacity=1, **look).encode(
            x=x, y=y, description="says:N")]

    def name(some: list[dict[str, Any]], words: str, color: str, below: int) -> list[Any]:
        return [alt.Chart(alt.Data(values=[one])).mark_text(color=color, yOffset=below).encode(
            x=x, y=y, text=alt.value(words)) for one in some]

    points = [(one, point(one, loss)) for one, loss in shown]
    best = [given for one, given in points if one.number == found.best]
    first = [given for one, given in points if one.number == 0 != found.best]
    rest = [(one.state, given) for one, given in points if one.number != found.best]
    layers = [
        *marks([given for state, given in rest if state != "finished"], size=70, fill=PAPER, stroke=MARK,
               strokeWidth=1.5),
        *marks([given for state, given in rest if state == "finished"], size=70, fill=MARK, stroke=MARK),
        *marks(best, size=130, fill=ACCENT, stroke=ACCENT), *name(first, "defaults", INK, -15),
        *name(best, "best" if found.best else "the defaults are best", ACCENT, 17)]
    text = " ".join(given["says"] for _, given in points)
    return Drawing("trials", "Validation loss of every trial against its learning rate", text,
                   finish(alt.layer(*layers), HALF, 220))
