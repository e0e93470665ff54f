"""The ladder of candidates, cheapest first, and which of them fit the data and the machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..catalog import memory
from ..catalog.cards import Card
from ..errors import NoResources, UserError
from ..tasks.classify import Classify
from .config import TrainConfig, upper_half
from .lesson import Fitted, Lesson

ENCODER, GENERATOR = "all-minilm-l6-v2", "smollm2-135m-instruct"
"""Cards that the ladder uses when none is named."""
FEW = 500
"""Training rows below which an encoder is tuned by contrast, from which on as a whole (docs/LOG.md)."""
LEAST_FOR_LORA = 100
"""Training rows under which a generative model is not tried: its score would be noise."""


@dataclass(frozen=True)
class Rung:
    """One kind of candidate.

    Args:
        name: as `--candidates` takes it.
        title: for people; `{model}` is replaced.
        rank: 0 is the cheapest to train and to run.
        base: the card it starts from by default.
        method: `full` or `lora`, for the prediction of memory; None needs none worth predicting.
    """

    name: str
    title: str
    rank: int
    base: str | None = None
    method: str | None = None

    def fit(self, lesson: Lesson) -> Fitted:
        """Train."""
        return _method(self.name)(lesson)


RUNGS = (
    Rung("majority", "Always the commonest label", 0),
    Rung("tfidf", "TF-IDF with a linear model", 1),
    Rung("embedding", "{model}, frozen, with a linear head", 2, ENCODER),
    Rung("contrast", "{model}, tuned by contrast, with a linear head", 3, ENCODER, "full"),
    Rung("encoder", "{model}, fine-tuned whole", 4, ENCODER, "full"),
    Rung("lora", "{model} with LoRA and a classification head", 5, GENERATOR, "lora"),
)
NAMES = tuple(rung.name for rung in RUNGS)
NOT_ASKED = "not asked for"


def _method(name: str) -> Callable[[Lesson], Fitted]:
    from . import classify, contrast, linear
    return {"majority": linear.majority, "tfidf": linear.tfidf, "embedding": linear.embedding,
            "contrast": contrast.contrast, "encoder": classify.whole, "lora": classify.lora}[name]


@dataclass(frozen=True)
class Plan:
    """A rung for this data and machine.

    Args:
        rung: the kind of candidate.
        card: its base model.
        memory: bytes predicted for training; None where it is not worth predicting.
        skip: why it is left out; empty when it is not.
    """

    rung: Rung
    card: Card | None = None
    memory: int | None = None
    skip: str = ""

    @property
    def title(self) -> str:
        return self.rung.title.format(model=self.card.title if self.card else "")


def plan(task: Classify, targets: Sequence[Any], config: TrainConfig, cards: Callable[[str], Card], *, small: bool,
         available: int, precision: str, wanted: Sequence[str] = (), model: str | None = None) -> list[Plan]:
    """Every rung, with a reason where it is left out.

    Args:
        targets: of the training rows.
        cards: gives a card by its id.
        small: the data is scored by cross-validation.
        available: bytes of memory to plan for.
        precision: of weights in training.
        wanted: names that the user asked for; none means what fits the data.
        model: a card id that the user asked for; it takes the place of the default of its kind.

    Raises:
        UserError: a name that is no rung.
        NoResources: a candidate that was asked for does not fit the memory; the hint says what would.
    """
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        raise UserError(f"There is no candidate {unknown[0]!r}.", f"Known: {', '.join(NAMES)}.")
    if model is not None:
        _refuse(cards(model))
    rungs = [_with(rung, model, cards) for rung in RUNGS]
    out = []
    for rung in rungs:
        card = cards(rung.base) if rung.base else None
        if wanted and rung.name not in wanted:
            out.append(Plan(rung, card, skip=NOT_ASKED))
            continue
        asked = rung.name in wanted or (model is not None and rung.base == model)
        reason = "" if asked else _unfit(rung, task, targets, small)
        need = None
        if card and not reason:
            need = _memory(rung, card, config, precision, len(task.labels))
            if need > available:
                reason = f"needs about {need / 1e9:.1f} GB of memory to train, {available / 1e9:.1f} GB are free"
                if asked:
                    raise NoResources(f"{card.id} {reason}.",
                                      _what_fits(rung, card, config, precision, len(task.labels), available))
        out.append(Plan(rung, card, need, reason))
    return out


def _refuse(model: Card) -> None:
    """Refuse what no rung can train.

    Raises:
        UserError: an encoder-decoder.
    """
    if model.architecture is not None and model.architecture.family == "t5":
        raise UserError(f"{model.id} is an encoder-decoder, which no candidate for classification starts from.",
                        "Name an encoder (all-minilm-l6-v2) or a generative model (smollm2-135m-instruct).")


def _with(rung: Rung, model: str | None, cards: Callable[[str], Card]) -> Rung:
    """The rung with the user's model where the model is of its kind."""
    if model is None or rung.base is None:
        return rung
    generates = cards(model).architecture is None or cards(model).architecture.generates  # type: ignore[union-attr]
    return replace(rung, base=model) if generates == (rung.base == GENERATOR) else rung


def _unfit(rung: Rung, task: Classify, targets: Sequence[Any], small: bool) -> str:
    """Why the data does not suit the rung; empty when it does."""
    rows = len(targets)
    counts = Counter(label for t in targets for label in (t if task.multi_label else [t]))
    if rung.name == "contrast" and rows >= FEW:
        return f"{rows:,} training texts are enough to tune the encoder as a whole ({FEW} and more)"
    if rung.name == "encoder" and (small or rows < FEW):
        return f"{rows:,} training texts are too few to tune every weight ({FEW} are needed)"
    if rung.name == "lora" and (small or rows < LEAST_FOR_LORA):
        return f"{rows:,} training texts are too few to tell a larger model from luck ({LEAST_FOR_LORA} are needed)"
    if rung.name == "contrast" and min(counts.values(), default=0) < 2:
        return "a label with fewer than 2 texts makes no pairs"
    return ""


def _memory(rung: Rung, card: Card, config: TrainConfig, precision: str, labels: int) -> int:
    if rung.method is None:
        return memory.to_run(card, precision, context=config.max_tokens, batch=8, in_run=True)  # type: ignore[arg-type]
    depth = memory.shape(card).layers  # an encoder's word table is never trained, so not even `full` means None
    layers = {"lora": config.train_layers, "contrast": upper_half(depth)}.get(rung.name, depth)
    step = memory.Step(config.step_tokens, config.max_tokens, layers, config.rank)
    return memory.to_train(card, rung.method, precision, step, labels=labels)  # type: ignore[arg-type]


def _what_fits(rung: Rung, card: Card, config: TrainConfig, precision: str, labels: int, available: int) -> str:
    """The largest step, or else the fewest layers, with which it would fit."""
    for tokens in (1024, 512, 256):
        for layers in (config.train_layers, 4):
            smaller = replace(config, batch_tokens=tokens, max_tokens=min(config.max_tokens, tokens),
                              train_layers=layers)
            if _memory(rung, card, smaller, precision, labels) <= available:
                return (f"It would fit with --batch-tokens {tokens} --max-tokens {smaller.max_tokens}"
                        + (f" --train-layers {layers}." if rung.method == "lora" else "."))
    return "See what fits with: seedbed models recommend --task classify"
