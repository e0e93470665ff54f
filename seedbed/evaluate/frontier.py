"""Smaller forms of a model: what each costs, what each loses, and which of them is proven good enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from pydantic import model_validator

from ..records import Estimate, Record
from .costs import Pace, Speed

Prefer = Literal["size", "speed", "memory"]
LOSS = "loss"
"""The metric of a model that writes, in nats a token."""


class Fell(Record):
    """A part of the held-out rows on which a smaller form lost, although all rows together may hide it."""

    dimension: str
    value: str
    lost: int
    """Rows of the part that the original has right and the smaller form has wrong, less those the other way round."""
    n: int


class Point(Record):
    """One form of the model."""

    name: str
    """`openvino-int8`, or `vocabulary, mlp 0.9, openvino-int8` where parts were taken away first; `original`."""
    sequence: str
    """Forms of one sequence are tried one after the other, the dearest first."""
    apart: float | None = None
    """How far it is from the original on rows that the original has learned from: where plans are searched, they are
    tested in this order."""
    status: Literal["measured", "refused"]
    reason: str = ""
    """Why it was refused, or not asked."""
    size: int = 0
    """Bytes on disk."""
    memory: int = 0
    """Peak bytes of a process that opened it and answered."""
    speed: Speed | None = None
    pace: Pace | None = None
    """Of a model that writes."""
    load: float | None = None
    """Seconds until a fresh process had opened it."""
    score: Estimate | None = None
    """In the task's metric."""
    accuracy: Estimate | None = None
    loss: float | None = None
    """Accuracy of the original minus its own, or its own loss minus the original's, on the same rows."""
    bound: float | None = None
    """The loss is at most this, at the level it was tested at."""
    level: float | None = None
    """Confidence of `bound`: higher than the one asked for, where several sequences share it."""
    passed: bool = False
    fell: list[Fell] = []

    @property
    def wait(self) -> float | None:
        """Milliseconds for one text, or for one token that is written; None where it was not measured."""
        if self.speed is not None:
            return self.speed.median_ms
        return 1000 / self.pace.writes if self.pace else None


class Frontier(Record):
    """All forms that were tried against a floor."""

    floor: float
    """The most that may be lost: of accuracy, or of a model that writes nats a token."""
    confidence: float
    prefer: Prefer
    metric: str
    """`loss` of a model that writes: less is better."""
    n: int
    """Held-out rows; of a model that writes, units of rows that are alike."""
    points: list[Point]
    """The original first."""
    chosen: str | None = None
    folder: str | None = None
    """The bundle that the chosen one lies in, where parts of the model were taken away for it."""

    @model_validator(mode="after")
    def _chooses_what_passed(self) -> Frontier:
        if self.chosen is not None and not self.point(self.chosen).passed:
            raise ValueError(f"{self.chosen!r} was chosen and did not pass")
        return self

    @property
    def writes(self) -> bool:
        """It is of a model that writes, and the loss is what is bounded."""
        return self.metric == LOSS

    def point(self, name: str) -> Point:
        """The form of that name."""
        return next(one for one in self.points if one.name == name)

    @property
    def closest(self) -> Point | None:
        """Of the forms that did not pass, the one with the lowest bound."""
        measured = [one for one in self.points[1:] if one.bound is not None and not one.passed]
        return min(measured, key=lambda one: (one.bound, one.size), default=None)


def judged(points: Sequence[Point], bounds: Mapping[str, Callable[[float], float]], floor: float,
           confidence: float) -> list[Point]:
    """Mark the forms that are proven to lose at most the floor.

    Several forms are tested and the smallest that passes is taken, so each test must answer for the others. Within a
    sequence they are tested in the order given, at full level, until one fails (the fixed-sequence procedure: Maurer,
    Hothorn and Lehmacher 1995; Westfall and Krishen 2001). Sequences share the error rate evenly (Bonferroni). The
    chance that any form passes whose true loss is above the floor is then at most 1 - confidence. A form behind a
    failed one keeps its figures and cannot pass, unless it is asked for alone.

    Args:
        points: measured and refused ones.
        bounds: by name of those measured: the upper bound of the loss at a confidence.
        floor: the most that may be lost.
        confidence: of all that passes together.
    """
    names = list(dict.fromkeys(one.sequence for one in points if one.name in bounds))
    level = 1 - (1 - confidence) / max(1, len(names))
    open_, out = set(names), []
    for one in points:
        if one.name not in bounds:
            out.append(one)
            continue
        bound = bounds[one.name](level)
        passed = one.sequence in open_ and bound <= floor
        if not passed:
            open_.discard(one.sequence)
        reason = "" if passed else (f"a larger form of its kind failed before it ({one.sequence})"
                                    if bound <= floor else "may lose more than the floor")
        out.append(one.model_copy(update={"bound": bound, "level": level, "passed": passed, "reason": reason}))
    return out


def in_turn(points: Sequence[Point], bounds: Mapping[str, Callable[[float], float]], floor: float,
            confidence: float, prefer: Prefer) -> list[Point]:
    """Mark the forms that are proven to lose at most the floor, of many plans.

    There are too many to share the error rate. So rows that had no part in the proof say which are worth a test, and
    in which order: of those that are `apart` from the original by less than any cheaper one, the nearest first. They
    are tested at full level until one fails (Pareto testing: Laufer-Goldshtein, Fisch, Barzilay and Jaakkola 2023,
    "Efficiently controlling multiple risks with Pareto testing"). The chance that any form passes whose true loss is
    above the floor is then at most 1 - confidence, whatever the order: it costs power where it is a bad one.

    Args:
        points: the original first; those measured have `apart`.
        bounds, floor, confidence: as `judged` takes them.
        prefer: what is to be least.
    """
    cost, front, least = COSTS[prefer], list[str](), float("inf")
    for one in sorted((one for one in points if one.name in bounds), key=lambda one: (one.apart, cost(one))):
        if cost(one) < least:
            front.append(one.name)
            least = cost(one)
    proven = set[str]()
    for name in front:
        if not bounds[name](confidence) <= floor:
            break
        proven.add(name)

    def why(one: Point, bound: float) -> str:
        if one.name in proven:
            return ""
        if bound > floor:
            return "may lose more than the floor"
        return "another that costs less is nearer to the original" if one.name not in front else \
            "one that is nearer to the original failed before it"
    out = list[Point]()
    for one in points:
        if one.name in bounds:
            bound = bounds[one.name](confidence)
            one = one.model_copy(update={"bound": bound, "level": confidence, "passed": one.name in proven,
                                         "reason": why(one, bound)})
        out.append(one)
    return out


COSTS: dict[Prefer, Callable[[Point], float]] = {
    "size": lambda one: one.size, "memory": lambda one: one.memory,
    "speed": lambda one: float("inf") if one.wait is None else one.wait}
"""What a form costs."""


def chosen(points: Sequence[Point], prefer: Prefer) -> str | None:
    """The smallest, fastest or leanest form among those that passed; None where none is better than the original.

    Args:
        points: the original first.
    """
    cost = COSTS[prefer]
    better = [one for one in points[1:] if one.passed and cost(one) < cost(points[0])]
    return min(better, key=lambda one: (cost(one), one.size)).name if better else None
