"""The certificate: an exported model, in its own runtime, held against the model that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UserError, lacking
from ..evaluate.costs import Pace
from ..evaluate.floor import upper_bound
from ..evaluate.result import Speed
from ..evaluate.rise import Rise
from ..records import Estimate, Record
from ..tasks.classify import Floats
from .probes import KINDS, SHORT, Probes

if TYPE_CHECKING:
    from ..engines.exported import Exported
    from .yardstick import Yardstick

MORE_PADDING = 7
"""Tokens by which a text is padded further than its neighbours, so that each row of a padded pass has padding."""


@dataclass(frozen=True)
class Limits:
    """How far an artefact of a precision may be from the reference.

    Args:
        probability: largest difference of any probability of any probe text.
        divergence: mean Kullback-Leibler divergence, in nats.
        agreement: least share of held-out rows with the same answer.
        cosine: least cosine of a probe text's vector to the reference's.
        shift: by how much vectors (log-probabilities of tags) are off, as a share of how far probe texts (tokens) are
            from their mean: where all are alike, a cosine near 1 tells nothing, nor do tags that are all O.
        between: largest difference of a cosine between two probe texts.
        alike: least share of held-out questions with the same nearest document; least F1 of what is marked in
            held-out rows, the reference's marks taken for right.
    """

    probability: float
    divergence: float
    agreement: float
    cosine: float
    shift: float
    between: float
    alike: float


LIMITS = {"fp32": Limits(0.001, 1e-5, 0.99, 0.99999, 0.002, 0.001, 0.99),
          "bf16": Limits(0.05, 0.005, 0.98, 0.999, 0.05, 0.02, 0.95),
          "int8": Limits(0.15, 0.02, 0.95, 0.97, 0.25, 0.1, 0.85),
          "int4": Limits(0.35, 0.1, 0.85, 0.8, 0.5, 0.2, 0.75)}
"""By the precision of the weights. docs/export.md says how they were chosen."""


class Check(Record):
    """One thing that was compared."""

    name: str
    n: int
    """Texts or rows behind it."""
    found: float
    limit: float
    least: bool = False
    """The figure must reach the limit; else it must not pass it."""
    note: str = ""
    """What went wrong instead of a figure."""

    @property
    def passed(self) -> bool:
        """A figure that is not a number never does."""
        return not self.note and bool(self.found >= self.limit if self.least else self.found <= self.limit)

    @property
    def told(self) -> str:
        """One clause for people."""
        bound = f"{self.found:.4g}, at {'least' if self.least else 'most'} {self.limit:.4g}"
        return f"{self.name}: {self.note or bound}"


class Loss(Record):
    """What the artefact loses on rows that neither model has learned from."""

    n: int
    of: str = "rows"
    """What these are."""
    what: str = "accuracy"
    """The figure that is lost."""
    before: float
    """That figure of the reference."""
    after: float
    """That figure of the artefact."""
    bound: float
    """The loss is at most this, with the confidence (`evaluate.floor`)."""
    confidence: float
    floor: float
    """The most that was allowed."""
    lost: list[int] = []
    won: list[int] = []
    """Positions among these rows of those that only the reference has right, and only the artefact."""
    moved: list[float] = []
    """What each case loses that loses or gains, where it is not just right or wrong."""
    scores: dict[str, tuple[Estimate, Estimate]] = {}
    """Other figures by metric, of reference and artefact."""


    def at(self, confidence: float) -> float:
        """The bound at another confidence."""
        moved = [*[1.0] * len(self.lost), *[-1.0] * len(self.won), *self.moved]
        return upper_bound(np.array([*moved, *[0.0] * (self.n - len(moved))]), confidence)

    @property
    def check(self) -> Check:
        return Check(name=f"loss of {self.what}, at {self.confidence * 100:.4g}%", n=self.n, found=self.bound,
                     limit=self.floor)


def check_of(rise: Rise) -> Check:
    """The rise of a loss, as one of the things that were compared."""
    return Check(name=f"rise of the loss, nats a token, at {rise.confidence * 100:.4g}%", n=rise.n, found=rise.bound,
                 limit=rise.floor)


class Certificate(Record):
    """What was found when the real runtime ran the artefact."""

    precision: str
    checks: list[Check]
    loss: Loss | None = None
    """None without rows to measure it on; then only the numbers were compared."""
    rise: Rise | None = None
    """The same of models that write."""
    speed: Speed | None = None
    reference_speed: Speed | None = None
    """Of both on the machine that exported, one after the other."""
    pace: Pace | None = None
    reference_pace: Pace | None = None
    """The same of models that write; the reference in fp32."""

    @property
    def faster(self) -> float:
        """How many times as fast as the reference; 1 where it was not measured."""
        if self.pace is not None and self.reference_pace is not None:
            return self.pace.writes / self.reference_pace.writes
        if self.speed is None or self.reference_speed is None:
            return 1.0
        return self.speed.texts_per_second / self.reference_speed.texts_per_second

    @property
    def passed(self) -> bool:
        return not self.failed

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if not check.passed]

    @property
    def bound(self) -> Callable[[float], float] | None:
        """What is lost at most, at a confidence. None without rows to measure it on."""
        found = self.loss or self.rise
        return found.at if found else None

    def held_to(self, floor: float, confidence: float) -> Certificate:
        """The same with another floor. Only with a `loss` or a `rise`."""
        assert self.bound is not None
        told = {"bound": self.bound(confidence), "confidence": confidence, "floor": floor}
        loss, rise = self.loss and self.loss.model_copy(update=told), self.rise and self.rise.model_copy(update=told)
        last = [loss.check] if loss else [check_of(rise)] if rise else []
        return self.model_copy(update={"loss": loss, "rise": rise, "checks": [*self.checks[:-1], *last]})

    def figure(self, name: str) -> float | None:
        """What a check of that beginning found; the worst of several."""
        found = [check for check in self.checks if check.name.startswith(name)]
        return None if not found else (min if found[0].least else max)(check.found for check in found)


@dataclass(frozen=True)
class Held:
    """Rows that neither model has learned from.

    Args:
        texts: that both answer.
        targets: what is right, as the model's `Yardstick` takes it.
        floor: the largest loss that is allowed.
        confidence: with which it must be excluded that more is lost.
        answers: the reference's.
        original: those of the model that parts were taken from to make the reference, where they were: what is lost
            counts from there.
    """

    texts: Sequence[str]
    targets: Any
    floor: float
    confidence: float
    answers: Any = None
    original: Any = None


def examine(artefact: Exported, probes: Probes, yard: Yardstick, precision: str) -> list[Check]:
    """Hold an opened artefact against the stored answers of the reference. What fails first explains the rest.

    1. The tokens are the same. 2. Each text alone, by length. 3. Texts of all lengths in padded passes. 4. The mask
    is listened to: declared as text, the padding must change the answers. 5. All probes together.
    """
    limits, truth = LIMITS[precision], [yard.values(one) for one in probes.answers]
    checks: list[Check] = []

    def check(name: str, n: int, limit: float, measure: Callable[[], float], least: bool = False) -> None:
        """A runtime that refuses a text fails the check that asked it."""
        found, note = float("nan"), ""
        try:
            found = measure()
        except Exception as problem:
            if isinstance(problem, UserError) or lacking(problem):
                raise
            note = next(iter(str(problem).strip().splitlines()), type(problem).__name__)[:200]
        if found != found and not note:
            note = "not a number"
        checks.append(Check(name=name, n=n, found=0.0 if note else found, limit=limit, least=least, note=note))

    def tokens() -> float:
        pairs = zip(artefact.tokens(probes.texts), probes.tokens, strict=True)
        return float(sum(list(mine) != list(other) for mine, other in pairs))

    said = [np.full_like(one, np.nan) for one in truth]

    def alone(places: list[int]) -> Callable[[], float]:
        def measure() -> float:
            for i in places:
                said[i] = yard.values(artefact.each([probes.tokens[i]])[0])
            return yard.worst([yard.apart(said[i], truth[i]) for i in places])
        return measure

    check("texts with other tokens", len(probes.texts), 0, tokens)
    for kind in KINDS:
        places = probes.of(kind)
        check(f"{yard.figure}, texts {kind}", len(places), yard.limit(limits), alone(places), yard.least)
    if not artefact.alone:
        some = [i for i in range(len(probes.texts)) if len(probes.tokens[i]) < max(map(len, probes.tokens))]
        rows = [probes.tokens[i] for i in some]
        wide = max(map(len, rows)) + MORE_PADDING

        def padded(masked: bool) -> list[Floats]:
            return [yard.values(one) for at in range(0, len(rows), 8)
                    for one in artefact.each(rows[at:at + 8], min(wide, artefact.max_tokens), masked)]

        check(f"{yard.figure}, padded texts", len(some), yard.limit(limits), lambda: yard.worst(
            [yard.apart(mine, truth[i]) for mine, i in zip(padded(True), some, strict=True)]), yard.least)
        short = [place for place, i in enumerate(some) if probes.kinds[i] == SHORT]
        if yard.masked(artefact.causal):
            def changed() -> float:
                with_mask, without = padded(True), padded(False)
                return float(sum(bool((with_mask[i] != without[i]).any()) for i in short))
            check("answers that the mask changes", len(short), len(short) / 2, changed, least=True)
    for name, limit, measure in yard.together(said, truth, limits):
        check(name, len(probes.texts), limit, measure)
    return checks


def certify(artefact: Exported, probes: Probes, yard: Yardstick, precision: str, held: Held | None) -> Certificate:
    """All that is compared: `examine`, and then the answers to held-out rows.

    Args:
        held: rows with the reference's answers; None when there are none.
    """
    checks, loss = examine(artefact, probes, yard, precision), None
    if held is not None and all(check.passed for check in checks):
        more, loss = yard.compare(yard.ask(artefact, held.texts), held, precision)
        checks += more
    return Certificate(precision=precision, checks=checks, loss=loss)
