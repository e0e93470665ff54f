"""The main job on the real reviews with the real models, with the network blocked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from made_tables import SEEDBED

import seedbed

BLOCK = """
import os, socket
def refuse(real):
    def connect(self, address, *more):
        if self.family != socket.AF_UNIX and not str(address[0]).startswith(("127.", "::1", "localhost")):
            with open(os.environ["REFUSED"], "a") as file:
                file.write(f"{address}\\n")
            raise OSError(101, "Network is unreachable")
        return real(self, address, *more)
    return connect
socket.socket.connect, socket.socket.connect_ex = refuse(socket.socket.connect), refuse(socket.socket.connect_ex)
def look_up(host, *more, **named):
    with open(os.environ["REFUSED"], "a") as file:
        file.write(f"{host}\\n")
    raise OSError(101, "Network is unreachable")
socket.getaddrinfo = look_up
"""
"""Stands in for a cable that was pulled, and notes who tried: read by each child as `sitecustomize`."""


def run(place: Path, reviews: dict[str, Path], *more: str, wall: list[str] | None = None) -> dict[str, Any]:
    """`seedbed run` on the reviews in a child that no packet leaves; its result."""
    (place / "site").mkdir()
    (place / "site" / "sitecustomize.py").write_text(BLOCK)
    (place / "refused").touch()
    environment = {**os.environ, "PYTHONPATH": str(place / "site"), "REFUSED": str(place / "refused")}
    done = subprocess.run(
        [*(wall or []), *SEEDBED, "run", str(reviews["train"]), "--test", str(reviews["test"]), "--text", "review",
         "--label", "rating", "--out", "out", *more], cwd=place, env=environment, capture_output=True, text=True,
        check=False)
    assert done.returncode == 0, done.stderr
    assert (place / "refused").read_text() == "", "somebody tried to connect"
    result: dict[str, Any] = json.loads((place / "out" / "result.json").read_text())
    assert result["verdict"]["headline"] in done.stdout
    return result


def unshared() -> list[str] | None:
    """The words that take a command's network away, where this machine lets us."""
    words = ["unshare", "-rn"]
    try:
        allowed = subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        allowed = False
    return words if allowed else None


@pytest.mark.real
def test_the_block_refuses_what_it_should(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCK)
    code = "import socket; socket.create_connection(('192.0.2.1', 80), 2)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": str(tmp_path), "REFUSED": str(tmp_path / "refused")})
    assert "Network is unreachable" in done.stderr
    assert "192.0.2.1" in (tmp_path / "refused").read_text()


@pytest.mark.real
@pytest.mark.timeout(600)
def test_the_main_job_offline_on_real_reviews(tmp_path: Path, reviews: dict[str, Path], minilm_folder: Path) -> None:
    result = run(tmp_path, reviews, "--candidates", "majority,tfidf,embedding", "--no-learning-curve",
                 wall=unshared())
    by_name = {one["name"]: one for one in result["candidates"]}
    tfidf = by_name["tfidf"]["test"]["macro_f1"]
    assert tfidf["n"] == 379
    assert tfidf["value"] >= 0.45  # measured elsewhere: 0.435 plain, 0.496 with rare labels weighed up
    assert tfidf["low"] <= 0.50 and tfidf["high"] >= 0.48
    assert by_name["embedding"]["test"]["macro_f1"]["value"] >= 0.38  # 0.476 with other settings
    assert by_name["majority"]["test"]["macro_f1"]["value"] < 0.30
    assert by_name["majority"]["speed"] is None
    assert by_name["embedding"]["speed"]["texts_per_second"] > 1
    manifest = json.loads((tmp_path / "out" / "bundle" / "bundle.json").read_text())
    parity = manifest["engines"][0]["parity"]
    assert (parity["n"], parity["agreement"]) == (50, 1.0) and parity["max_probability_difference"] < 0.01
    bundle = seedbed.load(tmp_path / "out" / "bundle")
    labels = {one.label for one in bundle.predict(["It cured me, no side effects at all.", "It made me sick."])}
    assert labels <= {"positive", "neutral", "negative"}


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_whole_ladder_offline_on_real_reviews(tmp_path: Path, reviews: dict[str, Path],
                                                  real_models: dict[str, Path]) -> None:
    result = run(tmp_path, reviews)
    by_name = {one["name"]: one for one in result["candidates"]}
    trained = {name for name, one in by_name.items() if one["status"] == "trained"}
    assert trained >= {"majority", "tfidf", "embedding", "lora"}
    lora = by_name["lora"]
    assert lora["model"] == "smollm2-135m-instruct"
    assert lora["test"]["macro_f1"]["value"] >= 0.48
    assert lora["peak_memory"] < 4e9
    assert result["verdict"]["candidate"] != "majority"
    answers = seedbed.load(tmp_path / "out" / "bundle").predict(["It cured me, no side effects at all."])
    assert answers[0].label == "positive"
