"""The choice among smaller forms keeps its error rate, and says where the small one fell."""

from __future__ import annotations

import numpy as np
import pytest
from sample_result import make
from test_evaluate_slices import data

from seedbed.evaluate.costs import Pace, Speed
from seedbed.evaluate.frontier import Frontier, Point, chosen, in_turn, judged
from seedbed.evaluate.report.forms import columns, rows, table
from seedbed.evaluate.report.smaller import drawings, headline
from seedbed.evaluate.report.smaller import fallen as fallen_words
from seedbed.evaluate.slices import fallen
from seedbed.records import Estimate
from seedbed.tasks.classify import Classify


def point(name: str, size: int, ms: float = 1.0, memory: int = 0) -> Point:
    return Point(name=name, sequence=name.partition("-")[0], status="measured", size=size, memory=memory,
                 speed=Speed(median_ms=ms, p95_ms=ms, texts_per_second=1, texts=1))


FORMS = [point("ov-fp32", 90, 5), point("ov-int8", 30, 2, 7), point("ov-int4", 20, 3, 9), point("ort-int8", 25, 4, 8)]


def run(losses: dict[str, float], confidence: float = 0.95) -> dict[str, Point]:
    bounds = {name: (lambda level, loss=loss: loss + 0.1 * (level - 0.95)) for name, loss in losses.items()}
    return {one.name: one for one in judged(FORMS, bounds, 0.01, confidence)}


def test_the_smallest_fastest_or_leanest_that_passed_is_chosen() -> None:
    found = run({"ov-fp32": 0.0, "ov-int8": 0.001, "ov-int4": 0.03, "ort-int8": 0.002})
    assert [name for name, one in found.items() if one.passed] == ["ov-fp32", "ov-int8", "ort-int8"]
    assert found["ov-int4"].reason == "may lose more than the floor"
    points = [point("original", 100, 6, 10), *found.values()]
    assert chosen(points, "size") == "ort-int8"
    assert chosen(points, "speed") == "ov-int8"
    assert chosen(points, "memory") == "ov-fp32"  # it says 0
    assert chosen([point("original", 24, 1), *found.values()], "size") is None  # none is smaller


def test_two_sequences_share_the_error_rate() -> None:
    assert run({"ov-int8": 0.0, "ov-int4": 0.0})["ov-int8"].level == pytest.approx(0.95)
    both = run({"ov-int8": 0.0, "ort-int8": 0.0})
    assert both["ov-int8"].level == both["ort-int8"].level == pytest.approx(0.975)
    assert both["ov-int8"].bound == pytest.approx(0.0025)


def test_what_stands_behind_a_failed_form_cannot_pass() -> None:
    found = run({"ov-int8": 0.02, "ov-int4": 0.0, "ort-int8": 0.0})
    assert not found["ov-int4"].passed and "before it" in found["ov-int4"].reason
    assert found["ort-int8"].passed
    assert found["ov-fp32"].bound is None  # it was not measured


def test_a_form_above_the_floor_passes_no_more_often_than_promised() -> None:
    """Six forms of two sequences, all with a true loss of exactly the floor: the worst case. Bounds are normal."""
    rng, passes, tries = np.random.default_rng(0), 0, 2000
    from statistics import NormalDist
    forms = [point(f"{kind}-{i}", 9 - i) for kind in ("a", "b") for i in range(3)]
    for _ in range(tries):
        seen = rng.normal(0.01, 0.004, len(forms))
        bounds = {one.name: (lambda level, at=at: at + NormalDist().inv_cdf(level) * 0.004)
                  for one, at in zip(forms, seen, strict=True)}
        passes += any(one.passed for one in judged(forms, bounds, 0.01, 0.95))
    assert passes / tries <= 0.06


def turned(some: dict[str, tuple[int, float, float]], floor: float = 0.01) -> dict[str, Point]:
    """Points by name, from size, distance on learned rows, and true loss."""
    points = [point("original", 100), *(point(name, size).model_copy(update={"apart": apart})
                                        for name, (size, apart, _) in some.items())]
    bounds = {name: (lambda level, loss=loss: loss) for name, (_, _, loss) in some.items()}
    return {one.name: one for one in in_turn(points, bounds, floor, 0.95, "size")}


def test_plans_are_tested_from_the_nearest_on_until_one_fails() -> None:
    found = turned({"a": (80, 0.01, 0.001), "b": (60, 0.02, 0.002), "c": (50, 0.05, 0.03), "d": (40, 0.06, 0.005)})
    assert [one.name for one in found.values() if one.passed] == ["a", "b"]
    assert found["c"].reason == "may lose more than the floor" and "failed before it" in found["d"].reason
    assert all(found[name].level == 0.95 for name in "abcd")  # the whole error rate, not a share
    assert found["original"].bound is None


def test_a_plan_that_costs_more_than_a_nearer_one_spends_no_test() -> None:
    found = turned({"worse": (70, 0.04, 0.5), "near": (60, 0.02, 0.002), "small": (50, 0.05, 0.003),
                    "twin": (61, 0.03, 0.9)})
    assert found["near"].passed and found["small"].passed  # neither `worse` nor `twin` stands in the way
    assert not found["worse"].passed and not found["twin"].passed
    cheap = turned({"worse": (70, 0.04, 0.001), "near": (60, 0.02, 0.002)})
    assert not cheap["worse"].passed and "nearer to the original" in cheap["worse"].reason


