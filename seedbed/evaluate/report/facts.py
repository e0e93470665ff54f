"""What the page's template is filled with, besides the result itself: names, rows of tables, sentences."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from ...records import TENTATIVE_BELOW
from ..result import Candidate, Result
from . import charts, forms, smaller, story
from . import wording as w
from .drawing import NARROW, WIDE

MOST_MISTAKES = 20
LONGEST_TEXT = 600
"""Characters of a user's text that the page shows."""
SEVERITY = ("error", "warning", "info")


def facts(result: Result, drawn: Set[str]) -> dict[str, Any]:
    """Everything the template names.

    Args:
        drawn: keys of the charts that the page shows.
    """
    scores, metric = story.found(result), story.found_metric(result)
    trained = [c for c in result.candidates if c.status == "trained"]
    tests = dict.fromkeys(c.comparison.test for c in trained if c.comparison)
    shown = {
        "w": w, "story": story, "clip": clip, "words": lambda value: w.tidy(value, 120),
        "winner": result.winner, "scores": scores, "metric": metric, "multi": story.multi(result),
        "compared": charts.scored(result), "trained": trained,
        "untried": [c for c in result.candidates if c.status != "trained"], "tests": list(tests),
        "best_words": _best_words(trained), "any_test": any(c.test for c in trained),
        "any_memory": any(c.peak_memory for c in trained),
        "timed": any(c.speed for c in trained),
        "energy_sources": list(dict.fromkeys(c.energy.source for c in trained if c.energy)),
        "most_rows": charts.MOST_ROWS,
        "matrix": len(scores.confusion) <= charts.MOST_CLASSES[WIDE] if scores else False,
        "matrix_narrow": len(scores.confusion) <= charts.MOST_CLASSES[NARROW] if scores else False,
        "mixed": charts.top_confusions(scores) if scores else [],
        "histories": _histories(result, drawn), "shown_mistakes": result.mistakes[:MOST_MISTAKES],
        "curve_title": _title(result, result.curve.candidate) if result.curve else "",
        "findings": sorted(result.health.findings, key=lambda f: (SEVERITY.index(f.severity), -f.count, f.code)),
        "label_total": sum(result.health.labels.values()),
        "split_words": ", ".join(f"{w.count(n)} {name}" for name, n in result.rows.items()),
        "tokens": _tokens(result), "detected": list(result.health.detected.items()),
        "facts": _facts(result), "environment": flat(result.environment), "config": flat(result.config),
        "smaller": smaller, "forms": forms, "level": scores.score.level if scores else 0.95,
        "tentative_below": TENTATIVE_BELOW,
    }
    return shown | {"contents": _contents(result, drawn, shown)}


def clip(text: str, limit: int = LONGEST_TEXT) -> str:
    """The beginning of a text, with what was cut in characters."""
    if len(text) <= limit:
        return text
    return f"{text[:limit].rstrip()} … ({w.count(len(text) - limit)} more characters)"


def flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Nested settings as lines: `machine.cores`, `2`."""
    lines: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            lines += flat(value, f"{before}{name}.")
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            lines.append((f"{before}{name}", shown if shown else "–"))
    return lines


def _best_words(trained: list[Candidate]) -> Any:
    named = {c.comparison.best for c in trained if c.comparison}
    return lambda candidate: "the best" if candidate.name in named or len(trained) == 1 else "not compared"


def _title(result: Result, name: str) -> str:
    return next((c.title for c in result.candidates if c.name == name), name)


def _histories(result: Result, drawn: Set[str]) -> list[tuple[Candidate, list[tuple[str, str]]]]:
    words = {"loss": "Loss: lower is better. When only the line on validation rises, it learns by heart.",
             "score": "Score on validation: higher is better. The best point is kept, not the last."}
    found = []
    for c in result.candidates:
        keys = [(f"history-{c.cost_rank}-{part}", text) for part, text in words.items()
                if f"history-{c.cost_rank}-{part}" in drawn]
        if keys:
            found.append((c, keys))
    return found


def _tokens(result: Result) -> list[tuple[str, str]]:
    known, names = result.health.tokens, {"median": "Half of the texts have at most", "p95": "95 of 100 have at most",
                                          "max": "The longest has", "limit": "The model reads at most"}
    lines = [(name, w.plural(round(known[key]), "token")) for key, name in names.items() if key in known]
    if "cut_rows" in known:
        lost = f", {w.plural(known['cut_tokens'], 'token')} lost" if "cut_tokens" in known else ""
        lines.append(("Cut at that limit", w.plural(known["cut_rows"], "text") + lost))
    return lines + [(f"Tokens per word, {language}", w.number(value, 2))
                    for language, value in sorted(result.health.tokens_per_word.items())]


def _facts(result: Result) -> list[tuple[str, str]]:
    scores = story.found(result)
    seed = result.environment.get("seed", result.config.get("seed"))
    lines = [("Run", result.run), ("Made", result.created), ("Took", w.seconds(result.seconds)),
             ("How it was judged", story.basis(scores) if scores else result.protocol),
             ("Rows", ", ".join(f"{w.count(n)} {name}" for name, n in result.rows.items()) or "–"),
             ("Seed", "not recorded" if seed is None else str(seed))]
    return [*lines, ("Data hash (SHA-256 of the frozen splits)", result.data_hash)]


def _contents(result: Result, drawn: Set[str], shown: Mapping[str, Any]) -> list[tuple[str, str]]:
    scores = shown["scores"]
    parts = [
        (True, "verdict", "Verdict"), (True, "choice", "How it was chosen"),
        (bool(scores and scores.per_class), "classes", "Each class"), ("confusion" in drawn, "confusion", "Mix-ups"),
        (bool({"calibration", "coverage"} & drawn), "trust", "When to trust it"),
        (bool(result.slices), "slices", "Where it is weaker"),
        (result.frontier is not None, "smaller", "Smaller"), ("learning" in drawn, "learning", "More data?"),
        (bool(shown["histories"]), "training", "Training"), (bool(result.mistakes), "mistakes", "Mistakes"),
        (True, "health", "The data"), (True, "again", "Run it again"),
        (True, "licences", "Licences"),
    ]
    return [(key, name) for there, key, name in parts if there]
