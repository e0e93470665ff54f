"""The page: whole, escaped, honest, fit for phone and paper. Over 400 lines: every part of one page, one result."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, find
from rich.cells import cell_len
from sample_result import make

from seedbed.evaluate.report import charts, drawings, html, story, write
from seedbed.evaluate.report import wording as w
from seedbed.evaluate.result import Candidate, Result, Speed
from seedbed.records import Estimate

EVIL = '<script>alert(1)</script>"\'><img src=x onerror=alert(2)>'


class Page(HTMLParser):
    """Tags, ids, addresses and words of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.stack: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "xlink:href", "action", "data"):
                self.addresses.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)
        if tag not in ("meta", "link", "br", "img", "input"):
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack and self.stack[-1] == tag, f"{tag} closes {self.stack[-3:]}"
        self.stack.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self.stack:
            self.words += data


def page(result: Result) -> tuple[str, Page]:
    text = html(result)
    parsed = Page(text)
    assert parsed.stack == [], "every tag is closed"
    return text, parsed


@cache
def shaped(shape: str) -> tuple[str, Page]:
    """The page of a shape, made once for all tests that only read it."""
    return page(make(**SHAPES[shape]))


SHAPES: dict[str, dict[str, Any]] = {
    "full": {}, "bare and tiny": {"bare": True, "n": 14}, "two classes": {"labels": ["no", "yes"]},
    "40 classes": {"labels": [f"Billing and invoices, kind {i}" for i in range(40)], "n": 900},
    "60 classes, few texts": {"labels": [f"c{i}" for i in range(60)], "n": 70},
    "multi-label": {"labels": ["billing", "login", "delivery", "returns"], "multi_label": True},
    "multi-label, bare": {"labels": ["a", "b"], "multi_label": True, "bare": True},
    "cross-validation": {"protocol": "cross-validation", "n": 24}, "accuracy": {"metric": "accuracy"},
    "long labels": {"labels": ["x" * 300, "two words " * 30, "日本語の長い名前" * 12]},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_any_shape_makes_a_whole_page_without_script_or_network(shape: str) -> None:
    text, parsed = shaped(shape)
    assert "script" not in parsed.tags and not parsed.handlers
    assert all(a.startswith("#") or a == "data:," for a in parsed.addresses), parsed.addresses
    assert "url(http" not in text and "@import" not in text
    assert len(parsed.ids) == len(set(parsed.ids)), "ids are unique"
    assert {a[1:] for a in parsed.addresses if a.startswith("#")} <= set(parsed.ids), "the contents lead somewhere"
    references = set(re.findall(r"url\(#([^)]+)\)", text)) | {
        i for names in re.findall(r'aria-labelledby="([^"]+)"', text) for i in names.split()}
    assert references <= set(parsed.ids)
    assert "None" not in parsed.words and "nan" not in parsed.words and "undefined" not in parsed.words
    assert len(text.encode()) < 1_500_000


def test_the_verdict_comes_first_with_interval_and_count() -> None:
    result = make()
    _, parsed = shaped("full")
    scores = result.winner.test
    assert scores is not None
    right = w.right_in(scores, False, "held-out")
    assert right == (f"Right in {scores.accuracy.value * 100:.0f} of 100 texts (95{w.THIN}% interval "
                     f"{scores.accuracy.low * 100:.0f} to {scores.accuracy.high * 100:.0f}; 379 held-out texts)")
    order = [result.verdict.headline, right, "What to do", "Before you rely on it", *result.verdict.cautions,
             "How the choice was made", result.verdict.rule, "How well it knows each class", "What it takes for what",
             "When to trust it", "Where it is weaker", "Would more data help?", "How training went",
             "Wrong, and sure of it", "What it learned from", "Run it again", "What you may do with it"]
    body = parsed.words[parsed.words.index("Seedbed 2026"):]
    places = [body.find(words) for words in order]
    assert -1 not in places and places == sorted(places), dict(zip(order, places, strict=True))


def test_every_figure_of_every_candidate_is_there() -> None:
    result = make()
    _, parsed = shaped("full")
    for c in result.candidates:
        assert c.title in parsed.words
        if c.status != "trained":
            assert c.reason in parsed.words
            continue
        for one in (c.selection, c.test):
            assert one is not None
            assert w.figure(one.score.value, "macro_f1") in parsed.words
            assert f"{w.between(one.score, 'macro_f1')}, n = {one.n}" in parsed.words
        if c.comparison:
            assert w.p_value(c.comparison.p_value) in parsed.words
        assert c.speed and w.milliseconds(c.speed.p95_ms) in parsed.words
        for figure in (w.seconds(c.seconds), w.size(c.size), w.size(c.peak_memory), w.count(c.parameters)):
            assert figure in parsed.words
    for key in (result.data_hash, result.command, "Apache-2.0", "avx512f", "2.13.0", "reviews.tsv"):
        assert key in parsed.words
    for finding in result.health.findings:
        assert finding.message in parsed.words and finding.fix in parsed.words


def test_words_of_the_user_stay_words() -> None:
    labels = [EVIL, "שלום \u202eעולם", "null\x00byte\ud800half"]
    result = make(labels, run=f"a {EVIL}",
                  texts=[EVIL, "مرحبا بالعالم", "bell\x07 \udfff end\ufffe", "a\u2028b</style></svg>"],
                  command=f"seedbed run '{EVIL}.csv'", licences={EVIL: EVIL}, baseline_note=EVIL,
                  environment={EVIL: {EVIL: [EVIL]}}, config={EVIL: EVIL})
    text, parsed = page(result)
    assert "<script" not in text and "<img" not in text and "onerror" not in "".join(parsed.handlers)
    assert {"script", "img"} & set(parsed.tags) == set()
    assert EVIL in parsed.words, "shown as it is"
    assert "\ufffd" in parsed.words and not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]", text)
    assert 'dir="auto"' in text and "مرحبا" in parsed.words
    assert "\u202e" not in "".join(re.findall(r"<svg.*?</svg>", text, re.S)), "no text turns a chart around"
    assert "default-src 'none'" in text


