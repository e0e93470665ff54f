"""The chart of a search: each trial's validation loss against its learning rate."""

from __future__ import annotations

from typing import Any

import altair as alt

from ..search import Search, Trial
from . import wording as w
from .drawing import ACCENT, HALF, INK, MARK, PAPER, Drawing, finish
from .forest import own


def trials(found: Search) -> Drawing:
    """Every trial with a loss: hollow where it ended early, named where it is the first or the best.

    It is half a column wide, which fits a phone too.
    """
    shown = [one for one in found.trials if one.curve]
    losses, rates = [min(one.curve) for one in shown], [one.options["learning_rate"] for one in shown]
    low, high = min(losses), max(losses)
    air = 0.18 * ((high - low) or 1)
    x = alt.X("rate:Q", scale=alt.Scale(type="log", domain=[min(rates) / 1.6, max(rates) * 1.6], nice=False),
              axis=alt.Axis(title="Learning rate (hollow: ended early)", format=".0e", tickCount=3, grid=False))
    y = alt.Y("loss:Q", scale=alt.Scale(domain=[low - air, high + air], nice=False),
              axis=alt.Axis(title="Validation loss, nats", tickCount=5))
    names = {found.best: ("best" if found.best else "the defaults are best", 17)}
    if found.best:
        names[0] = ("defaults", -15)
    rows: list[dict[str, Any]] = []
    for one, loss, rate in zip(shown, losses, rates, strict=True):
        color = ACCENT if one.number == found.best else MARK
        name, below = names.get(one.number, ("", 0))
        rows.append({"rate": rate, "loss": loss, "says": _says(one, loss), "name": name, "below": below,
                     "stroke": color, "fill": color if one.state == "finished" else PAPER,
                     "words": ACCENT if color == ACCENT else INK})
    base = alt.Chart(alt.Data(values=rows))
    dots = base.mark_point(opacity=1, size=90, strokeWidth=1.5).encode(
        x=x, y=y, fill=own("fill"), stroke=own("stroke"), description="says:N")
    words = [base.transform_filter(alt.datum.below == below).mark_text(yOffset=below).encode(
        x=x, y=y, text="name:N", color=own("words")) for _, below in names.values()]
    return Drawing("trials", "Validation loss of every trial against its learning rate",
                   " ".join(row["says"] for row in rows),
                   finish(alt.layer(dots, *words), HALF, 220))


def _says(one: Trial, loss: float) -> str:
    options = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in one.options.items())
    return f"trial {one.number}: {w.number(loss)}, {options}{'.' if one.state == 'finished' else ', ended early.'}"
