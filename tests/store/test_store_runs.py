from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from real_process import output

from seedbed.errors import NotFound
from seedbed.records import Estimate
from seedbed.store import Store, open_store

HASH = "ab" * 32


def begin(store: Store, folder: Path, name: str = "reviews-1", **more: Any) -> int:
    store.record_dataset(HASH, "reviews.csv", {"train": 420, "validation": 90, "test": 90})
    return store.start_run(name, folder, "classify", HASH, {"seed": 0, "model": None}, metric="macro_f1", **more)


def test_a_run_is_told_back_whole(store: Store, tmp_path: Path) -> None:
    before = datetime.now(UTC)
    id = begin(store, tmp_path / "r")
    for candidate, value in (("majority", 0.25), ("tfidf", 0.5)):
        for split, n in (("validation", 90), ("test", 90)):
            store.record_scores(id, candidate, split, "macro_f1", value, value - 0.1, value + 0.1, n)
            store.record_scores(id, candidate, split, "accuracy", 0.7, 0.6, 0.8, n)
    store.record_bundle(id, tmp_path / "r" / "bundle", 1, "cd" * 32)
    assert store.run("reviews-1").state == "running"
    store.finish_run(id, "finished", "tfidf", 12.5, {"headline": "It works — ça va 日本"})

    run = store.run("reviews-1")
    assert (run.id, run.state, run.winner, run.seconds, run.pid) == (id, "finished", "tfidf", 12.5, os.getpid())
    assert run.config == {"seed": 0, "model": None}
    assert run.result == {"headline": "It works — ça va 日本"}
    assert run.dataset and run.dataset.rows == {"train": 420, "validation": 90, "test": 90}
    assert len(run.scores) == 8
    assert [(b.path, b.format, b.hash) for b in run.bundles] == [(str(tmp_path / "r" / "bundle"), 1, "cd" * 32)]
    assert run.score and run.score.split == "test" and run.score.metric == "macro_f1"
    assert run.score.score == Estimate(value=0.5, low=0.4, high=0.6, n=90)
    assert run.finished
    for moment in (run.started, run.finished, run.dataset.recorded):
        assert moment.utcoffset() == timedelta(0)
        assert abs(moment - before) < timedelta(minutes=2)
    assert [r.model_dump() for r in store.runs()] == [run.model_dump(include=set(type(store.runs()[0]).model_fields))]


def test_records_are_frozen_and_plain(store: Store, tmp_path: Path) -> None:
    begin(store, tmp_path)
    run = store.runs()[0]
    with pytest.raises(ValueError, match="frozen"):
        run.state = "finished"  # type: ignore[misc]
    store.close()
    assert run.name == "reviews-1"  # nothing is read later