def test_same_result_same_bytes_also_in_another_process(tmp_path: Path) -> None:
    first = write(make(), tmp_path / "one").read_bytes()
    code = ("import sys; sys.path.insert(0, sys.argv[1])\nfrom pathlib import Path\nfrom sample_result import make\n"
            "from seedbed.evaluate.report import write\nwrite(make(), Path(sys.argv[2]))")
    subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path / "two")], check=True)
    assert first == (tmp_path / "two" / "report.html").read_bytes()


def test_what_is_missing_leaves_no_empty_box() -> None:
    text, parsed = shaped("bare and tiny")
    for key in ("trust", "slices", "learning", "training", "mistakes"):
        assert f'<section id="{key}"' not in text
    assert "No licence is known. Find out before you pass the model on." in parsed.words
    assert not re.search(r"<figure[^>]*>\s*</figure>|<tbody>\s*</tbody>|<ul>\s*</ul>", text)


def test_multi_label_has_no_confusion() -> None:
    text, parsed = page(make(["a", "b", "c"], multi_label=True))
    assert '<section id="confusion"' not in text
    assert "Every label right in" in parsed.words


def test_few_cases_are_called_tentative() -> None:
    _, few = page(make(n=20))
    assert "Tentative: all figures rest on 20 texts, fewer than 30." in few.words
    start = few.words.index("Right in")
    assert "tentative" in few.words[start:start + 120]
    _, many = page(make(n=2000))
    assert "tentative" not in many.words[:many.words.index("How the choice was made")]


def test_nothing_trained_still_makes_a_report() -> None:
    result = make(bare=True)
    failed = [c.model_copy(update={"status": "failed", "reason": "No memory.", "selection": None, "test": None,
                                   "comparison": None}) for c in result.candidates]
    text, parsed = page(result.model_copy(update={"candidates": failed}))
    assert "No memory." in parsed.words and "No candidate was scored." in parsed.words
    assert "<table>" not in text[text.index('id="choice"'):text.index('id="health"')]


def test_one_candidate_alone() -> None:
    result = make()
    text, _ = page(result.model_copy(update={"candidates": [result.winner]}))
    assert "of the winner and of the cheapest candidate" not in text  # it is the cheapest itself


def test_what_the_threshold_gives_is_said_whatever_it_is() -> None:
    def said(**of: Any) -> str:
        rest = make().abstention
        assert rest
        result = make(abstention=rest.model_copy(update=of))
        return " ".join([*story.actions(result), story.coverage(result)]).replace(w.THIN, " ")

    every = said(threshold=0.0)
    assert "Let it answer every text: it errs in 11 %" in every and "it may answer every text" in every
    assert "0 % sure" not in every.replace("90 % sure", "")
    few = said(threshold=None, coverage=None, error=None, reason="9 validation rows cannot show it.")
    assert "no threshold is proven to bring its errors down to 10 %" in few and few.endswith("rows cannot show it.")
    none = said(coverage=Estimate(value=0, low=0, high=0.1, n=40), error=None)
    assert "it was sure enough of none" in none and none.endswith("It then answers none of the held-out texts.")


