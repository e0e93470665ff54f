"""The certificate of a model that writes: its exported form, in its own runtime, held against the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..errors import UserError, lacking
from ..evaluate.rise import Rise
from ..models.paired import begun, followed, said_in
from ..models.reach import window_of, windows_of
from ..tasks.classify import Floats
from .adapter_change import Switch, again, off, otherwise, places
from .certificate import Certificate, Check, check_of
from .modelfile import TRIED
from .writer_reference import SAID, Reference, logs, nats
from .writer_reference import timed as taken

if TYPE_CHECKING:
    from .targets.writers import Opened


@dataclass(frozen=True)
class Limits:
    """How far a form of a precision may be from the reference.

    Args:
        divergence: mean Kullback-Leibler divergence of the next word, in nats.
        agreement: least share of places with the same likeliest word.
        loss: by how much the loss on held-out rows may rise, nats a token, at the upper end of its interval.
        step: largest divergence between a text read at once and read token by token, by the same runtime. It rounds
            activations too, in batches of other sizes otherwise.
        change: of an adapter that lies apart, how much of what it changes may be otherwise, as a share.
    """

    divergence: float
    agreement: float
    loss: float
    step: float
    change: float = 0.2


LIMITS = {"f16": Limits(0.002, 0.97, 0.01, 0.005, 0.05), "q8_0": Limits(0.03, 0.9, 0.03, 0.03, 0.15),
          "int8": Limits(0.04, 0.9, 0.05, 0.04), "q4_k_m": Limits(0.2, 0.75, 0.15, 0.1),
          "int4": Limits(0.2, 0.75, 0.15, 0.1),
          "fp32": Limits(0.002, 0.97, 0.01, 0.005)}
"""By the precision of the weights. docs/export-writers.md has them beside what was measured."""
WRITTEN, NEAR = 6, 0.3
"""Tokens that are written by what people run it with, and by how much another may be likelier: its sums differ, and
so may the choice at a near tie."""
SURE = 0.975
"""How sure it must be that the loss rises by no more."""
TRIES = 6
"""Texts that it is let go on from, until it writes something."""
STEPS = 6
"""Tokens that are read one by one: the second and later ones show a cache that does not grow."""
PADDING = 7
"""Tokens of padding behind a source that must change nothing. No engine here pads; others that open the file may."""


class Runtime(Protocol):
    """An exported form that is open."""

    def logits(self, ids: Sequence[int], last: int = 1) -> Floats:
        """Logits of every word after each of the last tokens. [last, words]"""

    def forget(self) -> None:
        """Read everything anew next time."""

    def tokens(self, text: str, *, special: bool) -> list[int]:
        """Tokens of a text as the form itself reads it; marks in it count where `special`."""

    def ends(self, token: int) -> bool:
        """Whether it stops at a token."""


def certify(form: Opened, reference: Reference, precision: str, *, floor: float | None = None,
            timed: bool = True) -> Certificate:
    """Compare an exported form with the model: what it reads, what it thinks of the next word, where it stops.

    Args:
        floor: by how much the loss may rise; as its precision has it, where none is given.
        timed: measure the pace of both, where it passes.
    """
    limits, checks, runtime, render = LIMITS[precision], list[Check](), form.runtime, form.render

    def check(name: str, n: int, limit: float, find: Callable[[], float], least: bool = False) -> None:
        try:
            found, note = find(), ""
        except Exception as problem:  # whatever a runtime says that meets what it cannot do
            if lacking(problem) or isinstance(problem, UserError):
                raise
            found, note = float("nan"), (str(problem).strip() or type(problem).__name__).splitlines()[0]
        checks.append(Check(name=name, n=n, found=found, limit=limit, least=least, note=note))

    template, near = reference.template, dict[str, tuple[float, float]]()
    if template.chats and render is not None:
        check("prompts with other tokens", len(TRIED), 0, lambda: float(sum(
            runtime.tokens(render(some), special=True) != template.ids(some) for some in TRIED)))
    check("texts with other tokens", len(SAID), 0, lambda: float(sum(
        runtime.tokens(text, special=False) != template.tokenizer(text, split_special_tokens=True)["input_ids"]
        for text in SAID)))
    check("ends at which it does not stop", len(reference.ends), 0,
          lambda: float(sum(not runtime.ends(token) for token in reference.ends)))
    if template.start is not None:
        check("beginnings with another token", 1, 0, lambda: float(form.start != template.start))

    def apart(ids: list[int], size: str) -> float:
        runtime.forget()
        near[size] = compared(reference.said[size], runtime.logits(ids, reference.compared(size)))
        return near[size][0]

    texts = reference.texts()
    for size, ids in texts.items():
        check(f"divergence, {size} text", reference.compared(size), limits.divergence,
              lambda ids=ids, size=size: apart(ids, size))  # type: ignore[misc]
    count = sum(map(reference.compared, near))
    check("same next word", count, limits.agreement,
          lambda: sum(near[size][1] * reference.compared(size) for size in near) / count, least=True)
    check("divergence of single steps", STEPS, limits.step, lambda: stepped(runtime, reference.walked))
    if form.padded is not None:
        check("divergence of a padded source", said_in(texts["medium"]), limits.step,
              lambda: changed(runtime, texts["medium"], lambda ids, last: _padded(form, ids, last)))
        check("divergence after another source", said_in(texts["medium"]), limits.step,
              lambda: changed(runtime, texts["medium"], lambda ids, last: _after(runtime, texts["short"], ids, last)))
    if (switch := form.switch) is not None:
        if reference.apart:
            base = reference.apart.base
            check("divergence without the adapter", said_in(texts["medium"]), limits.divergence,
                  lambda: _without(runtime, switch, base, texts["medium"]))
            check("share of the adapter's change that is otherwise", places(reference), limits.change,
                  lambda: otherwise(runtime, switch, reference, limits.step))
        check("divergence after the adapter was off", said_in(texts["medium"]), limits.step,
              lambda: changed(runtime, texts["medium"], lambda ids, last: again(runtime, switch, ids, last)))
    if form.write is not None:
        check("likelier words than those written, nats", WRITTEN, NEAR, lambda: missed(form, reference))
    config = reference.root.config
    if (windows := form.windows) is not None and window_of(config):
        check("layers with another window", len(windows_of(config)), 0, lambda: float(sum(
            one != other for one, other in zip(windows(), windows_of(config), strict=True))))
    rise = list[Rise]()

    def rises(most: float) -> float:
        rise.append(risen(runtime, reference, most))
        return rise[0].bound

    if len(reference.rows) > 1 and all(one.passed for one in checks):
        most = limits.loss if floor is None else floor
        check("rise of the loss, nats a token", len(reference.rows), most, lambda: rises(most))
        checks[-1:] = map(check_of, rise) if rise else checks[-1:]
    made = Certificate(precision=precision, checks=checks, rise=rise[0] if rise else None)
    if made.failed or not timed:
        return made
    runtime.forget()
    return made.model_copy(update={"pace": taken(texts["long"], lambda ids, new: runtime.logits(ids)),
                                   "reference_pace": reference.pace()})


def compared(truth: Floats, said: Floats) -> tuple[float, float]:
    """Mean divergence in nats, and the share of places with the same likeliest word. [places, words] each"""
    if truth.shape != said.shape:
        raise ValueError(f"it scores {said.shape[-1]:,} words, the model {truth.shape[-1]:,}")
    p, q = logs(truth), logs(said)
    return float((np.exp(p) * (p - q)).sum(-1).mean()), float((p.argmax(-1) == q.argmax(-1)).mean())


def stepped(runtime: Runtime, ids: list[int]) -> float:
    """Largest divergence between what a runtime thinks of tokens read one by one, and of the same read at once."""
    def step(ids: list[int], last: int) -> Floats:
        runtime.logits(begun(ids, len(ids) - last))
        return np.concatenate([runtime.logits(begun(ids, len(ids) - last + 1 + at)) for at in range(last)])

    return changed(runtime, ids, step, STEPS)


def changed(runtime: Runtime, ids: list[int], otherwise: Callable[[list[int], int], Floats], last: int = 0) -> float:
    """Largest divergence between what a runtime thinks of tokens read at once, and read in another way.

    Args:
        otherwise: its logits after so many of the last tokens, in that way.
        last: tokens that are compared; 0 for all.
    """
    last = last or said_in(ids)
    runtime.forget()
    whole = logs(runtime.logits(ids, last))
    runtime.forget()
    other = logs(otherwise(ids, last))
    return float((np.exp(whole) * (whole - other)).sum(-1).max())


def _without(runtime: Runtime, switch: Switch, base: Reference, ids: list[int]) -> float:
    """How far the form is from the base, its adapter off."""
    with off(switch):
        return compared(base.logits(ids, said_in(ids)), runtime.logits(ids, said_in(ids)))[0]


def _padded(form: Opened, ids: list[int], last: int) -> Floats:
    assert form.padded is not None
    return form.padded(ids, PADDING, last)


def _after(runtime: Runtime, before: list[int], ids: list[int], last: int) -> Floats:
    """What was kept of another text must not be taken for this one's."""
    runtime.logits(before)
    return runtime.logits(ids, last)


def missed(form: Opened, reference: Reference) -> float:
    """The most by which another word was likelier, by the runtime, than the one that was written as the likeliest.

    Raises:
        ValueError: it wrote nothing after any of some texts.
    """
    assert form.write is not None
    for ids in reference.spoken[:TRIES]:  # what begins with half a character cannot be told by its text
        if made := form.write(ids, WRITTEN):
            form.runtime.forget()
            said = logs(form.runtime.logits(followed(ids, made[:-1]), len(made)))
            return float((said.max(-1) - said[np.arange(len(made)), made]).max())
    raise ValueError("it wrote no text")


def risen(runtime: Runtime, reference: Reference, floor: float) -> Rise:
    """How much more a learned token of the held-out rows costs."""
    rows, tokens, unit = reference.told
    runtime.forget()
    after = np.array([float(nats(runtime, row, reference.context).sum()) for row in rows])
    return Rise.of(reference.before, after, tokens, unit, SURE, floor)
