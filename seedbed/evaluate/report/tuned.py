"""The page of `seedbed train`: what its template is filled with."""

from __future__ import annotations

import math
from typing import Any

from ...records import TENTATIVE_BELOW
from ..figures import Figure, TuneResult
from ..judge import said as judged
from . import charts, forms, smaller
from . import wording as w
from .drawing import NARROW, WIDE, Drawing
from .facts import clip, flat
from .forest import Row, forest

SIDES = {"entities": ("A dictionary", "A linear tagger"), "embed": ("Search by words", "Before")}
"""What stands beside the tuned model, by task: what needs no training, and what it is held against."""
SHOWN = 4
"""Answers that are read at a glance; the others open."""
HYPHEN = "\u2011"
"""One at which no line breaks: ROUGE-L."""
FALLING = 0.005
"""A last pass that took so much of the validation loss was not the last that pays."""


def sides(result: TuneResult) -> tuple[str, str]:
    """Names of the baseline and of what was there before."""
    taught = result.config.get("teacher") and result.figures[0].name == "loss"
    return SIDES.get(result.task, ("The teacher" if taught else "No model", "Before"))


def headline(result: TuneResult) -> str:
    """Did it get better, by how much: one line."""
    lead = result.figures[0]
    said = {"better": "It got better", "worse": "It got worse", "open": "No change is proven"}[lead.change]
    values = f"{w.number(lead.before.value)}\u00a0→\u00a0{w.number(lead.after.value)}"
    return f"{said}: {_short(lead).replace('-', HYPHEN)} {values}"


def _short(one: Figure) -> str:
    return one.title.partition(",")[0].partition(" (")[0]


def sure(lead: Figure) -> tuple[str, str]:
    """How sure that is, in a word; and by what."""
    word = "Not proven" if lead.change == "open" else "Tentative" if lead.after.tentative else "Proven"
    tested = f"p {w.p_value(lead.p_value)}, " if lead.p_value is not None else ""
    return word, f"{tested}{w.plural(lead.after.n, 'unseen case')}"


def actions(result: TuneResult) -> list[str]:
    """What to do next, in the order of doing."""
    lead, done = result.figures[0], []
    gain = lead.gain
    if lead.change == "worse":
        done.append("Do not use it. Lower --learning-rate, or give it more rows.")
    elif lead.change == "open" and gain is not None:
        needed = gain.n * ((gain.value - gain.low) / gain.value) ** 2 if gain.value > 0 else math.inf
        rows = w.count(math.ceil(needed / 10) * 10) if needed < 50 * gain.n else ""
        done.append("Do not rely on it yet. " + (
            f"To prove a gain as small as this takes about {rows} test rows: give "
            "more, or train longer (--epochs)." if rows else
            "Train longer (--epochs), or give it more rows."))
    elif lead.needless:
        done.append(f"It is no better than what needs no training ({sides(result)[0].lower()}): use that, or give "
                    "the model more rows.")
    elif result.samples:
        done.append("Read the answers below before you put it to use: a figure does not see everything.")
    losses = [one["validation_loss"] for one in result.history if "validation_loss" in one]
    if len(losses) > 1 and losses[-1] < (1 - FALLING) * min(losses[:-1]):
        done.append("The loss on validation was still falling at the end: train longer (--epochs).")
    if cut := result.tokens.get("cut"):
        done.append(f"{w.plural(cut, 'token')} of rows that were too long were cut off: raise --max-tokens if the "
                    "memory allows it.")
    return done


def cautions(result: TuneResult) -> list[str]:
    """What to know before relying on it."""
    from ..intervals import difference

    lead, said = result.figures[0], []
    if lead.after.tentative:
        said.append(f"Tentative: the figures rest on {w.plural(lead.after.n, 'case')}, fewer than {TENTATIVE_BELOW}.")
    if (least := lead.baseline) and lead.change == "better" and not lead.needless:
        apart = difference(lead.after, least, 0.0)  # as if they were of other rows, which asks for more
        if apart.low <= 0 <= apart.high:
            name = f"{sides(result)[0].lower()}, {w.number(least.value)}"
            said.append(f"That it beats what needs no training ({name}) is not proven.")
    said += [f"Worse than before: {one.title}." for one in result.figures[1:] if one.change == "worse"]
    return said


def drawings(result: TuneResult) -> list[Drawing]:
    """The leading figure before and after, and the course of training."""
    lead, names = result.figures[0], (*sides(result), "After training")
    rows = [Row(name, one, strong=one is lead.after)
            for name, one in zip(names, (lead.baseline, lead.before, lead.after), strict=True) if one is not None]
    words = " ".join(f"{row.label}: {w.number(row.score.value)}." for row in rows)
    made = [Drawing("figures", f"{lead.title} before and after", words, *(
        forest(rows, _short(lead), width, stacked=width == NARROW) for width in (WIDE, NARROW)))]
    curve = charts.curves("history", "Loss", {"train_loss": "in training", "validation_loss": "on validation"},
                          result.history)
    return [*made, *filter(None, [curve]), *(smaller.drawings(result.frontier) if result.frontier else [])]


def facts(result: TuneResult) -> dict[str, Any]:
    """Everything the template names."""
    judge = judged(result, result.run)
    parts = [("verdict", "Verdict"), ("all", "Figures"), *([("judge", "Judge")] if judge else []),
             *([("samples", "Answers")] if result.samples else []),
             *([("smaller", "Smaller")] if result.frontier else []),
             ("training", "Training"), ("again", "Run it again"), ("licences", "Licences")]
    lead = result.figures[0]
    return {
        "w": w, "clip": clip, "smaller": smaller, "forms": forms,
        "lead": lead, "contents": parts, "level": 0.95, "tentative_below": TENTATIVE_BELOW,
        "headline": headline(result), "sure": sure(lead), "sides": sides(result),
        "actions": actions(result), "cautions": cautions(result),
        "with_baseline": any(one.baseline for one in result.figures),
        "judge": judge, "command": trial(result.task, result.run), "shown": SHOWN,
        "tokens": [(f"Tokens {name}", w.count(count)) for name, count in result.tokens.items()],
        "facts": [("Run", result.run), ("Made", result.created), ("Read as", result.form),
                  ("Rows", ", ".join(f"{w.count(n)} {name}" for name, n in result.rows.items())),
                  ("Left out", ", ".join(f"{w.count(n)} {name.replace('_', ' ')}"
                                         for name, n in result.skipped.items()) or "none"),
                  ("Data hash (SHA-256 of the frozen splits)", result.data_hash)],
        "environment": flat(result.environment), "config": flat(result.config)}


def trial(task: str, folder: str) -> str:
    """The line with which a model of a task is tried."""
    return f'seedbed {"predict" if task in ("entities", "embed") else "generate"} {folder} "..."'
