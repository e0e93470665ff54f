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
              axis=alt.Axis(title="Learning rate", format=".0e", tickCount=3, grid=False))
    y = alt.Y("loss:Q", scale=alt.Scale(domain=[low - air, high + air], nice=False),
              axis=alt.Axis(title="Validation loss, nats", tickCount=5))

    def point(one: Trial, loss: float) -> dict[str, Any]:
        words = f"trial {one.number}: {w.number(loss)}, " + ", ".join(
            f"{name.replace('_', ' ')} {value:.3g}" for name, value in one.options.items())
        return {"rate": one.options["learning_rate"], "loss": loss, "says": words,
                "name": "best" if one.number == found.best else "defaults" if one.number == 0 else ""}

    marks = []
    for ended in (False, True):
        some = [point(one, loss) for one, loss in shown
                if (one.state == "finished") is ended and one.number != found.best]
        if some:
            marks.append(alt.Chart(alt.Data(values=some)).mark_point(
                filled=True, size=70, opacity=1, fill=MARK if ended else PAPER, stroke=MARK, strokeWidth=1.5).encode(
                    x=x, y=y, description="says:N"))
    best = next(point(one, loss) for one, loss in shown if one.number == found.best)
    marks.append(alt.Chart(alt.Data(values=[best])).mark_point(
        filled=True, size=130, opacity=1, fill=ACCENT, stroke=ACCENT).encode(x=x, y=y, description="says:N"))
    named = [one for one in (point(one, loss) for one, loss in shown) if one["name"]]
    for one, colour, down in ((one, ACCENT if one is named[-1] and one["name"] == "best" else INK,
                               16 if one["name"] == "best" else -15) for one in named):
        marks.append(alt.Chart(alt.Data(values=[one])).mark_text(color=colour, yOffset=down).encode(
            x=x, y=y, text="name:N"))
    text = " ".join(f"{point(one, loss)['says']}{'' if one.state == 'finished' else ' (ended early)'}."
                    for one, loss in shown)
    return Drawing("trials", "Validation loss of every trial against its learning rate", text,
                   finish(alt.layer(*marks), HALF, 220))
