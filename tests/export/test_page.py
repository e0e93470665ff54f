"""The page in a headless Chromium: it answers as the engine does, it proves itself, and nothing leaves it."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
import tiny
import wordy
from sample_bundle import make
from sample_export import LABELS, fitted

from seedbed.cli import main
from seedbed.engines.base import load_classifier
from seedbed.engines.exported import Exported
from seedbed.errors import Offline, UserError
from seedbed.export import edge
from seedbed.export.bundle import Bundle, open_bundle
from seedbed.export.page import NAME
from seedbed.settings import settings
from seedbed.tasks.classify import Classify
from seedbed.workflow.exporting import ExportConfig, export

sys.path.append(str(Path(__file__).parent.parent / "evaluate"))
from browser import Browser, find

if TYPE_CHECKING:
    from seedbed.catalog.web import WebParts

pytestmark = pytest.mark.skipif(find() is None, reason="NO CHROMIUM: the page that classifies is NOT tested. Install "
                                                       "it: apt-get install chromium")
TEXTS = [*tiny.TEXTS, "ÀÉÎ Straße naïve", "好 的 東西 👍🏽 👩‍👩‍👧", "مرحبا بالعالم", "ﬁ ｆｕｌｌ ℌ",
         "line\r\none\ttab  ", " ", "[CLS] <eos> [MASK] <b>&amp;", "İ ǅ ß",
         "a\u0301\u00ad\u200b\u00a0b", "don't 3.14159 @x",
         "x" * 300]
"""Short, long, cut, odd, of several scripts, and empty."""


def wait(chromium: Browser) -> str:
    """Until the page has proven itself or refused; its words on that."""
    return str(chromium.ask("""new Promise(done => { const look = () => {
        const proof = document.getElementById('proof');
        /proven|refused/.test(proof.className) ? done(proof.textContent) : setTimeout(look, 50); }; look(); })"""))


def type_in(chromium: Browser, text: str) -> dict[str, Any]:
    """What the page shows for a text that a person types."""
    return dict(chromium.ask(f"""new Promise(done => {{
        const [text, about] = ['text', 'about'].map(id => document.getElementById(id));
        about.textContent = '';
        text.value = {json.dumps(text)};
        text.dispatchEvent(new Event('input', {{ bubbles: true }}));
        const look = () => about.textContent ? done({{ about: about.textContent,
            answer: document.getElementById('answer').textContent,
            rows: [...document.querySelectorAll('#rows tr')].map(row => [row.cells[0].textContent,
                row.cells[2].textContent, row.className, row.querySelector('.bar div').style.width]) }})
          : setTimeout(look, 20); look(); }})"""))


def written(bundle: Bundle, name: str, folder: Path, parts: WebParts) -> Path:
    """The page of an artefact."""
    entry = next(one for one in bundle.manifest.engines if one.name == name)
    made = edge.write(bundle, entry, folder, parts)
    page = folder / NAME
    assert made.page == page.stat().st_size == json.loads((folder / "edge.json").read_text())["page"]
    assert made.size == sum(p.stat().st_size for p in folder.iterdir() if p.name not in ("edge.json", NAME))
    return page


def same(chromium: Browser, bundle: Bundle, name: str, texts: list[str], off: float) -> None:
    """Tokens equal to those of the artefact in this process, and probabilities near enough."""
    artefact = load_classifier(bundle.folder / name)
    assert isinstance(artefact, Exported)
    found = chromium.ask(f"(async () => {{ const made = []; for (const text of {json.dumps(texts)}) "
                         "made.push(await classify(text)); return made; })()")
    assert [one["tokens"] for one in found] == artefact.tokens(texts)
    truth = bundle.task.probabilities(artefact.logits(texts), bundle.manifest.temperature)
    assert np.abs(np.array([one["probabilities"] for one in found]) - truth).max() < off


def one_layer(monkeypatch: pytest.MonkeyPatch, place: Path, family: str) -> None:
    """`fitted` opens a model of one layer: exporting it takes a third of the time."""
    monkeypatch.setattr(tiny, "LAYERS", 1)
    folder = tiny.build(family, place / "model")
    monkeypatch.setattr(tiny, "model", lambda _: folder)


@pytest.fixture(scope="module")
def page(onnx_bundle: Bundle, web_parts: WebParts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a tiny encoder at 8 bits, with BERT's tokenizer; tests only read it."""
    return written(onnx_bundle, "onnx-int8", tmp_path_factory.mktemp("page") / "device", web_parts)


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path / "profile") as one:
        yield one


