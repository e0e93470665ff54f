"""The app, called in this process."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

import pytest
from fastapi.testclient import TestClient

from seedbed.errors import CorruptFile
from seedbed.export.bundle import Bundle, open_bundle
from seedbed.serve.app import make_app
from seedbed.serve.limits import Limits


@pytest.fixture
def client(served_bundle: Bundle) -> Iterator[TestClient]:
    with TestClient(make_app(served_bundle, Limits(max_body=2000, max_texts=3))) as one:
        yield one


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_answers_are_those_of_the_bundle(client: TestClient, served_bundle: Bundle) -> None:
    texts = ["the broken awful thing", "the great lovely thing", ""]
    answer = client.post("/v1/classify", json={"texts": texts})
    assert answer.status_code == 200
    found = answer.json()
    assert found["model"] == "reviews-1"
    assert found["usage"] == {"texts": 3, "characters": 44}
    assert found["results"] == [{"index": i, **one.model_dump()}
                                for i, one in enumerate(served_bundle.predict(texts))]
    one = client.post("/v1/classify", json={"text": texts[0], "threshold": 1.0}).json()["results"]
    assert [(r["label"], r["sure"]) for r in one] == [("negative", False)]
    assert client.post("/v1/classify", json={"texts": []}).json()["results"] == []


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(("sent", "status", "code", "words"), [
    ({"json": {}}, 400, "invalid_request", "give either text or texts"),
    ({"json": {"text": "a", "texts": ["b"]}}, 400, "invalid_request", "give either text or texts"),
    ({"json": {"texts": ["a", 3]}}, 400, "invalid_request", "at texts.1"),
    ({"json": {"texts": "a"}}, 400, "invalid_request", "at texts"),
    ({"json": {"text": "a", "temperature": 1}}, 400, "invalid_request", "at temperature"),
    ({"json": {"text": "a", "threshold": 2}}, 400, "invalid_request", "at threshold"),
    ({"json": {"texts": ["a"] * 4}}, 400, "invalid_request", "holds 4 texts; 3 are allowed"),
    ({"json": ["a"]}, 400, "invalid_request", "cannot be read"),
    ({"content": b'{"text": "cut', "headers": JSON}, 400, "invalid_request", "Untermin"),
    ({"content": b'{"\\ud83d": 1}', "headers": JSON}, 400, "invalid_request", "cannot"),
    ({"content": b"\xff\xfe{", "headers": JSON}, 400, "invalid_request", ""),
    ({"content": b"[" * 1900, "headers": JSON}, 400, "invalid_request", ""),
    ({"content": b'{"text": "a"}', "headers": {"content-type": "text/plain"}}, 400, "invalid_request", "cannot"),
    ({"json": {"text": "a" * 3000}}, 413, "too_large", "longer than 2,000 bytes"),
    ({"content": iter([b'{"text": "', b"a" * 3000, b'"}']), "headers": JSON}, 413,
     "too_large", "longer than 2,000 bytes"),
])
def test_bad_requests_have_an_error_body(client: TestClient, sent: dict[str, Any], status: int, code: str,
                                         words: str) -> None:
    answer = client.post("/v1/classify", **sent)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"]) == (status, code, "invalid_request_error")
    assert set(error) == {"message", "hint", "code", "type"}
    assert words in error["message"]
    assert error["hint"]


@pytest.mark.parametrize(("method", "path", "status", "code"), [
    ("GET", "/nope", 404, "not_found"), ("GET", "/%ff%00", 404, "not_found"),
    ("GET", "/v1/classify", 405, "method_not_allowed")])
def test_wrong_paths(client: TestClient, method: str, path: str, status: int, code: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_half_an_emoji_is_a_text(client: TestClient) -> None:
    answer = client.post("/v1/classify", content=b'{"text": "the broken \\ud83d thing"}',
                         headers={"content-type": "application/json"})
    assert answer.json()["results"][0]["label"] == "negative"


def test_alive_before_ready(served_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, loaded = open_bundle(served_bundle.folder), threading.Event()
    monkeypatch.setattr(bundle, "warm", lambda: loaded.wait(20))
    with TestClient(make_app(bundle)) as client:
        assert (client.get("/health").status_code, client.get("/health").json()["ready"]) == (200, False)
        assert client.get("/ready").status_code == 503
        loaded.set()
        until(lambda: client.get("/ready").status_code == 200)
        assert client.get("/health").json() == {"status": "ok", "ready": True, "model": "reviews-1",
                                                "version": client.get("/openapi.json").json()["info"]["version"]}


def test_a_damaged_model_is_alive_never_ready_and_says_why(served_bundle: Bundle, monkeypatch: pytest.MonkeyPatch,
                                                           caplog: pytest.LogCaptureFixture) -> None:
    bundle = open_bundle(served_bundle.folder)

    def broken(*args: Any, **kw: Any) -> None:
        raise CorruptFile("weights is cut short.", "Copy it again.")

    monkeypatch.setattr(bundle, "warm", broken)
    monkeypatch.setattr(bundle, "predict", broken)
    with TestClient(make_app(bundle)) as client:
        until(lambda: "weights is cut short" in caplog.text)
        assert client.get("/health").json()["ready"] is False
        assert client.get("/ready").status_code == 503
        answer = client.post("/v1/classify", json={"text": "a"})
        assert answer.status_code == 500
        assert answer.json()["error"] == {"message": "weights is cut short.", "hint": "Copy it again.",
                                          "code": "corrupt_file", "type": "server_error"}


def test_a_defect_shows_no_details(served_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = open_bundle(served_bundle.folder)
    monkeypatch.setattr(bundle, "warm", lambda: None)
    monkeypatch.setattr(bundle, "predict", lambda *a, **k: 1 / 0)
    with TestClient(make_app(bundle), raise_server_exceptions=False) as client:
        answer = client.post("/v1/classify", json={"text": "a"})
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "division" not in answer.text


def test_a_full_queue_says_when_to_come_back(served_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, go_on, running = open_bundle(served_bundle.folder), threading.Event(), threading.Event()
    answer = bundle.predict

    def slow(*args: Any, **kw: Any) -> Any:
        running.set()
        assert go_on.wait(20)
        return answer(*args, **kw)

    def ask(text: str) -> Any:
        return client.post("/v1/classify", json={"text": text})

    with TestClient(make_app(bundle, Limits(max_waiting=2))) as client, ThreadPoolExecutor(3) as pool:
        until(lambda: client.get("/ready").status_code == 200)
        monkeypatch.setattr(bundle, "predict", slow)
        try:
            first = pool.submit(ask, "the broken thing")
            assert running.wait(20)
            others = [pool.submit(ask, "the lovely thing") for _ in range(2)]  # one place is left for the two
            done, waiting = wait(others, 20, FIRST_COMPLETED)
            assert (len(done), len(waiting)) == (1, 1)
            refused = done.pop().result()
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            assert refused.json()["error"] == {
                "message": "2 requests are waiting already.", "hint": "Send the request again in a second.",
                "code": "overloaded", "type": "rate_limit_error"}
            assert client.get("/health").status_code == 200
        finally:
            go_on.set()
        labels = [one.result(20).json()["results"][0]["label"] for one in (first, waiting.pop())]
        assert labels == ["negative", "positive"]
        assert ask("a").status_code == 200


def test_docs_load_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", page.text)
    assert "//" not in page.text.replace("<!doctype html>", "")
    for words in ("POST /v1/classify", "GET /health", "results[].confidence", "usage.characters", "The battery died"):
        assert words in page.text
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {"/v1/classify", "/health", "/ready"}


def test_labels_cannot_form_html(served_bundle: Bundle) -> None:
    bundle = open_bundle(served_bundle.folder)
    object.__setattr__(bundle.task, "labels", ("<script>alert(1)</script>", "b", "c"))
    with TestClient(make_app(bundle)) as client:
        assert "<script>alert" not in client.get("/docs").text
