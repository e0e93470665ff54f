"""The verb `runs`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seedbed.cli import main
from seedbed.settings import settings
from seedbed.store import open_store

HASH = "ab" * 32


@pytest.fixture
def two_runs(tmp_path: Path) -> None:
    with open_store() as store:
        store.record_dataset(HASH, "reviews.csv", {"train": 4200, "test": 90})
        for n, cases in enumerate((90, 12)):
            id = store.start_run(f"reviews-{n}", tmp_path / str(n), "classify", HASH, {"seed": n}, metric="macro_f1")
            for name, value in (("majority", 0.25), ("tfidf", 0.5)):
                store.record_scores(id, name, "test", "macro_f1", value, value - 0.12, value + 0.12, cases)
            store.record_bundle(id, tmp_path / str(n) / "bundle", 1, "cd" * 32)
            store.finish_run(id, "finished", "tfidf", 75.0)
        store.start_run("reviews-2", tmp_path / "2", "classify", None, {}, metric="macro_f1")


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(["runs", *words]) == code
    captured = capsys.readouterr()
    return (captured.err if code else captured.out).replace("\u202f", " ")


def told(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    return json.loads(said(capsys, *words))


def test_without_runs_it_says_where_it_looked(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert said(capsys) == f"There are no runs yet in {home / 'seedbed.sqlite'}.\n"
    assert told(capsys, "--json") == []


@pytest.mark.usefixtures("two_runs")
def test_the_list_shows_each_winner_with_its_interval(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys).splitlines()
    assert len(lines) == 4
    assert lines[1].startswith("reviews-2 ") and "–" in lines[1] and lines[1].endswith("running")
    assert "tentative" in lines[2] and "12 texts" in lines[2] and "0.38 to 0.62" in lines[2]
    assert "0.500" in lines[3] and "90 texts" in lines[3] and "tentative" not in lines[3]
    assert len(said(capsys, "--limit", "1").splitlines()) == 2
    rows = told(capsys, "--json", "-n", "2")
    assert [(r["name"], r["state"]) for r in rows] == [("reviews-2", "running"), ("reviews-1", "finished")]
    assert rows[1]["score"]["score"]["n"] == 12 and rows[1]["started"].endswith("Z")


@pytest.mark.usefixtures("two_runs")
def test_show_tells_all_of_one_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = said(capsys, "show", "reviews-0")
    for part in ("reviews-0: finished, took 1 min 15 s", "reviews.csv (train 4 200, test 90; hash abababababab)",
                 "tfidf, chosen by macro-F1", str(tmp_path / "0" / "bundle"), "majority"):
        assert part in text
    assert said(capsys, "show", str(tmp_path / "0")) == text
    assert "running, started" in said(capsys, "show", "reviews-2")
    one = told(capsys, "show", "reviews-0", "--json")
    assert one["config"] == {"seed": 0} and len(one["scores"]) == 2 and one["dataset"]["rows"]["train"] == 4200


@pytest.mark.usefixtures("two_runs")
def test_an_unknown_run_and_a_broken_database_are_two_lines(capsys: pytest.CaptureFixture[str], home: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    error = said(capsys, "show", "reviews-9", code=2)
    assert len(error.splitlines()) == 2 and "'reviews-9'" in error and "reviews-0" in error
    monkeypatch.setenv("SEEDBED_DATABASE", "postgresql://me:hush-4711@127.0.0.1:1/db")
    settings.cache_clear()
    error = said(capsys, code=2)
    assert len(error.splitlines()) == 2 and "127.0.0.1:1/db" in error and "hush" not in error
