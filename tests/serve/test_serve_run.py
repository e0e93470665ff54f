"""The server as a user starts it: a process, a port, signals."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from seedbed.errors import Busy, UserError
from seedbed.export.bundle import Bundle
from seedbed.serve.run import listen


@contextmanager
def server(bundle: Bundle, *flags: str) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    process = subprocess.Popen([sys.executable, "-m", "seedbed", "serve", str(bundle.folder), "--port", "0", *flags],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.search(r"http://[^/]+", said)
        assert found, said + (process.communicate(timeout=20)[1] if not said else "")
        with httpx.Client(base_url=found.group(), timeout=60, trust_env=False) as client:
            yield process, client
    finally:
        process.kill()
        process.wait()


def test_a_real_server_answers_many_at_once(served_bundle: Bundle) -> None:
    with server(served_bundle) as (_, client), ThreadPoolExecutor(8) as pool:
        texts = [f"the {'broken awful' if i % 2 else 'great lovely'} thing {i}" for i in range(60)]
        answers = list(pool.map(lambda t: client.post("/v1/classify", json={"text": t}).json(), texts))
        assert [a["results"][0]["label"] for a in answers] == ["positive", "negative"] * 30
        assert client.get("/ready").status_code == 200


SLOW = """
import sys, time
from pathlib import Path
from seedbed.export.bundle import open_bundle
from seedbed.serve.app import make_app
from seedbed.serve.run import listen, run
bundle = open_bundle(Path(sys.argv[1]))
bundle.warm()
answer, bundle.warm = bundle.predict, lambda: None
def slow(*args, **kw):
    print("running", flush=True)
    time.sleep(1)
    return answer(*args, **kw)
bundle.predict = slow
listening = listen("127.0.0.1", 0)
print(listening.getsockname()[1], flush=True)
run(make_app(bundle), listening)
"""


def test_what_is_under_way_is_answered_before_it_stops(served_bundle: Bundle) -> None:
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(served_bundle.folder)], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}/v1/classify"
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(httpx.post, url, json={"text": "the broken awful thing"}, timeout=60, trust_env=False)
            assert process.stdout.readline() == "running\n"
            process.send_signal(signal.SIGTERM)
            assert asked.result().json()["results"][0]["label"] == "negative"
        assert process.wait(30) == 0
        assert process.communicate()[1] == ""
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_being_told_to_stop_is_no_failure(served_bundle: Bundle, how: signal.Signals) -> None:
    with server(served_bundle) as (process, client):
        assert client.get("/health").status_code == 200
        process.send_signal(how)
        assert process.wait(30) == 0
        assert process.communicate()[1] == ""


def test_limits_are_flags(served_bundle: Bundle) -> None:
    with server(served_bundle, "--max-texts", "1") as (_, client):
        assert client.post("/v1/classify", json={"texts": ["a", "b"]}).status_code == 400


def test_a_port_in_use_is_two_lines(served_bundle: Bundle) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Busy, match=f"Port {port} on 127.0.0.1 is in use"):
            listen("127.0.0.1", port)
        words = ["serve", str(served_bundle.folder), "--port", str(port)]
        done = subprocess.run([sys.executable, "-m", "seedbed", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == Busy.exit_code
    assert done.stdout == ""
    assert done.stderr.splitlines()[0] == f"error: Port {port} on 127.0.0.1 is in use."
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(("host", "words"), [
    ("203.0.113.7", "is not an address of this machine"), ("no such host", "There is no host"),
    ("x" * 300, "There is no host")])
def test_hosts_that_cannot_be_used(host: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        listen(host, 0)