def test_many_plans_pass_above_the_floor_no_more_often_than_promised() -> None:
    """Thirty plans, all with a true loss of exactly the floor, in whatever order learned rows put them."""
    from statistics import NormalDist
    rng, passes, tries = np.random.default_rng(0), 0, 2000
    for _ in range(tries):
        points = [point("original", 100)] + [
            point(f"p{i}", 90 - i).model_copy(update={"apart": float(rng.uniform())}) for i in range(30)]
        bounds = {f"p{i}": (lambda level, at=at: at + NormalDist().inv_cdf(level) * 0.004)
                  for i, at in enumerate(rng.normal(0.01, 0.004, 30))}
        passes += any(one.passed for one in in_turn(points, bounds, 0.01, 0.95, "size"))
    assert passes / tries <= 0.06


def test_a_frontier_cannot_choose_what_did_not_pass() -> None:
    values = {"floor": 0.01, "confidence": 0.95, "prefer": "size", "metric": "accuracy", "n": 100}
    found = judged(FORMS, {"ov-int8": lambda level: 0.02, "ort-int8": lambda level: 0.015}, 0.01, 0.95)
    none = Frontier(points=[point("original", 100), *found], **values)
    assert none.closest is not None and none.closest.name == "ort-int8"
    with pytest.raises(ValueError, match="did not pass"):
        Frontier(points=[point("original", 100), *found], chosen="ov-int8", **values)


def test_the_verdict_in_words() -> None:
    found = make().frontier
    assert found is not None
    words = headline(found).replace("\u202f", " ")
    assert words == ("vocabulary+openvino-int8 is 6.5 times smaller and 4.5 times faster, and loses at most 0.9 % of "
                     "the answers (97.5 % sure, 379 texts; the floor is 1 %).")
    assert "takes less room than the original" in headline(found.model_copy(update={"chosen": None}))
    failed = [one.model_copy(update={"passed": False}) for one in found.points if not one.passed]
    none = found.model_copy(update={"chosen": None, "points": failed})
    assert "The closest is onnx-int8: it may lose 1.2 %" in headline(none).replace("\u202f", " ")
    assert fallen_words(found) == [] and len(drawings(found)) == 3
    assert [row["state"] for row in rows(found)] == ["the original", "passed", "passed", "chosen", "failed", "failed",
                                                     "refused"]


def writers(**changes: object) -> Frontier:
    """Of a model that writes: the original, two forms of one runtime, and one that was refused."""
    forms = [("original", 540, 10.0, None, None), ("gguf-q8_0", 145, 25.0, 0.0012, 0.0031),
             ("gguf-q4_k_m", 105, 40.0, 0.0212, 0.0344)]
    points = [Point(name=name, sequence=name.partition("-")[0], status="measured", size=int(size * 1e6), load=1.5,
                    memory=int(size * 2e6), pace=Pace(reads=20 * writes, writes=writes),
                    score=Estimate(value=0.31 + (loss or 0), low=0.2, high=0.4, n=60), loss=loss, bound=bound,
                    level=None if bound is None else 0.975, passed=bound is not None and bound <= 0.02,
                    reason="may lose more than the floor" if bound and bound > 0.02 else "")
              for name, size, writes, loss, bound in forms]
    points.append(Point(name="onnx-int4", sequence="onnx", status="refused", reason="No such heads."))
    return Frontier(**{"floor": 0.02, "confidence": 0.95, "prefer": "size", "metric": "loss", "n": 60,  # type: ignore
                       "points": points, "chosen": "gguf-q8_0"} | changes)


def test_of_a_model_that_writes_the_rise_of_the_loss_is_told() -> None:
    found = writers()
    assert chosen(found.points, "speed") == chosen(found.points, "size") == "gguf-q8_0"
    assert headline(found).replace("\u202f", " ") == (
        "gguf-q8_0 is 3.7 times smaller and 2.5 times faster, and raises the loss by at most 0.0031 nats a token "
        "(97.5 % sure, 60 cases; the floor is 0.0200).")
    failed = [one.model_copy(update={"passed": False}) for one in found.points]
    told = headline(writers(points=[failed[0], *failed[2:]], chosen=None)).replace("\u202f", " ")
    assert told == ("No smaller form is proven to raise the loss by at most 0.0200 nats a token. The closest is "
                    "gguf-q4_k_m: it may raise it by 0.0344 (97.5 % sure, 60 cases).")
    heads, cells = table(found)
    assert [row[1] for row in cells] == [one.name for one in found.points] and len(heads) == len(cells[0])
    assert cells[1][0] == "*" and "0.0012 (at most 0.0031, 97.5 % sure)" in cells[1][-2].replace("\u202f", " ")
    assert cells[3][-1] == "refused; No such heads."
    charts = drawings(found)
    assert [one.key for one in charts] == ["frontier-size", "frontier-speed", "frontier-memory"]
    assert "gguf-q4_k_m: the loss rises by 0.0212, at most by 0.0344 nats a token, at 25 ms" in charts[1].text
    assert [title for title, _ in columns(make().frontier or found)] != [title for title, _ in columns(found)]


def test_a_label_that_falls_while_the_mean_holds_is_named() -> None:
    rows = data(np.array([int(i % 10 == 0) for i in range(400)]), Classify(("common", "rare")))
    before = np.ones(400, bool)
    after = before.copy()
    after[[0, 10, 20, 30, 40]] = False  # five of forty: 1.25 % of all, an eighth of the label
    [fell] = fallen(rows, before, after)
    assert (fell.dimension, fell.value, fell.lost, fell.n) == ("label", "rare", 5, 40)
    spread = before.copy()
    spread[[0, 33, 77, 111, 222, 303]] = False  # anywhere
    assert fallen(rows, before, spread) == []
    assert fallen(rows, before, before) == []