def test_opened_as_a_file_it_answers_as_the_engine_does(page: Path, onnx_bundle: Bundle, chromium: Browser) -> None:
    chromium.open(page)
    said = wait(chromium)
    probes = json.loads((onnx_bundle.folder / "probes.json").read_text())["texts"]
    assert said.startswith(f"Agrees with its certificate in this browser. All {len(probes)} stored texts get the ")
    same(chromium, onnx_bundle, "onnx-int8", TEXTS, 0.02)
    engine = open_bundle(onnx_bundle.folder, engine="onnx-int8")
    for text in ("It was a lovely, fast box!", "slow " * 60, "好 👍"):
        shown, one = type_in(chromium, text), engine.predict([text])[0]
        order = sorted(one.scores.items(), key=lambda pair: -pair[1])
        assert [row[0] for row in shown["rows"]] == [label for label, _ in order]
        for (_, figure, _, width), (_, probability) in zip(shown["rows"], order, strict=True):
            assert abs(float(figure.rstrip("%")) / 100 - probability) < 0.02
            assert abs(float(width.rstrip("%")) - float(figure.rstrip("%"))) < 0.06
        assert [row[2] for row in shown["rows"]] == ["chosen", ""]
        assert re.sub("[\u2068\u2069]", "", shown["answer"]) == f"{order[0][0]}, {shown['rows'][0][1]}"
        assert re.search(r"^(Longer than the model reads: only the first 24 tokens count\. )?"
                         r"\d+ tokens, [\d.]+ ms on this machine\.$", shown["about"])
        assert ("Longer than" in shown["about"]) == (text == "slow " * 60)
    assert chromium.ask("document.getElementById('text').spellcheck") is False, "some browsers' checkers send it away"
    assert chromium.requests()[0] == page.as_uri()
    assert [one for one in chromium.requests()[1:] if not one.startswith("blob:null/")] == []
    assert not {"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"} & {
        event.get("method") for event in chromium.events}
    chromium.ask("document.getElementById('text').value = ' \\n', document.getElementById('text').dispatchEvent("
                 "new Event('input')), new Promise(done => setTimeout(done, 400)).then(() => 0)")
    assert chromium.ask("document.querySelectorAll('#rows tr').length") == 0
    assert chromium.ask("document.getElementById('answer').textContent") == "Type a text, and its labels appear here."


class Listening(ThreadingHTTPServer):
    """Remembers who came."""

    def __init__(self) -> None:
        self.came: list[str] = []
        super().__init__(("127.0.0.1", 0), Listener)


class Listener(BaseHTTPRequestHandler):
    server: Listening

    def do_GET(self) -> None:
        self.server.came.append(self.path)
        self.send_response(200)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_: object) -> None: ...


WAYS_OUT = """new Promise(async done => {
    const to = name => `http://127.0.0.1:PORT/${name}`, tried = [];
    const attempt = async (name, way) => { tried.push(name); try { await way(to(name)); } catch { } };
    const put = (tag, values) => document.body.append(Object.assign(document.createElement(tag), values));
    await attempt('fetch', address => fetch(address));
    await attempt('beacon', address => navigator.sendBeacon(address, 'text'));
    await attempt('request', address => { const x = new XMLHttpRequest(); x.open('POST', address); x.send('text'); });
    await attempt('socket', address => new WebSocket(address.replace('http', 'ws')));
    await attempt('events', address => new EventSource(address));
    await attempt('image', address => { new Image().src = address; });
    await attempt('module', address => import(address));
    await attempt('script', src => put('script', { src }));
    await attempt('frame', src => put('iframe', { src }));
    await attempt('style', href => put('link', { rel: 'stylesheet', href }));
    await attempt('video', src => put('video', { src, autoplay: true }));
    await attempt('worker', address => new Worker(address));
    put('iframe', { name: 'sink' });
    await attempt('form', action => { const form = document.createElement('form');
        document.body.append(Object.assign(form, { action, method: 'post', target: 'sink' })); form.submit(); });
    setTimeout(() => done(tried), 1500); })"""


def test_no_way_out_is_open(page: Path, chromium: Browser) -> None:
    with Listening() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ways = WAYS_OUT.replace("PORT", str(server.server_address[1]))
        try:
            chromium.open(page)
            wait(chromium)
            assert len(chromium.ask(ways)) == 13
            assert server.came == [], "the page's policy lets nothing out"
            open_page = page.parent.parent / "without-policy.html"
            open_page.write_text(re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text()))
            chromium.open(open_page)
            wait(chromium)
            chromium.ask(ways)
            assert len({one.strip("/") for one in server.came}) > 5, f"without it only {server.came} are open"
        finally:
            server.shutdown()


