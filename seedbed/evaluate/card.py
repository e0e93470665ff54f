"""The model card: a README.md in the form that the Hugging Face hub reads, with the same figures as `result.json`.

The form: https://huggingface.co/docs/hub/model-cards (YAML between dashes, then Markdown).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

import yaml

from ..errors import NotFound
from ..records import Estimate
from .report import story
from .report import wording as w
from .result import Result, Scores

HUB_METRICS = {"accuracy": "accuracy", "macro_f1": "f1", "micro_f1": "f1", "log_loss": "log_loss"}
MOST_CLASSES = 60


def model_card(result: Result) -> str:
    """The model card of the winner, as Markdown with a YAML header.

    Words from the user's data (labels, names of files) are escaped: they can form neither Markdown, HTML nor YAML.
    """
    header = yaml.safe_dump(_header(result), allow_unicode=True, sort_keys=False, width=1000)
    return f"---\n{header}---\n\n{_body(result)}"


def _header(result: Result) -> dict[str, Any]:
    winner, scores = result.winner, story.found(result)
    base, licence, languages = base_of(winner.model)
    data = w.tidy(PurePath(result.health.source).name or result.health.source)
    stated = next((text for name, text in result.licences.items() if name == winner.model), licence)
    return {
        **({"base_model": base} if base else {}),
        "license": licence_id(stated),
        **({"language": languages} if languages else {}),
        "library_name": "seedbed", "pipeline_tag": "text-classification",
        "tags": ["seedbed", "text-classification", *(["multi-label"] if story.multi(result) else [])],
        "datasets": [data],
        "metrics": sorted({HUB_METRICS.get(m, m) for m in ("accuracy", story.found_metric(result))}),
        "model-index": [{"name": w.tidy(result.run), "results": [_index(result, data, scores)] if scores else []}],
    }


def _index(result: Result, data: str, scores: Scores) -> dict[str, Any]:
    figures = {"accuracy": scores.accuracy, "macro_f1": scores.macro_f1, "micro_f1": scores.micro_f1,
               "log_loss": scores.log_loss}
    return {
        "task": {"type": "text-classification", "name": "Text classification"},
        "dataset": {"name": data, "type": data, "split": scores.split, "revision": result.data_hash},
        "metrics": [{"type": HUB_METRICS[name], "value": round(one.value, 6),
                     "name": f"{name.replace('_', ' ')}, {w.percent(one.level, 0)} interval {w.number(one.low)} to "
                             f"{w.number(one.high)}, {w.plural(one.n, 'text')}".replace(w.THIN, " "),
                     **({"args": {"average": name.removesuffix("_f1")}} if name.endswith("_f1") else {})}
                    for name, one in figures.items()],
    }


def base_of(model: str | None) -> tuple[str | None, str | None, list[str]]:
    """Name on the hub (else the card's id), licence and languages of a base model, as far as known."""
    from ..catalog.cards import card
    from ..catalog.folders import FolderCard

    if model is None:
        return None, None, []
    try:
        found = card(model)
    except NotFound:
        return model, None, []
    if isinstance(found, FolderCard):  # where it lies is nobody's business
        return found.title, found.licence, []
    on_hub = next((s.place.partition("@")[0] for s in found.sources if s.kind == "hub"), found.id)
    return on_hub, found.licence, [code for code in found.languages if len(code) == 2]


def licence_id(licence: str | None) -> str:
    """The hub's name of a licence: SPDX in small letters; what is not known or has no such name says so."""
    name = (licence or "").strip().lower()
    if not name or "not stated" in name or name == "unknown":
        return "unknown"
    return name if re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", name) else "other"


def _body(result: Result) -> str:
    winner, scores = result.winner, story.found(result)
    labels = [str(label) for label in result.task.get("labels", [])]
    shown = ", ".join(plain(label) for label in labels[:MOST_CLASSES])
    more = f" and {len(labels) - MOST_CLASSES} more" if len(labels) > MOST_CLASSES else ""
    kind = "any number of these labels" if story.multi(result) else "one of these labels"
    parts = [f"# {plain(result.run)}", plain(result.verdict.headline)]
    if scores:
        right = w.right_in(scores, story.multi(result), story.HELD[scores.split])
        parts.append(f"{right}. {plain(result.baseline_note)}".strip())
    parts += ["## What it does", f"It gives a text {kind}: {shown}{more}.",
              f"Inside: {plain(winner.title)}"
              + (f", made from `{PurePath(winner.model).name}`" if winner.model else "") +
              (f"; {w.size(winner.size)} on disk." if winner.size else ".")]
    if story.cautions(result):
        parts += ["## Before you rely on it", bullets(story.cautions(result))]
    if story.actions(result):
        parts += ["## What to do", bullets(story.actions(result))]
    parts += ["## How to use it", "FOLDER is the folder of this file.", code(story.commands("FOLDER"))]
    if scores:
        parts += ["## How good it is", f"Judged on {story.basis(scores)}.", _figures(scores), _classes(scores)]
    if winner.speed:
        speed = winner.speed
        parts.append(f"One text takes {w.milliseconds(speed.median_ms)} ({story.latency(speed)}); in bulk it reads "
                     f"{w.rate(speed.texts_per_second)} texts a second ({w.plural(speed.texts, 'text')} timed) on "
                     "the machine named below.")
    parts += ["## How it was chosen", plain(result.verdict.rule),
              "## What it learned from", plain(story.health(result)),
              f"Split: {', '.join(f'{w.count(n)} {name}' for name, n in result.rows.items())}. "
              f"SHA-256 of the frozen splits: `{result.data_hash}`.",
              "## How to make it again", code([w.tidy(result.command)]), machine(result.environment)]
    if result.licences:
        parts += ["## Licences", bullets(f"{PurePath(name).name}: {text}" for name, text in result.licences.items())]
    return "\n\n".join(part for part in parts if part).replace(w.THIN, " ") + "\n"


def _figures(scores: Scores) -> str:
    rows = [("Accuracy", "accuracy", scores.accuracy), ("Macro-F1", "f1", scores.macro_f1),
            ("Micro-F1", "f1", scores.micro_f1), ("Log loss", "log_loss", scores.log_loss)]
    return "\n".join(["| Score | Value | Interval | Texts |", "| --- | --- | --- | --- |",
                      *(f"| {name} | {_cell(one, metric)} |" for name, metric, one in rows)])


def _classes(scores: Scores) -> str:
    rows = [f"| {plain(c.label)} | {_short(c.precision)} | {_short(c.recall)} | {_cell(c.f1, 'f1')} |"
            for c in scores.per_class]
    return "\n".join(["| Class | Precision | Recall | F1 | F1 interval | Texts |",
                      "| --- | --- | --- | --- | --- | --- |", *rows]) if rows else ""


def _short(one: Estimate) -> str:
    return f"{w.figure(one.value, 'precision')} ({w.between(one, 'precision')})"


def _cell(one: Estimate, metric: str) -> str:
    few = ", tentative" if one.tentative else ""
    return f"{w.figure(one.value, metric)} | {w.between(one, metric)} | {w.count(one.n)}{few}"


def machine(environment: Mapping[str, Any]) -> str:
    """The processor, and versions, as a list."""
    found = environment.get("machine")
    processor = {"processor": found.get("processor")} if isinstance(found, dict) else {}
    flat = {name: value for name, value in environment.items() if not isinstance(value, dict)}
    return bullets(f"{name}: {value}" for name, value in (processor | flat).items())


def code(lines: Iterable[str]) -> str:
    """Lines of a shell, fenced whatever they hold."""
    text = "\n".join(lines)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}sh\n{text}\n{fence}"


def bullets(lines: Iterable[str]) -> str:
    """A list of plain lines."""
    return "\n".join(f"- {plain(line)}" for line in lines)


def plain(text: Any) -> str:
    """Text that Markdown and HTML show as it is."""
    return re.sub(r"([\\`*_{}\[\]<>#|~!])", r"\\\1", w.tidy(text)).replace("&", "&amp;")
