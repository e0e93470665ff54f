"""Plans of what is taken from a model, from little to much: each is tried where the one before it lost little."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from ..compress.config import HOW

WORDS = "vocabulary"
TENTHS = 10


@dataclass(frozen=True)
class Plan:
    """Parts that are taken away together.

    Args:
        parts: words of `--how`, each with the share of it that stays, in the order of `HOW`; none is the model as it
            is.
    """

    parts: tuple[tuple[str, float], ...] = ()

    @property
    def name(self) -> str:
        """`vocabulary, mlp 0.9`; empty of the model as it is."""
        words = [how if how == WORDS else f"{how} {keep:g}" for how, keep in self.parts]
        return ", ".join(sorted(words, key=lambda word: word != WORDS))

    def named(self, form: str) -> str:
        """A form of it: `vocabulary, mlp 0.9, onnx-int8`."""
        return f"{self.name}, {form}" if self.parts else form

    def and_(self, how: str, keep: float) -> Plan:
        """With one part more."""
        return Plan(tuple(sorted([*self.parts, (how, keep)], key=lambda one: HOW.index(one[0]))))


def ladder(how: Collection[str], least: float, holds: Callable[[Plan], bool]) -> Iterator[Plan]:
    """Plans worth a look: the words first, for they cost least for what they save; on what is left each other part by
    itself in steps of a tenth, until it loses too much; at last all that held, together.

    Args:
        how: words of `--how`.
        least: the least share that is tried.
        holds: whether a plan that was given out loses little enough; asked right after it was.
    """
    base = Plan()
    if WORDS in how:
        trimmed = Plan(((WORDS, 1.0),))
        yield trimmed
        base = trimmed if holds(trimmed) else base
    held = dict[str, float]()
    for name in (name for name in HOW if name in how and name != WORDS):
        for tenth in range(TENTHS - 1, 0, -1):
            keep = tenth / TENTHS
            if keep < least - 1e-9:
                break
            plan = base.and_(name, keep)
            yield plan
            if not holds(plan):
                break
            held[name] = keep
    if len(held) > 1:
        for name, keep in held.items():
            base = base.and_(name, keep)
        yield base