def changed(kind: str, text: str) -> str:
    """The page with one thing in it that is not what was proven."""
    said = json.loads(re.search(r'id="said">(.*?)</script>', text, re.S).group(1))  # type: ignore[union-attr]
    if kind == "tokens":
        said["probes"][20]["tokens"][1] += 1
    elif kind == "probabilities":
        said["probes"][3]["probabilities"].reverse()
    elif kind == "temperature":
        said["temperature"] = -1
    elif kind == "hash":
        said["sha256"] = "0" * 64
    elif kind == "model":
        return re.sub(r'(id="model">.{5000}).', r"\1_", text, count=1, flags=re.S)
    elif kind == "script":
        return text.replace("if (!(far <= said.limit))", "if (false)")
    whole = json.dumps(said).replace("<", "\\u003c")
    return re.sub(r'(id="said">).*?(</script>)', lambda m: m[1] + whole + m[2], text, count=1, flags=re.S)


@pytest.mark.parametrize(("kind", "told"), [
    ("tokens", "stored text 21 of 34 gets other tokens here"),
    ("probabilities", "a probability of stored text 4 is off by"),
    ("temperature", "a probability of stored text"), ("hash", "its SHA-256 is another"), ("model", "")])
def test_what_is_not_as_it_was_certified_refuses_to_answer(page: Path, tmp_path: Path, chromium: Browser, kind: str,
                                                           told: str) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text(changed(kind, page.read_text()))
    chromium.open(broken)
    said = wait(chromium)
    assert said.startswith("This page does not answer here:") and told in said
    assert chromium.ask("[document.getElementById('text').disabled, typeof classify]") == [True, "undefined"]


def test_another_script_is_not_run(page: Path, tmp_path: Path, chromium: Browser) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text(changed("script", page.read_text()))
    chromium.open(broken)
    chromium.ask("new Promise(done => setTimeout(done, 1500)).then(() => 0)")
    assert chromium.ask("[document.getElementById('text').disabled, document.getElementById('proof').className]") == [
        True, "proof"]


