"""The page of `seedbed train`: what it says first, for every outcome, and that it fits."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, find

from seedbed.evaluate.figures import Figure, Sample, TuneResult
from seedbed.evaluate.report import html, tuned, write
from seedbed.records import Estimate


def estimate(value: float, half: float = 0.02, n: int = 120) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half, n=n)


def made(gain: float, half: float = 0.03, n: int = 120, **more: Any) -> TuneResult:
    lead = Figure(name="rouge_l", title="ROUGE-L, F1 of the longest common sequence", more=True,
                  before=estimate(0.2, n=n), after=estimate(0.2 + gain, n=n), gain=estimate(gain, half, n),
                  p_value=0.0002, baseline=estimate(0.21, n=n))
    return TuneResult.model_validate({
        "run": "out", "created": "2026-11-24T10:00:00+00:00", "command": "seedbed train a.jsonl", "config": {},
        "data_hash": "0" * 64, "rows": {"train": 300, "validation": 40, "test": n}, "environment": {"seed": 0},
        "licences": {"smollm2": "Apache-2.0"}, "seconds": 600, "task": "summarize", "model": "smollm2-135m-instruct",
        "form": "document and summary", "skipped": {"too_long": 2}, "judged": n,
        "tokens": {"all": 9000, "learned": 900, "cut": 0}, "figures": [lead], "verdict": "A verdict.", "note": "done",
        "parameters": 1000, "trained_parameters": 10, "history": [], "training_seconds": 500,
        "predicted_seconds": 480, "peak_memory": 2 << 30, "predicted_memory": None, **more})


@pytest.mark.parametrize(("result", "head", "sure", "first"), [
    (made(0.06), "It got better: ROUGE‑L 0.200\u00a0→\u00a00.260", "Proven", None),
    (made(0.06, n=20), "It got better", "Tentative", None),
    (made(0.005, 0.002), "It got better", "Proven", "It is no better than what needs no training (no model)"),
    (made(0.01), "No change is proven", "Not proven",
     "Do not rely on it yet. To prove a gain as small as this takes about 1\u202f080 test rows"),
    (made(-0.01), "No change is proven", "Not proven", "Do not rely on it yet. Train longer"),
    (made(-0.06), "It got worse", "Proven", "Do not use it.")])
def test_what_is_said_first_follows_the_interval(result: TuneResult, head: str, sure: str, first: str | None) -> None:
    assert tuned.headline(result).startswith(head)
    assert tuned.sure(result.figures[0])[0] == sure
    done = tuned.actions(result)
    assert (not done) if first is None else done[0].startswith(first)
    page = html(result)
    assert tuned.headline(result) in page and "A verdict." in page and "p under 0.001" in page


def test_smaller_forms_stand_in_the_page() -> None:
    from test_frontier import writers

    page, bare = html(made(0.06, frontier=writers())), html(made(0.06))
    assert "What size costs" in page and "frontier-memory" in page and "It rises by" in page
    assert "which is dashed" in page and '<tr class="win"><th scope="row"><bdi>gguf-q8_0</bdi>' in page
    assert all(f"<bdi>{one.name}</bdi>" in page for one in writers().points)
    assert "What size costs" not in bare and 'href="#smaller"' in page


def test_what_else_to_do_and_to_mind() -> None:
    falling = [{"epoch": float(i), "validation_loss": 3.0 - i} for i in range(3)]
    loss = Figure(name="loss", title="loss, nats a token", more=False, before=estimate(2), after=estimate(2.2),
                  gain=estimate(-0.2))
    one = made(0.06, 0.01, 20, history=falling, tokens={"all": 9, "learned": 9, "cut": 5},
               samples=[Sample(asked="a", reference="b", before="", after="d")] * 6)
    one = one.model_copy(update={"figures": [*one.figures, loss]})
    read, longer, cut = tuned.actions(one)
    assert read.startswith("Read the answers") and "still falling" in longer and cut.startswith("5 tokens")
    assert tuned.cautions(made(0.02, 0.01)) == [
        "That it beats what needs no training (no model, 0.210) is not proven."]
    assert tuned.cautions(one) == ["Tentative: the figures rest on 20 cases, fewer than 30.",
                                   "Worse than before: loss, nats a token."]
    assert "2 more answers" in html(one) and ">nothing</span>" in html(one)


@pytest.mark.skipif(find() is None, reason="needs Chromium")
def test_the_page_fits_phone_and_screen_whatever_the_words_are(tmp_path: Path) -> None:
    wide, arabic = "x" * 3000, "هذا نص طويل من اليمين إلى اليسار " * 40
    result = made(0.06, samples=[Sample(asked=wide, reference=arabic, before="", after="<b>&")], run="r" * 200,
                  form="f" * 300, verdict="v" * 400, task="entities")
    page = write(result, tmp_path)
    assert "&lt;b&gt;&amp;" in page.read_text() and "A linear tagger" in page.read_text()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, Browser(Path(profile)) as browser:
        for width, dark in ((1280, False), (380, True)):
            browser.open(page, width, dark=dark)
            assert browser.ask("document.documentElement.scrollWidth") <= width
            assert browser.requests() == [page.as_uri()]
