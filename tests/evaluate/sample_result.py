"""Synthetic results that hang together: counts, scores and intervals come from one seeded draw of answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from seedbed.data.health import Finding, Health
from seedbed.evaluate.frontier import Fell, Frontier, Point
from seedbed.evaluate.result import (
    Abstention,
    Calibration,
    Candidate,
    ClassScore,
    Comparison,
    Coverage,
    CurvePoint,
    Energy,
    LearningCurve,
    Mistake,
    Reliability,
    Result,
    Scores,
    SliceScore,
    Speed,
    Verdict,
)
from seedbed.records import Estimate

REVIEWS = ["negative", "neutral", "positive"]
SHARES = [0.25, 0.12, 0.63]


def wilson(right: int, n: int) -> Estimate:
    """A share with Wilson's interval."""
    if n == 0:
        return Estimate(value=0, low=0, high=1, n=0)
    p, z = right / n, 1.96
    mid, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    base = 1 + z * z / n
    return Estimate(value=p, low=float(max(0, (mid - half) / base)), high=float(min(1, (mid + half) / base)), n=n)


def about(value: float, n: int) -> Estimate:
    """Any score with an interval of a share's width."""
    one = wilson(round(value * n), n)
    return Estimate(value=value, low=min(value, one.low), high=max(value, one.high), n=n)


def f1(tp: int, wrong: int, missed: int) -> float:
    return 2 * tp / (2 * tp + wrong + missed) if tp else 0.0


def scores(split: str, labels: list[str], truth: np.ndarray, said: np.ndarray, metric: str = "macro_f1") -> Scores:
    """Scores of answers. [rows] indices, or [rows, labels] of 0 and 1 for multi-label."""
    multi, n = truth.ndim == 2, len(truth)
    classes = []
    for i, label in enumerate(labels):
        is_true, is_said = (truth[:, i] == 1, said[:, i] == 1) if multi else (truth == i, said == i)
        tp, wrong = int((is_true & is_said).sum()), int((~is_true & is_said).sum())
        support = int(is_true.sum())
        classes.append(ClassScore(label=label, precision=wilson(tp, tp + wrong), recall=wilson(tp, support),
                                  f1=about(f1(tp, wrong, support - tp), support), support=support))
    confusion = [] if multi else [[int(((truth == i) & (said == j)).sum()) for j in range(len(labels))]
                                  for i in range(len(labels))]
    right = int((truth == said).all(1).sum()) if multi else int((truth == said).sum())
    macro = about(float(np.mean([c.f1.value for c in classes])), n)
    accuracy = wilson(right, n)
    micro = about(min(1, accuracy.value + (0.2 if multi else 0)), n)
    return Scores(split=split, n=n, metric=metric, accuracy=accuracy, macro_f1=macro, micro_f1=micro,
                  score={"macro_f1": macro, "accuracy": accuracy, "micro_f1": micro}[metric],
                  log_loss=Estimate(value=0.61, low=0.53, high=0.7, n=n), per_class=classes, confusion=confusion)


def draw(rng: np.random.Generator, truth: np.ndarray, skill: float, classes: int) -> np.ndarray:
    """Answers that are right with probability `skill`, else drawn like the truth."""
    if truth.ndim == 2:
        flip = rng.random(truth.shape) > 1 - (1 - skill) / 3
        return np.where(flip, 1 - truth, truth)
    guess = rng.choice(truth, len(truth))
    return np.where(rng.random(len(truth)) < skill, truth, guess)


