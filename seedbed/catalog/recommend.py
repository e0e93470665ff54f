"""Which model to take: every card is either chosen or ruled out, each with its reasons in figures."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple, cast, get_args

from ..errors import UserError
from ..records import Record
from .cards import MANY_LANGUAGES, Card, Domain, Task, cards
from .fetch import local
from .memory import Method, Precision, Step, shape, to_run, to_train
from .speed import Speed, decode, prefill

OPEN = ("Apache-2.0", "MIT")
READING_PACE = 5.0
"""Tokens a second below which an answer comes slower than a person reads."""
WRITES = ("chat", "summarize", "translate", "complete")
"""Tasks whose answer is written word by word."""
TEXTS, TOKENS = 1000, 120
"""The training set that the time is told for: the patient reviews have 115 tokens on average."""
TRAINING_COST = {"full": 3.0, "lora": 2.0, "qlora": 2.0}
"""A training step against reading alone: backward costs twice forward, or once where the weights are frozen."""
SLOW_EPOCH, LONGEST_EPOCH = 1800.0, 8 * 3600.0
"""Seconds for one pass over those texts: worth a caution; longer than a night, which rules the model out."""
RUN_PRECISIONS: tuple[Precision, ...] = ("bf16", "int8", "int4")
READERS: tuple[Method, ...] = ("full", "lora", "qlora")
WRITERS: tuple[Method, ...] = ("lora", "qlora")
"""Ways to train, first the one that `seedbed run` takes: an encoder is small enough to train whole."""
SMALL_STEP = 512
"""Tokens of the step that is planned with where the usual one does not fit."""


class Choice(Record):
    """A model that would do."""

    card: str
    title: str
    precision: Precision
    """To run at: the finest that fits and keeps pace."""
    run_bytes: int
    method: Method | None
    """To train with: the preferred way that fits; None when training was not asked for."""
    train_precision: Precision | None
    train_bytes: int | None
    step_tokens: int | None
    """Tokens in one step of that training."""
    trained_here: bool
    """Seedbed trains it in this way; such models come before others."""
    epoch_seconds: float | None
    """Predicted time of one pass over 1,000 texts of 120 tokens."""
    prefill_tokens_s: float | None
    decode_tokens_s: float | None
    fetched: bool
    why: list[str]
    cautions: list[str]


class RuledOut(Record):
    """A model that would not do, with every reason."""

    card: str
    title: str
    why: list[str]


class Recommendation(Record):
    """Chosen and ruled out are all cards there are.

    The first choice is the largest model that fits, that Seedbed trains and that is not slow here, since of models
    made the same way the larger answers better; then come smaller ones, then those that would be slow to train, and
    at the end those that Seedbed does not train.
    """

    task: Task
    memory: int
    languages: tuple[str, ...]
    licence: str | None
    domain: Domain
    speed: Speed | None
    chosen: list[Choice]
    ruled_out: list[RuledOut]


def recommend(task: str, *, memory: int, languages: Iterable[str] = (), licence: str | None = None,
              speed: Speed | None = None, domain: str = "general", train: bool = True, context: int = 1024,
              step: Step = Step()) -> Recommendation:
    """Choose among all cards.

    Args:
        task: classify, extract, chat, summarize, translate, complete or embed.
        memory: bytes that may be used.
        languages: ISO 639-1 codes that the model must cover.
        licence: `open` (Apache-2.0, MIT), `commercial` (may be used commercially, if need be under conditions), or
            a licence's name.
        speed: from `speed.probe`; None leaves speed out.
        domain: general, medical or financial; a model made for another field is ruled out.
        train: it must also be trainable in that memory.
        context: tokens of input and output together.
        step: of training, as it is done where nothing else is asked for.

    Raises:
        UserError: an unknown task or domain, or no memory.
    """
    for name, value, known in (("task", task, get_args(Task)), ("domain", domain, get_args(Domain))):
        if value not in known:
            raise UserError(f"There is no {name} {value!r}.", f"Known: {', '.join(known)}.")
    if memory < 1:
        raise UserError(f"{memory} bytes of memory are none.", "Say how much may be used, for instance 8GB.")
    wanted = tuple(dict.fromkeys(code.strip().lower() for code in languages if code.strip()))
    chosen, out = [], []
    for card in cards().values():
        reasons = _unfit(card, task, wanted, licence, domain)
        choice = None
        if card.architecture is None:
            reasons.append("its card does not state the shape, so memory cannot be predicted")
        else:
            choice, problems = _plan(card, task, memory, wanted, speed, step if train else None, context)
            reasons += problems
        if reasons or choice is None:
            out.append(RuledOut(card=card.id, title=card.title, why=reasons))
        else:
            chosen.append(choice)
    size = {card.id: card.count or 0 for card in cards().values()}
    chosen.sort(key=lambda c: (not c.trained_here, (c.epoch_seconds or 0) > SLOW_EPOCH, -size[c.card], c.card))
    return Recommendation(task=cast(Task, task), memory=memory, languages=wanted, licence=licence,
                          domain=cast(Domain, domain), speed=speed, chosen=chosen,
                          ruled_out=sorted(out, key=lambda r: r.card))


def _unfit(card: Card, task: str, languages: Sequence[str], licence: str | None, domain: str) -> list[str]:
    """Reasons that no machine mends."""
    out = []
    if task not in card.tasks:
        out.append(f"not made to {task}: its tasks are {', '.join(card.tasks)}")
    if card.domain not in ("general", domain):
        out.append(f"made for {card.domain} text")
    missing = [code for code in languages if code not in card.languages]
    if missing and not card.languages:
        out.append(f"its authors state no languages, {', '.join(missing)} asked for")
    elif missing and MANY_LANGUAGES not in card.languages:
        out.append(f"does not cover {', '.join(missing)}: only {', '.join(card.languages)}")
    stated = card.licence or "none stated"
    if licence == "open" and card.licence not in OPEN:
        out.append(f"licence {stated} is not an open one ({', '.join(OPEN)})")
    elif licence == "commercial" and not card.commercial:
        out.append(f"licence {stated} does not clearly allow commercial use")
    elif licence and licence not in ("open", "commercial") and licence.lower() != stated.lower():
        out.append(f"licence is {stated}, not {licence}")
    return out


class Way(NamedTuple):
    """One way to train, and the bytes that a run of it needs."""

    method: Method
    precision: Precision
    step_tokens: int
    size: int


def _plan(card: Card, task: str, memory: int, languages: Sequence[str], speed: Speed | None, step: Step | None,
          context: int) -> tuple[Choice | None, list[str]]:
    """How the model would be run and trained here, and what stands against it."""
    problems: list[str] = []
    fitting = [p for p in RUN_PRECISIONS if to_run(card, p, context=context) <= memory]
    if not fitting:
        problems.append(f"needs {_gb(to_run(card, 'int4', context=context))} to run even at int4, "
                        f"{_gb(memory)} may be used")
    paces = [(decode(card, p, speed, context=context) if speed and task in WRITES else None, p)
             for p in fitting or RUN_PRECISIONS[-1:]]
    pace, precision = next((one for one in paces if one[0] is None or one[0] >= READING_PACE), paces[-1])
    if pace is not None and pace < READING_PACE:
        problems.append(f"would write {pace:.1f} tokens a second here even at {precision}; "
                        f"a person reads {READING_PACE:.0f}")
    way, epoch, train_cautions, ours = None, None, [], True
    if step:
        ways = _ways(card, task, speed, step)
        way = next((one for one in ways if one.size <= memory), None)
        if way is None and fitting:
            problems.append(f"needs {_gb(ways[-1].size)} to train even with qlora, {_gb(memory)} may be used")
        taken = way or ways[-1]
        ours = taken.method == ways[0].method and (shape(card).family != "t5" or task in WRITES)
        if not ours:
            verb = "train" if task in WRITES else "run"
            train_cautions.append(f"`seedbed {verb}` does not train it with {taken.method}")
        elif taken.step_tokens < step.tokens:
            train_cautions.append(f"trains here in smaller steps than usual: --batch-tokens {taken.step_tokens}")
        if speed:
            epoch = TEXTS * TOKENS * TRAINING_COST[taken.method] / prefill(card, taken.precision, speed)
            if epoch > LONGEST_EPOCH:
                problems.append(f"one pass over {TEXTS:,} texts would take about {epoch / 3600:.1f} hours here, "
                                f"more than {LONGEST_EPOCH / 3600:.0f}")
            elif epoch > SLOW_EPOCH:
                train_cautions.insert(0, "slow to train here")
    if problems:
        return None, problems
    run_bytes = to_run(card, precision, context=context)
    reading = prefill(card, precision, speed) if speed else None
    why = [f"{(card.count or 0) / 1e6:,.0f}M parameters: needs {_gb(run_bytes)} of {_gb(memory)} to run "
           f"at {precision}"]
    if way:
        why.append(f"{_gb(way.size)} to train with {way.method} at {way.precision}")
    if reading is not None:
        written = f" and {pace:,.0f} written" if pace else ""
        why.append(f"about {reading:,.0f} tokens read{written} a second here")
    if epoch is not None:
        why.append(f"about {epoch / 60:,.1f} minutes for one pass over {TEXTS:,} texts of {TOKENS} tokens")
    why.append(f"licence {card.licence or 'not stated'}")
    if languages:
        why.append(f"covers {', '.join(languages)}")
    there = False
    with contextlib.suppress(UserError):  # what is damaged must be fetched anew
        there = local(card) is not None
    return Choice(card=card.id, title=card.title, precision=precision, run_bytes=run_bytes,
                  method=way and way.method, train_precision=way and way.precision, train_bytes=way and way.size,
                  step_tokens=way and way.step_tokens, trained_here=ours, epoch_seconds=epoch,
                  prefill_tokens_s=reading, decode_tokens_s=pace, fetched=there, why=why,
                  cautions=train_cautions + _cautions(card, languages, there)), []


def _ways(card: Card, task: str, speed: Speed | None, step: Step) -> list[Way]:
    """Ways to train, the preferred first; each with the usual step, then with a small one."""
    small = replace(step, tokens=min(step.tokens, SMALL_STEP), length=min(step.length, SMALL_STEP))
    usual: Precision = "bf16" if speed is None or speed.bf16 else "fp32"
    out = []
    for method in WRITERS if shape(card).generates else READERS:
        precision: Precision = "bf16" if method == "qlora" else usual
        for one in (step, small):
            if method == "full":  # every layer, but not the word table
                one = replace(one, layers=shape(card).layers)
            size = to_train(card, method, precision, one, labels=None if task in WRITES else 2,
                            logit_tokens=one.tokens // 4)
            out.append(Way(method, precision, one.tokens, size))
    return out


def _cautions(card: Card, languages: Sequence[str], there: bool) -> list[str]:
    """What a person must know or do before taking the model."""
    out = []
    unlisted = [code for code in languages if code not in card.languages]
    if unlisted:
        out.append(f"its authors say many languages, without naming {', '.join(unlisted)}: test it")
    if not there and not card.sources:
        out.append(f"must be fetched by hand from {card.home}")
    elif not there and card.gated:
        out.append("gated: a person must accept its terms first")
    if card.licence_note:
        out.append(card.licence_note)
    if card.sources and all(source.format == "pytorch" for source in card.sources):
        out.append("its files are a PyTorch pickle: loaded as weights only")
    return out


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
