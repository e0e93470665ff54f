"""Every chart of the report as an Altair object, so that the same chart can be page, SVG and PNG.

Each function takes records and gives a `Drawing`, or None where there is nothing to draw. Labels are tidied before
they are drawn: they are the user's own words. (Over 250 lines: one place for all charts, none of them long.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import altair as alt
from rich.cells import cell_len

from ..result import Abstention, Calibration, Candidate, Coverage, LearningCurve, Result, Scores, SliceScore
from . import wording as w
from .drawing import ACCENT, HALF, INK, LINE, MARK, NARROW, PAPER, SOFT, WARN, WIDE, Drawing, finish
from .forest import Row, axis, forest, own, says, zoom

MOST_ROWS = 20
"""More rows than this make a chart that nobody reads; the table beside it has them all."""
LETTER = 7.5
"""Pixels of a letter, about."""
MOST_CLASSES = {WIDE: 14, NARROW: 5}
"""Classes up to which a confusion matrix is drawn whole, by width."""


def _rows(values: list[dict[str, Any]]) -> alt.Chart:
    return alt.Chart(alt.Data(values=values))


def _y(domain: list[float], shown: alt.Axis, **scale: Any) -> Callable[[str], alt.Y]:
    """The same y axis for every layer of a chart: Vega-Lite cannot merge an axis with none."""
    return lambda field: alt.Y(f"{field}:Q", scale=alt.Scale(domain=domain, nice=False, **scale), axis=shown)


def scored(result: Result) -> list[tuple[Candidate, Scores]]:
    """Trained candidates with the scores they are compared on: those of the choice where all of them have these."""
    trained = [c for c in result.candidates if c.status == "trained"]
    chosen = all(c.selection for c in trained)
    return [(c, s) for c in trained if (s := c.selection if chosen else c.test)]


def _forests(key: str, title: str, rows: list[Row], metric: str, **more: Any) -> Drawing:
    """The same forest plot for a screen and for a phone."""
    return Drawing(key, title, " ".join(says(r, metric) + "." for r in rows),
                   *(forest(rows, metric, width, stacked=width == NARROW, **more) for width in (WIDE, NARROW)))


def candidates(result: Result) -> Drawing | None:
    """All trained candidates, the cheapest first: score with interval, and time to train (else the size)."""
    found = scored(result)
    if not found:
        return None
    metric, timed = found[0][1].metric, any(c.seconds > 0 for c in result.candidates)
    rows = [Row(w.tidy(c.title, 48), s.score, note=w.seconds(c.seconds) if timed else w.size(c.size),
                strong=c.name == result.verdict.candidate, hollow=bool(c.comparison and c.comparison.worse))
            for c, s in sorted(found, key=lambda one: one[0].cost_rank)]
    cost = "time to train" if timed else "size on disk"
    return _forests("candidates", f"{w.metric_name(metric)} and {cost} of every candidate", rows, metric)


def verdict(result: Result) -> Drawing | None:
    """The winner beside the cheapest candidate, the yardstick that it has to beat; None when it is the cheapest."""
    winner = result.winner
    cheapest = min((c for c in result.candidates if c.status == "trained"), key=lambda c: c.cost_rank, default=winner)
    mine, base = winner.test or winner.selection, cheapest.test or cheapest.selection
    if mine is None or base is None or cheapest.name == winner.name:
        return None
    rows = [Row(w.tidy(winner.title, 40), mine.score, strong=True), Row(w.tidy(cheapest.title, 40), base.score)]
    low, high = zoom([r.score for r in rows])
    return _forests("verdict", f"{w.metric_name(mine.metric)} of the winner and of the cheapest candidate", rows,
                    mine.metric, domain=(min(0.0, low), max(1.0, high)))


def classes(scores: Scores) -> Drawing | None:
    """F1 of each class that was judged, the weakest first; at most `MOST_ROWS` of them."""
    found = sorted((c for c in scores.per_class if c.support), key=lambda c: (c.f1.value, c.label))[:MOST_ROWS]
    if not found:
        return None
    return _forests("classes", "F1 of each class, the weakest first", [Row(w.tidy(c.label, 34), c.f1) for c in found],
                    "f1", domain=(0, 1))


# --- what gets mixed up -------------------------------------------------------------------------------------------


def top_confusions(scores: Scores, most: int = 12) -> list[tuple[str, str, int, int]]:
    """The commonest mix-ups: the right class, what was said instead, how often, texts of the right class."""
    labels = [c.label for c in scores.per_class]
    found = [(labels[i], labels[j], n, sum(row)) for i, row in enumerate(scores.confusion)
             for j, n in enumerate(row) if i != j and n]
    return sorted(found, key=lambda f: (-f[2], f[0], f[1]))[:most]


def confusion(scores: Scores) -> Drawing | None:
    """The confusion matrix with its counts; past `MOST_CLASSES` classes the commonest mix-ups as bars."""
    if not scores.confusion:
        return None
    mixed = top_confusions(scores)
    if not mixed and len(scores.confusion) > MOST_CLASSES[WIDE]:
        return None
    text = " ".join(f"{w.tidy(a, 40)} was called {w.tidy(b, 40)} in {n} of {w.plural(of, 'text')}."
                    for a, b, n, of in mixed)
    wide, narrow = (_matrix(scores, width) if len(scores.confusion) <= MOST_CLASSES[width] or not mixed
                    else _mixups(scores, mixed, width) for width in (WIDE, NARROW))
    return Drawing("confusion", "What is taken for what", text or "Nothing was mixed up.", wide, narrow)


def _matrix(scores: Scores, width: int) -> Any:
    limit = 22 if width == WIDE else 11
    names = [w.tidy(c.label, limit) for c in scores.per_class]
    size, cells = len(names), []
    for i, row in enumerate(scores.confusion):
        for j, n in enumerate(row):
            share = n / sum(row) if sum(row) else 0.0
            cells.append({"row": i, "column": j, "n": n or "", "shade": 0.05 + 0.5 * share if n else 0.03,
                          "fill": ACCENT if i == j else WARN,
                          "says": f"{names[i]} called {names[j]}: {n} of {sum(row)} ({w.percent(share)})"})
    base, heads = _rows(cells), _rows([{"at": i, "name": name} for i, name in enumerate(names)])
    longest = 6.6 * max(map(cell_len, names))
    left = 24 + round(longest)
    flat = (width - left - 12) / size > longest + 10
    lean = 12 if flat else round(longest * 0.71) + 8
    across = min(110, (width - left - lean) // size)
    x, y = alt.X("column:O", axis=None), alt.Y("row:O", axis=None)
    return finish(alt.layer(
        base.mark_rect(cornerRadius=3, aria=True, stroke=PAPER, strokeWidth=2).encode(
            x=x, y=y, fill=own("fill"), fillOpacity=alt.FillOpacity("shade:Q", scale=None), description="says:N"),
        base.mark_text(baseline="middle", color=INK).encode(x=x, y=y, text="n:N"),
        heads.mark_text(align="center" if flat else "left", baseline="middle", angle=0 if flat else 315, yOffset=-14,
                        color=INK).encode(x=alt.X("at:O", axis=None), y=alt.value(0), text="name:N"),
        heads.mark_text(align="right", baseline="middle", xOffset=-12, color=INK).encode(
            x=alt.value(0), y=alt.Y("at:O", axis=None), text="name:N"),
    ), left + across * size + lean, (46 if size < 9 else 34) * size)


def _mixups(scores: Scores, mixed: list[tuple[str, str, int, int]], width: int) -> Any:
    limit = 26 if width == WIDE else 22
    data = [{"at": i, "n": n, "color": WARN, "label": f"{w.tidy(a, limit)} → {w.tidy(b, limit)}",
             "figures": f"{w.count(n)} of {w.count(of)} ({w.percent(n / of)})"}
            for i, (a, b, n, of) in enumerate(mixed)]
    return bars(data, width)


def bars(data: list[dict[str, Any]], width: int) -> Any:
    """Horizontal bars of rows of `at, n, label, figures, color`; names above the bars where the drawing is narrow."""
    stacked = width < WIDE
    base, down = _rows(data), 9 if stacked else 0
    y = alt.Y("at:O", axis=None)
    room = width - 24 - (0 if stacked else LETTER * max(cell_len(d["label"]) for d in data))
    most = max(d["n"] / max(0.1, 1 - LETTER * len(d["figures"]) / room) for d in data)
    x = alt.X("n:Q", axis=None, scale=alt.Scale(domain=[0, most], nice=False))
    return finish(alt.layer(
        base.mark_bar(height=10, cornerRadiusEnd=3, yOffset=down).encode(x=x, y=y, color=own("color")),
        base.mark_text(align="left" if stacked else "right", baseline="middle", xOffset=0 if stacked else -12,
                       yOffset=-8 if stacked else 0, color=INK).encode(x=alt.value(0), y=y, text="label:N"),
        base.mark_text(align="left", baseline="middle", xOffset=10, yOffset=down, color=SOFT).encode(
            x=x, y=y, text="figures:N"),
    ), width, (40 if stacked else 26) * len(data))


# --- how far to trust it ------------------------------------------------------------------------------------------


def calibration(found: Calibration) -> Drawing | None:
    """Reliability diagram: how sure it said it was against how often it was right, with the texts in each bin."""
    bins = [b for b in found.bins if b.n and b.accuracy]
    if not bins:
        return None
    most = max(b.n for b in bins)
    data: list[dict[str, Any]] = [
        {"sure": b.confidence, "right": b.accuracy.value, "low": b.accuracy.low, "high": b.accuracy.high,
         "n": w.count(b.n), "floor": -0.22, "top": 0.12 * b.n / most - 0.22,
         "says": f"{w.percent(b.confidence)} sure on average: right in {w.estimate(b.accuracy, 'accuracy')}"}
        for b in bins if b.accuracy]
    low = min([0.5, *(d["sure"] - 0.06 for d in data)])
    domain = [max(0.0, math.floor(low * 10) / 10), 1]
    base = _rows(data)
    x = alt.X("sure:Q", scale=alt.Scale(domain=domain, nice=False, zero=False),
              axis=axis("How sure it said it was", "accuracy", grid=False,
                        values=[v for v in (0, 0.2, 0.4, 0.6, 0.8, 1) if v >= domain[0]]))
    y = _y([-0.22, 1], axis("How often it was right", "accuracy", values=[0, 0.25, 0.5, 0.75, 1]))
    diagonal = _rows([{"sure": v, "right": v} for v in domain]).mark_line(
        color=SOFT, strokeDash=[3, 4], strokeWidth=1.5)
    return Drawing("calibration", "Reliability diagram", " ".join(f"{d['says']}." for d in data), finish(alt.layer(
        base.mark_rect(width=20, color=LINE).encode(x=x, y=y("floor"), y2="top:Q"),
        diagonal.encode(x=x, y=y("right")),
        base.mark_rule(strokeWidth=2.5, strokeCap="round", color=ACCENT).encode(
            x=x, y=y("low"), y2="high:Q"),
        base.mark_circle(size=80, opacity=1, color=ACCENT, aria=True).encode(x=x, y=y("right"), description="says:N"),
        base.mark_text(baseline="bottom", yOffset=-3, color=SOFT).encode(
            x=x, y=y("top"), text="n:N"),
    ), HALF, 300))


def coverage(points: list[Coverage], abstention: Abstention | None) -> Drawing | None:
    """Error among the texts that are answered, against the share of texts that are; the threshold marked."""
    data = [{"share": p.coverage, "risk": p.risk.value, "low": p.risk.low, "high": p.risk.high}
            for p in points if p.risk]
    if len(data) < 2:
        return None
    top = max(max(d["risk"] for d in data) * 1.5, abstention.target_error * 1.5 if abstention else 0.0, 0.05)
    base = _rows(data)
    x = alt.X("share:Q", scale=alt.Scale(domain=[0, 1]),
              axis=axis("Share of texts that it answers", "accuracy", tickCount=5, grid=False))
    y = _y([0, min(1.0, top)], axis("Errors among these", "accuracy", tickCount=5), clamp=True)
    layers = [base.mark_area(color=ACCENT, opacity=0.16, clip=True).encode(x=x, y=y("low"), y2="high:Q"),
              base.mark_line(color=ACCENT, strokeWidth=2.5, clip=True).encode(x=x, y=y("risk"))]
    all_of_it = max(data, key=lambda d: d["share"])
    words = f"Answering {w.percent(all_of_it['share'])} of the texts, it errs in {w.percent(all_of_it['risk'])}."
    if abstention:
        layers.append(_rows([{"risk": abstention.target_error}]).mark_rule(
            color=SOFT, strokeDash=[3, 4], strokeWidth=1.5).encode(y=y("risk")))
        if abstention.coverage and abstention.error:
            at = _rows([{"share": abstention.coverage.value, "risk": abstention.error.value,
                         "low": abstention.error.low, "high": abstention.error.high}])
            layers += [at.mark_rule(color=INK, strokeWidth=2, clip=True).encode(x=x, y=y("low"), y2="high:Q"),
                       at.mark_point(color=INK, fill=PAPER, shape="diamond", size=120, opacity=1,
                                     strokeWidth=2.5).encode(x=x, y=y("risk"))]
            words += (f" With the threshold it answers {w.estimate(abstention.coverage, 'accuracy')} and errs in "
                      f"{w.estimate(abstention.error, 'accuracy')} of these.")
    return Drawing("coverage", "Risk against coverage", words, finish(alt.layer(*layers), HALF, 300))


def slices(found: list[SliceScore], metric: str, overall: float | None) -> Drawing | None:
    """Scores of parts of the judged texts; parts that are worse than the rest as triangles, the weakest first."""
    ordered = sorted(found, key=lambda s: (not s.worse, s.dimension, s.score.value, s.value))[:MOST_ROWS]
    if not ordered:
        return None
    rows = [Row(w.tidy(f"{s.dimension}: {s.value}", 36), s.score, note="worse" if s.worse else "", warn=s.worse)
            for s in ordered]
    return _forests("slices", f"{w.metric_name(metric)} of parts of the texts", rows, metric, reference=overall)


# --- how it came about --------------------------------------------------------------------------------------------


def learning(curve: LearningCurve, metric: str) -> Drawing | None:
    """Score against the rows it was trained on."""
    if len(curve.points) < 2:
        return None
    data = [{"rows": p.rows, "score": p.score.value, "low": p.score.low, "high": p.score.high,
             "says": f"{w.count(p.rows)} rows: {w.estimate(p.score, metric)}"} for p in curve.points]
    low, high = zoom([p.score for p in curve.points])
    base = _rows(data)
    x = alt.X("rows:Q", scale=alt.Scale(domain=[0, max(p.rows for p in curve.points) * 1.05], nice=False),
              axis=alt.Axis(title="Texts to learn from", values=[p.rows for p in curve.points], grid=False,
                            labelOverlap="greedy", format="~d"))
    y = _y([low, high], axis(None, metric, tickCount=5))

    def draw(width: int) -> Any:
        return finish(alt.layer(
            base.mark_line(color=ACCENT, strokeWidth=1.5, strokeDash=[2, 3]).encode(x=x, y=y("score")),
            base.mark_rule(color=ACCENT, strokeWidth=2.5, strokeCap="round").encode(
                x=x, y=y("low"), y2="high:Q"),
            base.mark_circle(color=ACCENT, size=90, opacity=1, aria=True).encode(
                x=x, y=y("score"), description="says:N"),
        ), width, 240)
    return Drawing("learning", f"{w.metric_name(metric)} against texts to learn from",
                   " ".join(f"{d['says']}." for d in data), draw(WIDE), draw(NARROW))


def history(candidate: Candidate, metric: str) -> list[Drawing]:
    """Loss and score in the course of training: none, one or two drawings."""
    key = f"history-{candidate.cost_rank}"
    drawn = []
    for part, title, lines in (("loss", "Loss", {"train_loss": "in training", "validation_loss": "on validation"}),
                               ("score", f"{w.short_metric(metric)} on validation", {"score": "on validation"})):
        drawing = curves(f"{key}-{part}", f"{title}: {w.tidy(candidate.title, 60)}", lines, candidate.history)
        if drawing:
            drawn.append(drawing)
    return drawn


def curves(key: str, name: str, lines: dict[str, str], entries: list[dict[str, float]]) -> Drawing | None:
    """Figures in the course of training, each by its name in the entries and its words; None of too few entries."""
    at = "epoch" if all("epoch" in e for e in entries) else "step"
    data: list[dict[str, Any]] = [
        {"at": e.get(at, float(i)), "value": e[field], "line": words} for field, words in lines.items()
        for i, e in enumerate(entries) if field in e and math.isfinite(e[field])]
    present = list(dict.fromkeys(d["line"] for d in data))
    if len(data) < 2 * len(present) or not data:
        return None
    ends = [max((d for d in data if d["line"] == line), key=lambda d: d["at"]) for line in present]
    words = " ".join(f"It ended at {w.number(e['value'])} {e['line']}." for e in ends)
    base = _rows(data)
    x = alt.X("at:Q", scale=alt.Scale(nice=False), axis=alt.Axis(title=at.capitalize(), tickCount=5, grid=False))
    low, high = min(d["value"] for d in data), max(d["value"] for d in data)
    air = 0.15 * ((high - low) or 1)
    y = _y([low - air, high + air], alt.Axis(title=None, tickCount=5))("value")
    strokes = {"in training": (SOFT, [2, 3]), "on validation": (ACCENT, [1, 0])}
    marks = [base.transform_filter(alt.datum.line == line).mark_line(
        color=strokes[line][0], strokeDash=strokes[line][1], strokeWidth=2.5).encode(x=x, y=y) for line in present]
    top = max(e["value"] for e in ends)  # names stand above the upper line and below the lower one
    tags = [_rows([e]).mark_text(align="right", baseline="middle", yOffset=-13 if e["value"] == top else 13,
                                 color=strokes[e["line"]][0]).encode(x=x, y=y, text="line:N")
            for e in ends] if len(present) > 1 else []
    return Drawing(key, name, words, finish(alt.layer(*marks, *tags), HALF, 200))


def balance(labels: dict[str, int]) -> Drawing | None:
    """Rows of each label, the commonest first; what passes `MOST_ROWS` in one last bar."""
    if not labels:
        return None
    ordered = sorted(labels.items(), key=lambda item: (-item[1], item[0]))
    shown, rest = ordered[:MOST_ROWS], ordered[MOST_ROWS:]
    if rest:
        shown.append((w.plural(len(rest), "other label"), sum(n for _, n in rest)))
    total = sum(labels.values())
    data = [{"at": i, "n": n, "color": MARK, "label": w.tidy(label, 34),
             "figures": f"{w.count(n)} ({w.percent(n / max(1, total))})"}
            for i, (label, n) in enumerate(shown)]
    return Drawing("balance", "Rows of each label", " ".join(f"{d['label']}: {d['figures']}." for d in data),
                   bars(data, WIDE), bars(data, NARROW))
