"""What configs of all programs ask for: a model, a way to train, rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...errors import NotFound
from ...settings import settings
from .draft import Draft, Entry, Rule, flag, lacking

ADAMW = ("adamw", "adam", "paged_adamw", "came_pytorch")
SIXTEEN = "the base stays in 16 bits: more memory, more exact"
NO_CPU = "it speeds up a GPU"
SHARED = "one process trains here"
SPEED = "how the work is done, not what is learned"
TRACKS = "figures are in metrics.jsonl and result.json"
KEEPS = "checkpoints are written and resumed by themselves"
SET_ASIDE = "two tenths are set aside: one to stop by, one to judge by"
OWN_TEMPLATE = "the model's own chat template is taken; see: seedbed data view FILE --model MODEL"

TABLE: Mapping[str, Rule] = {
    "learning_rate": flag("learning_rate", float), "weight_decay": flag("weight_decay", float),
    "warmup_ratio": flag("warmup", float), "max_grad_norm": flag("max_norm", float), "seed": flag("seed"),
    "gradient_accumulation_steps": flag("accumulate"), "lora_alpha": flag("alpha", float),
    "lora_dropout": flag("adapter_dropout", float), "neftune_noise_alpha": flag("neftune", float),
    "max_steps": lacking("--epochs says how long it learns"),
}
"""Keys that transformers or PEFT named, so that they are the same everywhere."""


def model(draft: Draft, one: Entry) -> str | None:
    """The card of a model that is named as on the hub."""
    from ...catalog.cards import card

    name = str(one.value)
    try:
        id = card(name).id
    except NotFound as problem:
        home = settings().home / "cards"
        address = f"folder:{Path(name).absolute()}" if Path(name).exists() else f"hub:{name}@REVISION"
        draft.say(one, "refused", problem.message.rstrip("."),
                  f"Write a card with the source {address} into {home} (docs/models.md shows one), or name another "
                  f"model with --model. {problem.hint}", "model")
        return None
    draft.take(one, "model", id)
    return id


def layers(draft: Draft, one: Entry, id: str | None) -> None:
    """Theirs train all layers; ours the top ones unless told."""
    from ...catalog.cards import card

    shape = card(id).architecture if id else None
    if shape and draft.has("train_layers"):
        draft.take(one, "train_layers", shape.layers, "all layers, as there; fewer are much faster")


def method(draft: Draft, one: Entry, names: list[str], otherwise: str = "") -> None:
    """The first of these methods that there is; `otherwise` says what differs with a later one."""
    for name in names:
        if draft.has("method", name):
            if name != names[0]:
                draft.options["method"] = (name, one.line)
                draft.say(one, "lacking", f"there is no --method {names[0]} here: {name} is taken, so {otherwise}")
            else:
                draft.take(one, "method", name)
            return
    draft.say(one, "refused", f"there is no --method {names[0]} here", "Take lora or full." if draft.has("method")
              else f"seedbed train --config {draft.path}")


def preference(draft: Draft, one: Entry, loss: str) -> None:
    """The option that has this loss of preferences among its values, whatever it is called."""
    for name, option in draft.known.items():
        if loss in (option.metadata.get("choices") or ()):
            draft.take(one, name, loss)
            return
    draft.say(one, "refused", f"the loss {loss} is not there", "Take answers alone: sft.")


def pretraining(draft: Draft, one: Entry) -> None:
    """Texts are gone on with, in windows of the greatest length."""
    if draft.has("task", "pretrain"):
        draft.take(one, "task", "pretrain")
    else:
        draft.say(one, "refused", "plain texts are learned by seedbed train alone",
                  f"seedbed train --config {draft.path}")


def several(draft: Draft, one: Entry) -> None:
    draft.say(one, "refused", "several sets of rows at once",
              f"Join their files into one and give it: seedbed train FILE --config {draft.path}.", "source")


def out(draft: Draft, one: Entry) -> None:
    """The run folder."""
    draft.out = Path(str(one.value))
    draft.say(one, "taken", f"--out {draft.out}")


def optimizer(draft: Draft, one: Entry) -> None:
    text = str(one.value).lower()
    if text.startswith(ADAMW):
        draft.say(one, "taken", "AdamW, in fp32")
    else:
        draft.say(one, "lacking", "AdamW is the optimizer here, so the learning rate may not fit")


def schedule(draft: Draft, one: Entry) -> None:
    """How the learning rate falls."""
    text = str(one.value)
    if one.value is None:
        draft.say(one, "idle", "empty")
    elif draft.has("schedule", text):
        draft.take(one, "schedule", text)
    elif text.startswith("constant") and draft.has("schedule", "wsd"):
        draft.take(one, "schedule", "wsd", "level, and only in the last fifth down")
    elif text.startswith("cosine"):
        draft.take(one, "schedule", "cosine", "to a tenth")
    else:
        draft.say(one, "lacking", "there is no such schedule here; the default is taken")


def file(draft: Draft, one: Entry, given: str, beside: Path) -> str | None:
    """A file of rows, which may stand beside the config."""
    for place in (beside / given, Path(given)):
        if place.exists():
            return str(place)
    draft.say(one, "refused", f"the rows {given} are not on this machine",
              "Save them as JSONL (one row a line) and name the file here, or give it: seedbed train FILE --config "
              f"{draft.path}.", "source")
    return None
