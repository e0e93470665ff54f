"""Where to write the name of each point so that names hide neither points, intervals nor each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .wording import columns

COLUMN, LINE = 6.8, 16
"""Width of a character and height of a line at 12 pixels, a little generous."""
Box = tuple[float, float, float, float]
"""left, top, right, bottom"""


@dataclass(frozen=True)
class Point:
    """A named point with its interval, in pixels from the top left corner of the plot."""

    name: str
    x: float
    y: float
    top: float
    bottom: float


def place(points: Sequence[Point], width: float, height: float) -> list[tuple[float, float]]:
    """Left end and middle height of each name, in pixels: the first free place beside, above or below its point.

    A name may stand up to three lines above the plot.
    """
    taken: list[Box] = [(p.x - 9, min(p.y - 9, p.top), p.x + 9, max(p.y + 9, p.bottom)) for p in points]
    found = []
    for point in points:
        span = columns(point.name) * COLUMN
        choices = [(x, y) for x, y in _choices(point, span)
                   if x >= 0 and x + span <= width and -3 * LINE <= y <= height - LINE / 2]
        best = min(choices or [(max(0.0, min(point.x + 12, width - span)), point.y)],
                   key=lambda at: sum(_overlap(_box(at, span), other) for other in taken))
        taken.append(_box(best, span))
        found.append(best)
    return found


def _choices(point: Point, span: float) -> Iterator[tuple[float, float]]:
    for shift in (0, -14, 14):
        yield point.x + 12, point.y + shift
        yield point.x - 12 - span, point.y + shift
    for x in (point.x - span / 2, point.x - span + 8, point.x - 8):
        yield x, point.top - 12
        yield x, point.bottom + 12
    for up in (28, 44):
        for x in (point.x - span / 2, point.x - span + 8, point.x - 8):
            yield x, point.top - up
    for shift in (-28, 28, -42, 42):
        yield point.x + 12, point.y + shift
        yield point.x - 12 - span, point.y + shift

def _box(at: tuple[float, float], span: float) -> Box:
    return at[0], at[1] - LINE / 2, at[0] + span, at[1] + LINE / 2


def _overlap(one: Box, other: Box) -> float:
    across, down = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    return across * down if across > 0 and down > 0 else 0.0