def test_classes_that_no_text_has_are_not_called_weak() -> None:
    result = make(n=400)
    scores = result.winner.test
    assert scores
    absent = scores.per_class[0].model_copy(update={
        "label": "never seen", "support": 0, "f1": Estimate(value=0, low=0, high=1, n=0)})
    scores = scores.model_copy(update={"per_class": [absent, *scores.per_class[1:]]})
    assert "never seen" not in story.classes(scores)
    drawn = charts.classes(scores)
    assert drawn and "never seen" not in drawn.text
    assert story.classes(scores.model_copy(update={"per_class": [absent]})).startswith("Too few classes")


def test_latency_has_the_interval_and_the_texts_it_was_timed_on() -> None:
    speed = Speed(median_ms=40, median_low_ms=38, median_high_ms=43, p95_ms=70, calls=25, texts_per_second=9,
                  texts=64)
    assert story.latency(speed).replace(w.THIN, " ") == \
        "95 % interval 38.0 ms to 43.0 ms, 95 of 100 within 70.0 ms, 25 texts timed one by one"
    result = make()
    mine = [c.model_copy(update={"speed": speed}) for c in result.candidates]
    assert "25 texts timed one by one" in page(result.model_copy(update={"candidates": mine}))[1].words


def test_without_test_texts_nothing_is_called_held_out() -> None:
    result = make()
    mine = [c.model_copy(update={"test": None}) for c in result.candidates]
    _, parsed = page(result.model_copy(update={"candidates": mine, "abstention": None}))
    assert "validation texts, which also served to choose" in parsed.words
    assert "fitted on these same texts, which flatters it a little" in parsed.words
    assert "held-out" not in parsed.words and "held out" not in parsed.words


def test_a_verdict_without_its_candidate_is_refused() -> None:
    with pytest.raises(ValueError, match="is no candidate of this run"):
        make(candidates=[])


def test_counts_that_do_not_add_up_are_exposed() -> None:
    result = make()
    wrong = result.health.model_copy(update={"kept": result.health.kept - 1})
    _, parsed = page(result.model_copy(update={"health": wrong}))
    assert "The counts do not add up" in parsed.words
    _, parsed = page(result)
    assert (f"{w.count(result.health.read)} rows read = {w.count(result.health.kept)} kept + 19 left out "
            "(12 exact duplicate, 4 empty text, 3 no label)") in parsed.words


def test_long_mistakes_are_cut_and_counted() -> None:
    _, parsed = page(make(texts=["z" * 10_000] * 45))
    assert f"({w.count(9_400)} more characters)" in parsed.words
    assert "20 of 45; result.json has all." in parsed.words


