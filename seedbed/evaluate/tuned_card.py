"""The model card of what `seedbed train` made: a README.md that the Hugging Face hub reads."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import yaml

from .card import base_of, bullets, code, licence_id, machine, plain
from .figures import Figure, TuneResult
from .judge import said
from .report import wording as w

PIPELINES = {"embed": "sentence-similarity", "entities": "token-classification", "summarize": "summarization",
             "translate": "translation"}
"""The hub's name of a task; `text-generation` where there is none."""


def tuned_card(result: TuneResult) -> str:
    """The card, as Markdown with a YAML header. Words from the user's data can form neither Markdown nor YAML."""
    base, licence, languages = base_of(result.model)
    kind = PIPELINES.get(result.task, "text-generation")
    data = w.tidy(PurePath(str(result.config.get("source", result.form))).name)
    header: dict[str, Any] = {
        "base_model": base, "license": licence_id(result.licences.get(result.model) or licence),
        **({"language": languages} if languages else {}), "library_name": "transformers", "pipeline_tag": kind,
        "tags": ["seedbed", result.task], "metrics": [one.name for one in result.figures],
        "model-index": [{"name": w.tidy(result.run), "results": [{
            "task": {"type": kind}, "dataset": {"name": data, "type": data, "split": "test",
                                                "revision": result.data_hash},
            "metrics": [{"type": one.name, "value": round(one.after.value, 6), "name": _words(one)}
                        for one in result.figures]}]}]}
    text = yaml.safe_dump(header, allow_unicode=True, sort_keys=False, width=1000)
    return f"---\n{text}---\n\n{_body(result)}"


def _words(one: Figure) -> str:
    return (f"{one.title}, 95 % interval {w.number(one.after.low)} to {w.number(one.after.high)}, "
            f"n {one.after.n}").replace(w.THIN, " ")


def _body(result: TuneResult) -> str:
    cells = "\n".join(
        f"| {plain(one.title)} | {_cell(one.before)} | {_cell(one.after)} | {_cell(one.gain)} |"
        for one in result.figures)
    parts = [
        f"# {plain(result.run)}", plain(result.verdict),
        f"Made from `{PurePath(result.model).name}` with `seedbed train` (task {result.task}); "
        f"{w.count(result.trained_parameters)} of {w.count(result.parameters)} parameters were trained on "
        f"{w.plural(result.rows['train'], 'row')}.",
        "## How good it is", f"Judged on {w.plural(result.judged, 'row')} that it had not seen.",
        f"| Figure | Before | After | Gain |\n| --- | --- | --- | --- |\n{cells}",
        *map(plain, said(result, result.run)),
        "## What it learned from",
        f"Read as {plain(result.form)}; "
        f"{', '.join(f'{w.count(n)} {name}' for name, n in result.rows.items())}. "
        f"SHA-256 of the frozen splits: `{result.data_hash}`.",
        "## How to make it again", code([w.tidy(result.command)]), machine(result.environment),
        "## Licences", bullets(f"{PurePath(name).name}: {text}" for name, text in result.licences.items())]
    return "\n\n".join(parts).replace(w.THIN, " ") + "\n"


def _cell(one: Any) -> str:
    return "" if one is None else f"{w.number(one.value)} ({w.number(one.low)} to {w.number(one.high)})"
