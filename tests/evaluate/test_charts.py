"""The charts: the same chart as page, SVG and PNG; what they show is what the records hold."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from sample_result import about, make, wilson

from seedbed.evaluate.report import charts, drawing, drawings
from seedbed.evaluate.result import Calibration, Reliability
from seedbed.records import Estimate


def words(text: str) -> list[str]:
    return ["".join(t.itertext()) for t in ElementTree.fromstring(text).iter() if t.tag.endswith("text")]


def test_each_chart_is_page_svg_and_png() -> None:
    for one in drawings(make()):
        for key, chart in ((one.key, one.wide), (f"{one.key}-phone", one.narrow)):
            if chart is None:
                continue
            assert drawing.png(chart).startswith(b"\x89PNG\r\n")
            file = drawing.svg(chart)
            assert "var(--" not in file
            shown = drawing.page(chart, key, one.title, one.text)
            assert sorted(words(shown)) == sorted(words(file)), "the same words"
            root = ElementTree.fromstring(shown)
            assert root.get("role") == "img" and [c.tag for c in root[:2]] == ["title", "desc"]
            assert root[0].text == one.title and root[1].text == one.text
            colours = set(re.findall(r'(?:fill|stroke)="([^"]+)"', shown))
            assert {c for c in colours if not c.startswith("var(--")} <= {"none"}, colours


def test_drawings_keep_to_their_width() -> None:
    for one in drawings(make()) + drawings(make([f"{'long label ' * 9}{i}" for i in range(30)])):
        limit = drawing.HALF if one.narrow is None else drawing.WIDE
        assert float(ElementTree.fromstring(drawing.svg(one.wide)).get("width", "0")) <= limit + 1, one.key
        if one.narrow is not None:
            width = float(ElementTree.fromstring(drawing.svg(one.narrow)).get("width", "0"))
            assert width <= drawing.NARROW + 1, one.key


def test_ids_are_the_charts_own() -> None:
    found = charts.coverage(make().coverage, make().abstention)
    assert found
    first, second = (drawing.page(found.wide, key, "t", "d") for key in ("a", "b"))
    assert "url(#a-clip-0)" in first and 'id="a-clip-0"' in first
    assert not set(re.findall(r'id="([^"]+)"', first)) & set(re.findall(r'id="([^"]+)"', second))


def test_the_confusion_matrix_shows_every_count() -> None:
    scores = make().winner.test
    assert scores
    found = charts.confusion(scores)
    assert found
    shown = words(drawing.svg(found.wide))
    for row in scores.confusion:
        for n in row:
            assert not n or str(n) in shown
    assert sum(int(t) for t in shown if t.isdigit()) == scores.n


def test_many_classes_become_the_commonest_mix_ups() -> None:
    scores = make([f"class {i}" for i in range(40)], n=900).winner.test
    assert scores
    found, mixed = charts.confusion(scores), charts.top_confusions(scores)
    assert found and len(mixed) == 12
    counts = [n for _, _, n, _ in mixed]
    off = [n for i, row in enumerate(scores.confusion) for j, n in enumerate(row) if i != j]
    assert counts == sorted(off, reverse=True)[:12]
    assert any(f"{mixed[0][0]} → {mixed[0][1]}" == t for t in words(drawing.svg(found.wide)))


def test_no_confusion_at_all_is_not_an_error() -> None:
    scores = make([f"c{i}" for i in range(20)]).winner.test
    assert scores
    right = [[n if i == j else 0 for j, n in enumerate(row)] for i, row in enumerate(scores.confusion)]
    assert charts.confusion(scores.model_copy(update={"confusion": right})) is None


def test_empty_bins_are_not_drawn() -> None:
    empty = [Reliability(confidence=0.5, accuracy=None, n=0)]
    level = Estimate(value=0.1, low=0, high=0.2, n=0)
    assert charts.calibration(Calibration(temperature=1, ece_before=level, ece_after=level, bins=empty)) is None
    one = [*empty, Reliability(confidence=0.9, accuracy=wilson(8, 10), n=10)]
    found = charts.calibration(Calibration(temperature=1, ece_before=level, ece_after=level, bins=one))
    assert found and "10" in words(drawing.svg(found.wide)) and "tentative" in found.text


def test_nothing_to_draw_is_none() -> None:
    result = make(bare=True)
    assert charts.coverage([], None) is None
    assert charts.slices([], "macro_f1", 0.5) is None
    assert charts.balance({}) is None
    assert charts.history(result.candidates[0], "macro_f1") == []
    once = result.candidates[0].model_copy(update={"history": [{"step": 1.0, "score": 0.5}]})
    assert charts.history(once, "f1") == []


def test_a_loss_that_is_not_a_number_is_left_out() -> None:
    history = [{"step": float(i), "train_loss": float("nan") if i == 2 else 1.0 / i} for i in range(1, 5)]
    found = charts.history(make().winner.model_copy(update={"history": history}), "macro_f1")
    assert [d.key for d in found] == ["history-4-loss"]
    assert "nan" not in drawing.svg(found[0].wide).lower()


def test_candidates_stand_by_cost_and_say_it() -> None:
    result = make()
    found = charts.candidates(result)
    assert found
    shown = words(drawing.svg(found.wide))
    titles = [t for t in shown if t in {c.title for c in result.candidates}]
    assert titles == [c.title for c in result.candidates if c.status == "trained"]
    assert any(t.endswith("5\u202fmin 31\u202fs") for t in shown)
    free = [c.model_copy(update={"seconds": 0.0}) for c in result.candidates]
    found = charts.candidates(result.model_copy(update={"candidates": free}))
    assert found and any(t.endswith("142\u202fMB") for t in words(drawing.svg(found.wide)))


def test_scores_of_the_choice_are_compared_only_where_all_have_them() -> None:
    result = make()
    assert {s.split for _, s in charts.scored(result)} == {"validation"}
    part = [c.model_copy(update={"selection": None}) if c.name == "linear" else c for c in result.candidates]
    assert {s.split for _, s in charts.scored(result.model_copy(update={"candidates": part}))} == {"test"}


def test_worse_parts_come_first_and_are_named() -> None:
    result = make()
    found = charts.slices(result.slices, "macro_f1", 0.7)
    assert found and found.text.startswith("length: long") and "worse" in found.text.split(".")[1] + found.text
    shown = words(drawing.svg(found.wide))
    assert sum(t.endswith("worse") for t in shown) == 1


def test_a_score_outside_0_and_1_is_drawn() -> None:
    from seedbed.evaluate.report.forest import zoom

    low, high = zoom([Estimate(value=-0.1, low=-0.3, high=0.2, n=50), about(0.4, 50)])
    assert low < -0.3 and high > 0.5
    assert zoom([about(1.0, 40)])[1] == 1.0
