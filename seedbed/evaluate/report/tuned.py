"""The page of `seedbed train`: what its template is filled with."""

from __future__ import annotations

from typing import Any

from ...records import TENTATIVE_BELOW
from ..figures import TuneResult
from ..judge import said
from . import charts
from . import wording as w
from .drawing import NARROW, WIDE, Drawing
from .facts import clip, flat
from .forest import Row, forest


def drawings(result: TuneResult) -> list[Drawing]:
    """The leading figure before and after, and the course of training."""
    lead = result.figures[0]
    rows = [Row(name, one, strong=name == "After") for name, one in (
        ("No model", lead.baseline), ("Before", lead.before), ("After", lead.after)) if one is not None]
    words = " ".join(f"{row.label}: {w.number(row.score.value)}." for row in rows)
    made = [Drawing("figures", f"{lead.title} before and after", words,
                    *(forest(rows, lead.name, width, stacked=width == NARROW) for width in (WIDE, NARROW)))]
    curve = charts.curves("history", "Loss", {"train_loss": "in training", "validation_loss": "on validation"},
                          result.history)
    return [*made, curve] if curve else made


def facts(result: TuneResult) -> dict[str, Any]:
    """Everything the template names."""
    judge = said(result, result.run)
    parts = [("verdict", "Verdict"), ("all", "Figures"), *([("judge", "Judge")] if judge else []),
             *([("samples", "Answers")] if result.samples else []),
             ("training", "Training"), ("again", "Run it again"), ("licences", "Licences")]
    return {
        "w": w, "clip": clip, "lead": result.figures[0], "contents": parts, "judge": judge, "level": 0.95,
        "tentative_below": TENTATIVE_BELOW, "with_baseline": any(one.baseline for one in result.figures),
        "commands": [trial(result.task, result.run)],
        "tokens": [(f"Tokens {name}", w.count(count)) for name, count in result.tokens.items()],
        "facts": [("Run", result.run), ("Made", result.created), ("Read as", result.form),
                  ("Rows", ", ".join(f"{w.count(n)} {name}" for name, n in result.rows.items())),
                  ("Left out", ", ".join(f"{w.count(n)} {name}" for name, n in result.skipped.items()) or "none"),
                  ("Data hash (SHA-256 of the frozen splits)", result.data_hash)],
        "environment": flat(result.environment), "config": flat(result.config)}


def trial(task: str, folder: str) -> str:
    """The line with which a model of a task is tried."""
    if task == "embed":
        return f'SentenceTransformer("{folder}/model").encode(["..."])'
    return f'seedbed {"predict" if task == "entities" else "generate"} {folder} "..."'
