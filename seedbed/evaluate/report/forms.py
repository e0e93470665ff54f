"""Smaller forms of a model as a table: for the page, and for a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..frontier import Frontier, Point
from . import wording as w
from .smaller import lost, share, state

Cell = tuple[str, str] | None
"""A figure and what stands below it; None where it was not measured."""


def _size(found: Frontier, one: Point) -> Cell:
    return (w.size(one.size), "") if one.size else None


def _load(found: Frontier, one: Point) -> Cell:
    return None if one.load is None else (w.seconds(one.load), "")


def _text(found: Frontier, one: Point) -> Cell:
    return (w.milliseconds(one.speed.median_ms), "") if one.speed else None


def _rate(found: Frontier, one: Point) -> Cell:
    return (w.rate(one.speed.texts_per_second), "") if one.speed else None


def _reads(found: Frontier, one: Point) -> Cell:
    return (w.rate(one.pace.reads), "") if one.pace else None


def _writes(found: Frontier, one: Point) -> Cell:
    return (w.rate(one.pace.writes), "") if one.pace else None


def _memory(found: Frontier, one: Point) -> Cell:
    return (w.size(one.memory), "") if one.memory else None


def _score(found: Frontier, one: Point) -> Cell:
    score = one.score
    return None if score is None else (
        w.figure(score.value, found.metric),
        f"{w.between(score, found.metric)}, n = {w.count(score.n)}{', tentative' if score.tentative else ''}")


def _lost(found: Frontier, one: Point) -> Cell:
    if one.loss is None or one.bound is None or one.level is None:
        return None
    return lost(found, one.loss), f"at most {lost(found, one.bound)}, {share(one.level)} sure"


Column = tuple[str, Callable[[Frontier, Point], Cell]]


def columns(found: Frontier) -> list[Column]:
    """What is told of each form: a title, and what makes the cell."""
    if found.writes:
        return [("Size", _size), ("Opens in", _load), ("Reads, tokens/s", _reads), ("Writes, tokens/s", _writes),
                ("Peak memory", _memory), ("Loss, nats a token", _score), ("It rises by", _lost)]
    return [("Size", _size), ("One text", _text), ("Texts per second", _rate), ("Peak memory", _memory),
            (w.short_metric(found.metric), _score), ("Answers lost", _lost)]


def rows(found: Frontier) -> list[dict[str, Any]]:
    """The forms with their cells, in the order of `columns`, and what became of each."""
    made = columns(found)
    return [{"name": one.name, "state": state(found, one), "reason": one.reason, "fell": one.fell,
             "cells": [cell(found, one) for _, cell in made]} for one in found.points]


def table(found: Frontier) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The same for a terminal: columns and cells."""
    made = columns(found)
    return ("", "form", *(title for title, _ in made), ""), [
        ("*" if row["state"] == "chosen" else "", row["name"], *map(_plain, row["cells"]),
         "; ".join(filter(None, [row["state"], row["reason"]]))) for row in rows(found)]


def _plain(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell[0]} ({cell[1]})" if cell[1] else cell[0]