def test_the_newest_run_comes_first_and_a_folder_names_a_run(store: Store, tmp_path: Path,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [begin(store, tmp_path / str(i), name="same") for i in range(5)]
    assert [run.id for run in store.runs()] == ids[::-1]
    assert [run.id for run in store.runs(limit=2)] == ids[:2:-1]
    assert store.run("same").id == ids[-1]
    assert store.run(str(tmp_path / "1")).id == ids[1]
    monkeypatch.chdir(tmp_path)
    assert store.run("./2").id == ids[2]


def test_an_unknown_run_names_those_alike(store: Store, tmp_path: Path) -> None:
    begin(store, tmp_path)
    with pytest.raises(NotFound) as caught:
        store.run("review-1")
    assert "'review-1'" in caught.value.message
    assert "reviews-1" in caught.value.hint
    with pytest.raises(NotFound):
        store.finish_run(999, "failed")


def test_resume_keeps_scores_and_a_new_run_forgets_them(store: Store, tmp_path: Path) -> None:
    first = begin(store, tmp_path)
    store.record_scores(first, "tfidf", "test", "macro_f1", 0.5, 0.4, 0.6, 90)
    store.record_bundle(first, tmp_path / "bundle", 1, "cd" * 32)
    store.finish_run(first, "interrupted")
    started = store.run("reviews-1").started
    assert begin(store, tmp_path, resume=True) == first
    run = store.run("reviews-1")
    assert (run.state, run.finished, run.started, len(run.scores)) == ("running", None, started, 1)

    again = begin(store, tmp_path)
    run = store.run("reviews-1")
    assert (run.id, run.scores, run.bundles, len(store.runs())) == (again, [], [], 1)
    assert begin(store, tmp_path / "never", resume=True) != again  # nothing to resume: a new run


def test_a_score_recorded_twice_counts_once(store: Store, tmp_path: Path) -> None:
    id = begin(store, tmp_path)
    store.record_scores(id, "tfidf", "test", "macro_f1", 0.1, 0.0, 0.2, 10)
    store.record_scores(id, "tfidf", "test", "macro_f1", 0.5, 0.4, 0.6, 90)
    assert [(s.score.value, s.score.n) for s in store.run("reviews-1").scores] == [(0.5, 90)]


def test_the_score_shown_is_on_test_else_cross_validation_else_validation(store: Store, tmp_path: Path) -> None:
    id = begin(store, tmp_path)
    store.finish_run(id, "finished", "tfidf")
    for split in ("validation", "cross-validation", "test"):
        assert (found := store.runs()[0].score) is None or found.split != split
        store.record_scores(id, "tfidf", split, "macro_f1", 0.5, 0.4, 0.6, 90)
        store.record_scores(id, "majority", split, "macro_f1", 0.9, 0.8, 1.0, 90)
        shown = store.runs()[0].score
        assert shown and (shown.split, shown.candidate) == (split, "tfidf")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_that_is_no_number_is_refused(store: Store, tmp_path: Path, value: float) -> None:
    id = begin(store, tmp_path)
    with pytest.raises(ValueError, match="tfidf on test"):
        store.record_scores(id, "tfidf", "test", "macro_f1", value, 0.0, 1.0, 90)
    with pytest.raises(ValueError, match="JSON compliant"):
        store.finish_run(id, "finished", result={"loss": value})
    assert store.run("reviews-1").state == "running"


def test_what_refers_to_nothing_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="refused"):
        store.start_run("x", tmp_path, "classify", HASH, {}, metric="macro_f1")
    with pytest.raises(ValueError, match="refused"):
        store.record_scores(7, "tfidf", "test", "macro_f1", 0.5, 0.4, 0.6, 90)
    with pytest.raises(ValueError, match="refused"):
        store.record_bundle(7, tmp_path, 1, "cd" * 32)
    id = store.start_run("x", tmp_path, "classify", None, {}, metric="macro_f1")
    assert store.run("x").dataset is None
    with pytest.raises(ValueError, match="refused"):
        store.finish_run(id, "winning")  # type: ignore[arg-type]


RUN = """
import sys, time
from pathlib import Path
from seedbed.store import open_store
with open_store(sys.argv[1]) as store:
    store.start_run("killed", Path(sys.argv[2]), "classify", None, {}, metric="macro_f1")
    print("started", flush=True)
    time.sleep(60)
"""


def test_a_run_whose_process_was_killed_is_interrupted(url: str, tmp_path: Path, start: Any) -> None:
    process = start(RUN, url, tmp_path)
    assert process.stdout.readline() == "started\n"
    with open_store(url) as store:
        assert [(r.state, r.pid) for r in store.runs()] == [("running", process.pid)]
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, but still in the list of processes
        assert store.runs()[0].state == "interrupted"
        process.wait()
        assert store.runs()[0].state == "interrupted"
        assert store.run("killed").state == "interrupted"


def test_a_process_number_used_again_does_not_revive_a_run(store: Store, tmp_path: Path,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    import seedbed.store.runs as module

    monkeypatch.setattr(module, "born", lambda pid: "boot:1")
    begin(store, tmp_path)
    monkeypatch.setattr(module, "born", lambda pid: "boot:2")  # the same number, another process
    assert store.runs()[0].state == "interrupted"
    monkeypatch.setattr(module.platform, "node", lambda: "another-machine")
    assert store.runs()[0].state == "running"  # what cannot be looked at is believed


def test_opening_takes_the_settings_database(home: Path, start: Any) -> None:
    code = "from seedbed.store import open_store\nwith open_store() as s: print(s.where, len(s.runs()))"
    assert output(start(code)) == f"{home / 'seedbed.sqlite'} 0\n"