def make(labels: list[str] | None = None, *, n: int = 379, multi_label: bool = False, metric: str = "macro_f1",
         bare: bool = False, seed: int = 7, protocol: str = "holdout", texts: list[str] | None = None,
         **changes: Any) -> Result:
    """A result with every field, or with every optional one missing when `bare`.

    Args:
        n: rows of the test split.
        texts: texts of the worst mistakes.
        changes: fields of `Result` to replace.
    """
    labels = labels or REVIEWS
    rng = np.random.default_rng(seed)
    share = np.array(SHARES) if len(labels) == 3 else np.arange(len(labels), 0, -1) / sum(range(len(labels) + 1))
    n_val = max(4, n // 4)
    if multi_label:
        truth, val = ((rng.random((rows, len(labels))) < 0.3).astype(int) for rows in (n, n_val))
    else:
        truth, val = (rng.choice(len(labels), rows, p=share) for rows in (n, n_val))
    rungs = [
        ("majority", "Always the most common class", None, 0.0, 0.02, 900, 0.004, 90_000),
        ("linear", "TF-IDF with a linear model", None, 0.46, 1.9, 1_400_000, 0.31, 9_200),
        ("embedding", "Frozen sentence embeddings with a linear head", "all-minilm-l6-v2", 0.42, 21, 45_800_000, 6.2,
         610),
        ("encoder", "Sentence encoder, fine-tuned", "all-minilm-l6-v2", 0.55, 118, 90_900_000, 6.4, 590),
        ("smollm2-lora", "SmolLM2-135M with LoRA", "smollm2-135m-instruct", 0.64, 331, 142_000_000, 41.3, 37),
    ]
    made = []
    for rank, (name, title, model, skill, secs, size, ms, tps) in enumerate(rungs):
        said, said_val = (np.zeros_like(t) + (0 if multi_label else int(np.argmax(share))) if name == "majority"
                          else draw(rng, t, skill, len(labels)) for t in (truth, val))
        test = scores("test", labels, truth, said, metric)
        chosen_on = scores("cross-validation" if protocol == "cross-validation" else "validation",
                           labels, val, said_val, metric)
        made.append(Candidate(
            name=name, title=title, cost_rank=rank, status="trained", model=model, selection=chosen_on,
            test=None if protocol == "cross-validation" else test,
            speed=None if bare else Speed(median_ms=ms, p95_ms=ms * 1.7, texts_per_second=tps, texts=200,
                                               calls=500, median_low_ms=ms * 0.95, median_high_ms=ms * 1.04),
            seconds=secs, size=size, peak_memory=0 if bare else int(4e8 + size * 9),
            energy=None if bare or rank == 0 else Energy(watt_hours=secs * 0.012, source="processor counters (RAPL)"),
            parameters=size // 4, trained_parameters=size // 40, predicted_seconds=secs * 1.1,
            calibration=None if bare else _calibration(test), history=_history(rng) if rank > 2 and not bare else []))
    best = max(made, key=lambda c: c.selection.score.value)
    for i, one in enumerate(made):
        gap = best.selection.score.value - one.selection.score.value
        made[i] = one.model_copy(update={"comparison": None if one is best else Comparison(
            best=best.name, difference=Estimate(value=gap, low=gap - 0.07, high=gap + 0.07, n=n_val),
            p_value=float(np.exp(-gap * 30)), worse=gap > 0.07,
            test="paired bootstrap, 2000 draws, one-sided, level 0.05")})
    winner = next(c for c in made if c.comparison is None or not c.comparison.worse)
    made.append(Candidate(name="smollm2-1.7b", title="SmolLM2-1.7B with LoRA", cost_rank=5, status="skipped",
                          reason="It needs 9.8 GB to train; 6.1 GB are free."))
    made.append(Candidate(name="gemma-3-270m", title="Gemma 3 270M with LoRA", cost_rank=6, status="failed",
                          reason="The loss became infinite at step 12."))
    found = winner.test or winner.selection
    fields: dict[str, Any] = {
        "run": "2026-11-23-reviews", "created": "2026-11-23T20:04:11Z",
        "command": "seedbed run reviews.tsv --task classify --text review --label rating --seed 7",
        "config": {"task": "classify", "text": "review", "label": "rating", "seed": seed, "budget": "10m"},
        "task": {"task": "classify", "labels": labels, "multi_label": multi_label, "metric": metric},
        "data_hash": "9f2b7c" + "0d" * 29, "protocol": protocol,
        "rows": {"train": n * 2, "validation": n_val, "test": n},
        "health": _health(labels, share, n * 2 + n_val + n, multi_label, bare), "candidates": made,
        "verdict": Verdict(
            candidate=winner.name,
            rule=f"The cheapest candidate that is not statistically worse than the best wins. Best on validation: "
                 f"{best.title}. Cheapest that is not worse (paired bootstrap, one-sided, 5 %): {winner.title}.",
            headline=f"{winner.title} is good enough to sort clear cases; let a person read the unsure ones.",
            cautions=[] if bare else [f"The class {labels[1]!r} is weak: rely on it only after a look.",
                                      "Long texts are judged worse than short ones."]),
        "environment": {"seedbed": "0.1.0", "python": "3.11.9", "torch": "2.13.0", "seed": seed, "threads": 2,
                        "machine": {"processor": "Intel(R) Xeon(R) Platinum", "cores": 2, "memory": 16_000_000_000,
                                    "features": ["avx2", "avx512f", "amx_bf16"]}},
        "seconds": 502.4,
    }
    if not bare:
        fields |= {
            "curve": LearningCurve(candidate=winner.name, verdict="More data would help: twice the rows should add "
                                   "about 0.03, give or take 0.02.",
                                   points=[CurvePoint(rows=round(n * 2 * part), score=about(found.score.value * k, n))
                                           for part, k in ((0.125, 0.72), (0.25, 0.83), (0.5, 0.93), (1, 1))]),
            "coverage": _coverage(found), "abstention": Abstention(
                target_error=0.1, threshold=0.71, coverage=wilson(round(n * 0.66), n),
                error=wilson(round(n * 0.66 * 0.66 * (1 - found.accuracy.value)), round(n * 0.66))),
            "slices": [SliceScore(dimension=d, value=v, worse=worse,
                                  score=about(max(0, found.score.value + gap), rows))
                       for d, v, gap, rows, worse in (
                           ("length", "short", 0.06, n // 3, False), ("length", "medium", 0.01, n // 3, False),
                           ("length", "long", -0.14, n // 3, True), ("source", "reviews.tsv", 0, n, False),
                           ("language", "en", 0.01, n - 12, False), ("language", "es", -0.2, min(12, n), False))],
            "mistakes": _mistakes(labels, multi_label, texts),
            "frontier": _frontier(found, n),
            "licences": {"smollm2-135m-instruct": "Apache-2.0", "data": "not stated"},
            "baseline_note": f"Always saying {labels[-1]!r} would be right in {share.max():.0%} of the texts.",
        }
    return Result(**(fields | changes))


def _frontier(scores: Scores, n: int) -> Frontier:
    """The original, five smaller forms of it, and one that was refused."""
    forms = [("original", "original", 91, 6.3, 810, 0.0, None),
             ("openvino-fp32", "openvino", 91, 3.1, 400, 0.0, 0.002),
             ("openvino-int8", "openvino", 23, 1.4, 260, 0.003, 0.009),
             ("vocabulary+openvino-int8", "openvino", 14, 1.4, 210, 0.003, 0.0091),
             ("openvino-int4", "openvino", 17, 1.6, 250, 0.02, 0.044),
             ("onnx-int8", "onnx", 23, 2.2, 190, 0.005, 0.012)]
    points = [Point(name=name, sequence=sequence, status="measured", size=int(size * 1e6), memory=int(memory * 1e6),
                    speed=Speed(median_ms=ms, p95_ms=ms * 1.4, texts_per_second=900 / ms, texts=200, calls=300),
                    score=about(max(0, scores.score.value - loss), n), accuracy=scores.accuracy, loss=loss,
                    bound=bound, level=None if bound is None else 0.975, passed=bound is not None and bound <= 0.01,
                    fell=[Fell(dimension="label", value=scores.per_class[0].label, lost=6, n=40)][:loss > 0.01],
                    reason="may lose more than the floor" if bound is not None and bound > 0.01 else "")
              for name, sequence, size, ms, memory, loss, bound in forms]
    points.append(Point(name="onnx-int4", sequence="onnx", status="refused", reason="No such precision."))
    return Frontier(floor=0.01, confidence=0.95, prefer="size", metric=scores.metric, n=n, points=points,
                    chosen="vocabulary+openvino-int8")


def _calibration(scores: Scores) -> Calibration:
    bins = []
    for confidence, part in ((0.45, 0.1), (0.55, 0.12), (0.65, 0.0), (0.75, 0.18), (0.85, 0.25), (0.95, 0.35)):
        rows = round(scores.n * part)
        bins.append(Reliability(confidence=confidence, n=rows,
                                accuracy=wilson(round(rows * (confidence - 0.04)), rows) if rows else None))
    return Calibration(temperature=1.42, ece_before=Estimate(value=0.094, low=0.07, high=0.121, n=scores.n),
                       ece_after=Estimate(value=0.031, low=0.018, high=0.052, n=scores.n), bins=bins)


def _coverage(scores: Scores) -> list[Coverage]:
    points = []
    for i, threshold in enumerate(np.linspace(0.3, 0.99, 24)):
        cover = 1 - (i / 23) ** 1.4
        rows = round(scores.n * cover)
        risk = (1 - scores.accuracy.value) * cover
        points.append(Coverage(threshold=float(threshold), coverage=float(cover),
                               risk=wilson(round(rows * risk), rows) if rows else None))
    return points


def _history(rng: np.random.Generator) -> list[dict[str, float]]:
    return [{"step": 25.0 * i, "epoch": i / 3, "train_loss": float(1.1 * 0.78**i + 0.02 * rng.random()),
             "validation_loss": float(0.62 + 0.45 * 0.6**i + 0.006 * i), "score": float(0.57 - 0.25 * 0.6**i),
             "seconds": 36.0 * i} for i in range(1, 10)]


def _mistakes(labels: list[str], multi_label: bool, texts: list[str] | None) -> list[Mistake]:
    texts = texts or ["I was sceptical, and after three weeks I still wake at four. It took the pain, though.",
                      "Did what it said on the box. Then came the headaches, which nobody had told me about. " * 5]
    wrap = (lambda label: [label]) if multi_label else (lambda label: label)
    return [Mistake(id=f"{i:08x}", line=11 + 7 * i, text=text, target=wrap(labels[0]), predicted=wrap(labels[-1]),
                    confidence=0.99 - 0.01 * i) for i, text in enumerate(texts)]


def _health(labels: list[str], share: np.ndarray, kept: int, multi_label: bool, bare: bool) -> Health:
    counts = {label: max(1, round(kept * s)) for label, s in zip(labels, share, strict=True)}
    counts[labels[0]] += kept - sum(counts.values())  # what rounding left
    if bare:
        return Health(source="reviews.tsv", read=kept, kept=kept, skipped={}, detected={}, labels=counts)
    return Health(
        source="reviews.tsv", read=kept + 19, kept=kept, 
        skipped={"empty text": 4, "no label": 3, "exact duplicate": 12},
        detected={"format": "TSV", "encoding": "utf-8", "text column": "review", "label column": "rating"},
        labels=counts, splits={"train": kept - kept // 3, "test": kept // 3},
        findings=[
            Finding(code="conflicting_labels", severity="error", count=2, message="One text has different labels.",
                    fix="Decide which label is right and correct these lines.", lines=[14, 801],
                    examples=["Works well for my migraine."]),
            Finding(code="personal_data", severity="warning", count=5, message="E-mail addresses or phone numbers.",
                    fix="Mask them with --redact.", lines=[3, 77, 120, 340, 512],
                    examples=["write to ****@****.com"]),
            Finding(code="label_error", severity="info", count=31, message="Labels that look wrong.",
                    fix="Look at these lines first.", lines=list(range(20, 400, 19)))],
        tokens={"median": 98, "p95": 214, "max": 873, "limit": 256, "cut_rows": 21, "cut_tokens": 3120},
        tokens_per_word={"en": 1.31, "es": 1.9})
