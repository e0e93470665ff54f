"""The certificate: an exported model, in its own runtime, held against the model that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError, lacking
from ..evaluate.costs import Pace
from ..evaluate.floor import upper_bound
from ..evaluate.result import Speed
from ..evaluate.rise import Rise
from ..records import Estimate, Record
from ..tasks.classify import Classify, Floats
from .probes import KINDS, SHORT, Probes

if TYPE_CHECKING:
    from ..engines.exported import Exported

MORE_PADDING = 7
"""Tokens by which a text is padded further than its neighbours, so that each row of a padded pass has padding."""


@dataclass(frozen=True)
class Limits:
    """How far an artefact of a precision may be from the reference.

    Args:
        probability: largest difference of any probability of any probe text.
        divergence: mean Kullback-Leibler divergence, in nats.
        agreement: least share of held-out rows with the same answer.
    """

    probability: float
    divergence: float
    agreement: float


LIMITS = {"fp32": Limits(0.001, 1e-5, 0.99), "bf16": Limits(0.05, 0.005, 0.98), "int8": Limits(0.15, 0.02, 0.95),
          "int4": Limits(0.35, 0.1, 0.85)}
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
    before: float
    """Accuracy of the reference."""
    after: float
    """Accuracy of the artefact."""
    bound: float
    """The loss of accuracy is at most this, with the confidence (`evaluate.floor`)."""
    confidence: float
    floor: float
    """The most that was allowed."""
    lost: list[int] = []
    won: list[int] = []
    """Positions among these rows of those that only the reference has right, and only the artefact."""
    scores: dict[str, tuple[Estimate, Estimate]] = {}
    """Other figures by metric, of reference and artefact."""


    def at(self, confidence: float) -> float:
        """The bound at another confidence."""
        return upper_bound(np.repeat([1.0, -1.0, 0.0], [
            len(self.lost), len(self.won), self.n - len(self.lost) - len(self.won)]), confidence)

    @property
    def check(self) -> Check:
        return Check(name=f"loss of accuracy, at {self.confidence * 100:.4g}%", n=self.n, found=self.bound,
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
        """What a check of that beginning found; the largest of several."""
        return max((check.found for check in self.checks if check.name.startswith(name)), default=None)


@dataclass(frozen=True)
class Held:
    """Rows that neither model has learned from.

    Args:
        texts, targets: of the rows.
        floor: the largest loss of accuracy that is allowed.
        confidence: with which it must be excluded that more is lost.
        logits: the reference's answers. [rows, labels]
        original: those of the model that parts were taken from to make the reference, where they were: what is lost
            counts from there. [rows, labels]
    """

    texts: Sequence[str]
    targets: Sequence[Any]
    floor: float
    confidence: float
    logits: Floats | None = None
    original: Floats | None = None


def examine(artefact: Exported, probes: Probes, task: Classify, temperature: float,
            precision: str) -> list[Check]:
    """Hold an opened artefact against the stored answers of the reference. What fails first explains the rest.

    1. The tokens are the same. 2. Each text alone, by length. 3. Texts of all lengths in padded passes. 4. The mask
    is listened to: declared as text, the padding must change the answers. 5. Divergence over all probes.
    """
    limits, truth = LIMITS[precision], task.probabilities(probes.scores, temperature)
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

    said = np.full_like(truth, np.nan)

    def alone(places: list[int]) -> Callable[[], float]:
        def measure() -> float:
            for i in places:
                said[i] = task.probabilities(artefact.padded([probes.tokens[i]]), temperature)
            return float(np.abs(said[places] - truth[places]).max())
        return measure

    check("texts with other tokens", len(probes.texts), 0, tokens)
    for kind in KINDS:
        places = probes.of(kind)
        check(f"probability, texts {kind}", len(places), limits.probability, alone(places))
    if not artefact.alone:
        some = [i for i in range(len(probes.texts)) if len(probes.tokens[i]) < max(map(len, probes.tokens))]
        rows = [probes.tokens[i] for i in some]
        wide = max(map(len, rows)) + MORE_PADDING

        def padded(masked: bool) -> Floats:
            return task.probabilities(np.concatenate([
                artefact.padded(rows[at:at + 8], min(wide, artefact.max_tokens), masked)
                for at in range(0, len(rows), 8)]), temperature)

        check("probability, padded texts", len(rows), limits.probability,
              lambda: float(np.abs(padded(True) - truth[some]).max()))
        short = [at for at, i in enumerate(some) if probes.kinds[i] == SHORT]
        check("answers that the mask changes", len(short), len(short) / 2,
              lambda: float((np.abs(padded(True) - padded(False)).max(axis=1)[short] > 0).sum()), least=True)
    check("divergence", len(probes.texts), limits.divergence, lambda: divergence(task, truth, said))
    return checks


def certify(artefact: Exported, probes: Probes, task: Classify, temperature: float, precision: str,
            held: Held | None) -> Certificate:
    """All that is compared: `examine`, and then the answers to held-out rows.

    Args:
        held: rows with the reference's answers; None when there are none.
    """
    checks, loss = examine(artefact, probes, task, temperature, precision), None
    if held is not None and all(check.passed for check in checks):
        more, loss = compare(artefact.logits(held.texts), task, temperature, precision, held)
        checks += more
    return Certificate(precision=precision, checks=checks, loss=loss)


def compare(mine: Floats, task: Classify, temperature: float, precision: str,
            held: Held) -> tuple[list[Check], Loss]:
    """An artefact's answers to held-out rows [rows, labels] against the reference's."""
    from ..evaluate.scores import score

    assert held.logits is not None
    other = held.logits if held.original is None else held.original
    limits, y = LIMITS[precision], task.encode(held.targets)
    probabilities, truth = (task.probabilities(one, temperature) for one in (mine, held.logits))
    decided, before = (task.decide(one).reshape(len(y), -1) for one in (probabilities, truth))
    right = [right_of(task, y, one, temperature) for one in (other, mine)]
    bound = upper_bound(right[0] - right[1], held.confidence)
    scores = [score(task, y, one, "test", temperature=temperature) for one in (other, mine)]
    n = len(y)
    loss = Loss(n=n, before=float(right[0].mean()), after=float(right[1].mean()), bound=bound,
                confidence=held.confidence, floor=held.floor, lost=np.flatnonzero(right[0] > right[1]).tolist(),
                won=np.flatnonzero(right[1] > right[0]).tolist(), scores={
                    name: (getattr(scores[0], name), getattr(scores[1], name))
                    for name in ("macro_f1", "micro_f1", "accuracy")})
    return [Check(name="divergence, held-out rows", n=n, found=divergence(task, truth, probabilities),
                  limit=limits.divergence),
            Check(name="same answer, held-out rows", n=n, found=float((decided == before).all(axis=1).mean()),
                  limit=limits.agreement, least=True),
            loss.check], loss


def right_of(task: Classify, y: Any, logits: Floats, temperature: float) -> NDArray[np.float64]:
    """Which rows are answered right, in every label. [rows] of 0 and 1"""
    decided = task.decide(task.probabilities(logits, temperature)).reshape(len(y), -1)
    return np.asarray((decided == y.reshape(len(y), -1)).all(axis=1), np.float64)


def divergence(task: Classify, truth: Floats, said: Floats) -> float:
    """Mean Kullback-Leibler divergence from the reference's probabilities, in nats; of multi-label by label."""
    p, q = (np.clip(np.asarray(one, np.float64), 1e-12, 1) for one in (truth, said))
    each = p * np.log(p / q)
    if task.multi_label:
        p, q = (np.clip(1 - one, 1e-12, 1) for one in (p, q))
        each = each + p * np.log(p / q)
        return float(each.mean())
    return float(each.sum(axis=1).mean())