def test_an_old_report_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old")
    write(make(bare=True), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report.html").write_text("old")

    def full(self: Path, *_: object, **__: object) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        write(make(bare=True), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_bytes() == b"old"


def test_importing_the_room_is_light() -> None:
    code = ("import sys, seedbed.evaluate.report, seedbed.evaluate.card\n"
            "print(sorted({'altair', 'jinja2', 'pandas', 'vl_convert', 'numpy', 'torch'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("shown", "wanted"), [
    (w.percent(0.793), "79 %"), (w.percent(0.996), "99.6 %"), (w.percent(0.9996), "over 99.9 %"),
    (w.percent(0.0001), "under 0.1 %"), (w.percent(1), "100 %"),
    (w.percent(0), "0 %"), (w.percent(0.004), "0.4 %"), (w.number(-0.0312), "−0.031"),
    (w.count(1234567), "1 234 567"),
    (w.seconds(0), "0 s"), (w.seconds(0.02), "20 ms"), (w.seconds(59.6), "1 min"), (w.seconds(331), "5 min 31 s"),
    (w.seconds(3600), "1 h"), (w.seconds(7_380), "2 h 3 min"), (w.milliseconds(41.26), "41.3 ms"),
    (w.milliseconds(0.31), "0.31 ms"), (w.milliseconds(1500), "1.5 s"), (w.size(999), "999 bytes"),
    (w.size(142_000_000), "142 MB"), (w.size(1_400_000), "1.4 MB"), (w.p_value(0.0002), "under 0.001"),
    (w.plural(1, "text"), "1 text"), (w.plural(2, "class", "classes"), "2 classes"),
    (w.tidy("a\n b\t\x00c"), "a b c"), (w.tidy(["a", "b"]), "a, b"), (w.tidy([]), "no label"),
    (w.tidy("Billing and invoices, kind 35", 20), "Billing and i…ind 35"), (w.tidy("x\ud800"), "x\ufffd"),
    (w.estimate(Estimate(value=0.5, low=0.2, high=0.8, n=8), "recall"),
     "50 % (95 % interval 20 to 80 %; 8 texts; tentative, under 30 cases)"),
    (w.estimate(Estimate(value=0.554, low=0.5, high=0.61, n=379), "macro_f1"),
     "0.554 (95 % interval 0.50 to 0.61; 379 texts)"),
])
def test_figures_in_words(shown: str, wanted: str) -> None:
    assert shown.replace(w.THIN, " ") == wanted


@pytest.mark.parametrize("text", ["日本語のとても長い", "שלום עולם ומלואו", "naïve café résumé", "👩‍👩‍👧 family"])
@pytest.mark.parametrize("limit", [3, 6, 9])
def test_cut_words_fit(text: str, limit: int) -> None:
    assert cell_len(w.tidy(text, limit)) <= limit


def test_drawings_match_the_result() -> None:
    keys = [d.key for d in drawings(make())]
    assert keys == ["verdict", "candidates", "classes", "confusion", "calibration", "coverage", "slices", "learning",
                    "history-3-loss", "history-3-score", "history-4-loss", "history-4-score", "frontier-size",
                    "frontier-speed", "frontier-memory", "balance"]
    assert [d.key for d in drawings(make(bare=True))] == ["verdict", "candidates", "classes", "confusion", "balance"]


def test_every_shown_row_stands_for_a_candidate() -> None:
    result = make(bare=True)
    more = [Candidate(name=f"x{i}", title=f"Try {i}", cost_rank=9 + i, status="skipped") for i in range(5)]
    text, _ = page(result.model_copy(update={"candidates": [*result.candidates, *more]}))
    table = re.search(r'aria-label="Quality of the candidates".*?<tbody>(.*?)</tbody>', text, re.S)
    assert table and table.group(1).count("<tr") == sum(c.status == "trained" for c in result.candidates)
    assert text.count("was skipped") == 6


browser = pytest.mark.skipif(find() is None, reason="NO CHROMIUM: the page's looks are NOT tested. Install it: "
                                                    "apt-get install chromium")


@browser
@pytest.mark.parametrize("shape", ["full", "bare and tiny", "40 classes", "long labels"])
def test_the_page_fits_phone_and_paper_and_asks_for_nothing(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "report.html"
    path.write_text(shaped(shape)[0], encoding="utf-8")
    with Browser(tmp_path / "profile") as chromium:
        for width in (360, 390, 768, 1280, 1600):
            chromium.open(path, width)
            assert chromium.ask("document.documentElement.scrollWidth") <= width, width
            wide = chromium.ask("[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll') && e."
                                "getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 90))")
            assert wide == [], width
            requests = chromium.requests()
            assert requests == [path.absolute().as_uri()], requests
            assert not {"Log.entryAdded", "Runtime.exceptionThrown"} & {e.get("method") for e in chromium.events}
            shown = chromium.ask("[...document.querySelectorAll('.chart')].map(f => [...f.querySelectorAll('svg')]"
                                 ".filter(s => s.getBoundingClientRect().width > 100).length)")
            assert shown and set(shown) == {1}, "one drawing of each chart is seen"
            small = chromium.ask("Math.min(...[...document.querySelectorAll('.chart svg')].map(s => "
                                 "s.getBoundingClientRect().width / s.viewBox.baseVal.width).filter(k => k > 0))")
            assert small * 12 >= 9.5, f"labels of {small * 12:.1f} px at {width} px"
        assert chromium.pdf().startswith(b"%PDF")


@browser
def test_charts_follow_the_readers_theme_with_enough_contrast(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(shaped("full")[0], encoding="utf-8")
    probe = """(() => {
      const light = c => { const v = c.match(/[\\d.]+/g).slice(0, 3).map(x => x / 255).map(
          x => x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
          return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
      const paper = light(getComputedStyle(document.body).backgroundColor);
      const ratio = c => { const l = light(c); return (Math.max(l, paper) + .05) / (Math.min(l, paper) + .05); };
      const seen = [...document.querySelectorAll('svg text, p, td, th, small, dt, figcaption, a')]
        .filter(e => e.getBoundingClientRect().width && !e.closest('.tag, .cautions, tr.win') &&
                     !(e.matches('svg text') && e.getAttribute('stroke')))
        .map(e => ratio(getComputedStyle(e)[e.matches('svg text') ? 'fill' : 'color']));
      return [paper, Math.min(...seen), seen.length]; })()"""
    with Browser(tmp_path / "profile") as chromium:
        papers = []
        for dark in (False, True):
            chromium.open(path, 1280, dark=dark)
            paper, worst, seen = chromium.ask(probe)
            papers.append(paper)
            assert seen > 200 and worst >= 4.5, f"dark={dark}: contrast {worst:.2f}"
        assert papers[0] > 0.9 and papers[1] < 0.02