@pytest.mark.slow
def test_as_a_user_types_it_any_number_of_labels_and_byte_level_words(
        home: Path, tmp_path: Path, web_parts: WebParts, chromium: Browser, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    one_layer(monkeypatch, tmp_path, "llama")
    bundle = make(tmp_path / "bundle", classifier=fitted("llama"), task=Classify(LABELS, True), temperature=1.7,
                  sample_texts=tiny.sentences(20, 5)[0], name='<b>"any" & all</b>')
    (home / "web").symlink_to(web_parts.runtime.parent.parent)
    monkeypatch.setenv("SEEDBED_OFFLINE", "1")  # what was fetched once is enough
    settings.cache_clear()
    device = tmp_path / "device"
    assert main(["export", str(bundle.folder), "--to", "onnx:fp32", "--edge", str(device), "--page", "--quiet"]) == 0
    size = (device / NAME).stat().st_size
    assert f"{NAME} in it ({size / 1e6:.1f} MB) answers in a browser" in " ".join(capsys.readouterr().out.split())
    bundle = open_bundle(bundle.folder)
    chromium.open(device / NAME)
    assert "(0.001 is allowed)" in wait(chromium)
    same(chromium, bundle, "onnx-fp32", TEXTS, 1e-4)
    assert chromium.ask("document.querySelector('h1').textContent") == '<b>"any" & all</b>'
    for text in ("broken awful refund", "great lovely fast", "the box"):
        shown = type_in(chromium, text)
        one = bundle.predict([text])[0]
        assert {row[0] for row in shown["rows"] if row[2]} == set(one.label)
        assert [float(row[1].rstrip("%")) for row in shown["rows"]] == pytest.approx(
            sorted((100 * p for p in one.scores.values()), reverse=True), abs=0.11)


def test_a_tokenizer_of_likeliest_pieces(tmp_path: Path, web_parts: WebParts, chromium: Browser,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    """Unigram, on a body that reads."""
    monkeypatch.setattr(tiny, "_tokenizer", lambda family: wordy.tokenizer("unigram"))
    one_layer(monkeypatch, tmp_path, "bert")
    bundle = make(tmp_path / "bundle", classifier=fitted(), task=Classify(LABELS), temperature=1.0,
                  sample_texts=tiny.sentences(20, 5)[0])
    export(bundle.folder, ExportConfig(to=("onnx:fp32",)))
    bundle = open_bundle(bundle.folder)
    chromium.open(written(bundle, "onnx-fp32", tmp_path / "device", web_parts))
    assert "Agrees with its certificate" in wait(chromium)
    same(chromium, bundle, "onnx-fp32", [*TEXTS, *wordy.MINE, *wordy.OTHERS], 1e-4)


def test_it_fits_phone_and_desk_and_speaks_to_screen_readers(page: Path, chromium: Browser) -> None:
    contrast = """(() => { const light = c => { const v = c.match(/[\\d.]+/g).slice(0, 3).map(x => x / 255).map(
          x => x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
          return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
      const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
          if (!/, 0\\)$/.test(c)) return light(c); } };
      const seen = [...document.querySelectorAll('p, th, td, dt, dd, b, label, textarea, summary, code')].filter(
          e => e.getBoundingClientRect().width > 1);
      return Math.min(...seen.map(e => { const a = light(getComputedStyle(e).color), b = ground(e);
          return (Math.max(a, b) + .05) / (Math.min(a, b) + .05); })); })()"""
    for width, dark in ((320, False), (390, True), (1280, False), (1600, True)):
        chromium.open(page, width, dark=dark)
        wait(chromium)
        type_in(chromium, "great lovely box")
        assert chromium.ask("document.documentElement.scrollWidth") <= width
        assert chromium.ask(contrast) >= 4.5, (width, dark)
        nodes = [(node["role"].get("value"), node.get("name", {}).get("value")) for node in
                 chromium.call("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
        assert ("textbox", "Your text") in nodes and ("table", "Probability of each label") in nodes
        assert ("rowheader", "good") in nodes and "status" in {role for role, _ in nodes}, "on a phone as well"
    chromium.ask("document.getElementById('text').value = '', document.activeElement.blur()")
    for kind in ("keyDown", "keyUp"):
        chromium.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert chromium.ask("document.activeElement.id") == "text", "the first stop of the tab key"
    chromium.call("Input.insertText", text="awful broken")
    chromium.ask("new Promise(done => setTimeout(done, 600)).then(() => 0)")
    assert "bad" in chromium.ask("document.getElementById('answer').textContent")


def test_a_page_is_asked_for_with_its_folder_and_of_onnx(make_bundle: Callable[..., Bundle], tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_bundle(classifier=fitted(), task=Classify(LABELS)).folder
    with pytest.raises(UserError, match="--page writes into the folder of --edge"):
        export(folder, ExportConfig(to=("onnx",), page=True))
    with pytest.raises(UserError, match="A browser does not run an artefact of openvino"):
        export(folder, ExportConfig(to=("openvino",), edge=tmp_path / "device", page=True))
    monkeypatch.setenv("SEEDBED_OFFLINE", "1")
    settings.cache_clear()
    with pytest.raises(Offline, match="and fetching is off"):
        export(folder, ExportConfig(edge=tmp_path / "device", page=True))
    assert not (tmp_path / "device").exists() and len(open_bundle(folder).manifest.engines) == 1


def test_a_model_that_no_page_can_hold_is_refused(onnx_bundle: Bundle, web_parts: WebParts, tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seedbed.export.page.MOST", 1000)
    with pytest.raises(UserError, match="onnx-int8 is too large for a page"):
        written(onnx_bundle, "onnx-int8", tmp_path / "device", web_parts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.real
def test_the_real_minilm_in_a_browser(minilm_folder: Path, web_parts: WebParts, tmp_path: Path, chromium: Browser,
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny, "model", lambda family: minilm_folder)
    bundle = make(tmp_path / "bundle", classifier=fitted(), task=Classify(LABELS), temperature=1.0,
                  sample_texts=tiny.sentences(20, 5)[0])
    export(bundle.folder, ExportConfig(to=("onnx",)))
    bundle = open_bundle(bundle.folder)
    chromium.open(written(bundle, "onnx-int8", tmp_path / "device", web_parts))
    assert "Agrees with its certificate" in wait(chromium)
    same(chromium, bundle, "onnx-int8", TEXTS, 0.05)
    peak = max(int(next(line for line in Path(f"/proc/{one.pid}/status").read_text().splitlines()
                        if line.startswith("VmHWM")).split()[1]) << 10
               for one in psutil.Process(chromium.process.pid).children(recursive=True)
               if "--type=renderer" in one.cmdline())
    assert 100e6 < peak < 700e6, peak
