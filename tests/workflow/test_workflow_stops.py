"""Runs that are stopped: killed, interrupted, out of disk or memory, two at once, offline; and gone on with."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from children import Children
from made_tables import QUICK, Table, table

from seedbed.errors import Busy, CorruptFile, Interrupted, NoResources, Offline, UserError
from seedbed.settings import settings
from seedbed.store import hold, open_store
from seedbed.train import ladder
from seedbed.workflow import RunConfig, candidates, job, resume, run

LORA = ["--model", "tiny-llama", "--candidates", "tfidf,lora", "--epochs", "4", "--patience", "8", "--rank", "64",
        "--train-layers", "4", "--batch-texts", "8", "--checkpoint-seconds", "0", "--no-learning-curve", "--quiet"]


@pytest.fixture(scope="module")
def children(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Children:
    """In a folder with a table, and a run that nothing stopped: `straight`."""
    made = Children(tmp_path_factory.mktemp("stops"), tiny_models)
    table(made.folder / "data.csv", 260, noise=0.2)
    made.run("run", "data.csv", *LORA, "--out", "straight")
    return made


def same(children: Children, name: str) -> None:
    """The run ended as the one that nothing stopped."""
    assert children.result(name) == children.result("straight")
    logits = [dict(np.load(children.folder / one / "candidates" / "lora" / "logits.npz")) for one in (
        name, "straight")]
    assert all(np.array_equal(logits[0][part], logits[1][part]) for part in ("selection", "test"))


def kill_and_go_on(children: Children, name: str, *moments: Callable[[], bool]) -> None:
    folder = children.folder / name
    words = ["run", "data.csv", *LORA, "--out", name]
    kept: dict[Path, int] = {}
    frozen = None
    for moment in moments:
        children.stop(words, moment)
        if (folder / "config.yaml").exists():
            words = ["run", "--resume", name, "--quiet"]
            frozen = frozen or (folder / "data.parquet").read_bytes()
            assert (folder / "data.parquet").read_bytes() == frozen
        for one, written in kept.items():
            assert one.stat().st_mtime_ns == written, "a finished candidate was trained again"
        kept = {one: one.stat().st_mtime_ns for one in folder.glob("candidates/*/candidate.json")
                if not one.parent.name.endswith(".part")}
    children.run(*words)
    assert all(one.stat().st_mtime_ns == written for one, written in kept.items())
    same(children, name)


@pytest.mark.slow
def test_killed_again_and_again_it_ends_as_if_nothing_had_happened(children: Children) -> None:
    kill_and_go_on(children, "killed", (children.folder / "killed" / "data.json").exists,
                   children.past("killed/candidates/lora/checkpoint", 30))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_random(children: Children) -> None:
    pick = random.Random(5)
    for number in range(5):
        there = children.folder / f"random-{number}" / "health.json"
        wait = pick.uniform(0, 4)

        def when(there: Path = there, wait: float = wait) -> bool:
            return there.exists() and time.time() - there.stat().st_mtime > wait
        kill_and_go_on(children, f"random-{number}", when)


@pytest.mark.slow
def test_interrupted_it_says_how_to_go_on(children: Children) -> None:
    said = children.stop(["run", "data.csv", *LORA, "--out", "stopped"],
                         children.past("stopped/candidates/lora/checkpoint", 5), signal.SIGINT)
    assert said.splitlines() == ["error: Stopped; what was done is kept in stopped.",
                                 "  try: Go on with: seedbed run --resume stopped"]
    listed = json.loads(children.run("runs", "--json").stdout)
    assert {one["name"]: one["state"] for one in listed}["stopped"] == "interrupted"
    children.run("run", "--resume", "stopped", "--quiet")
    same(children, "stopped")


@pytest.mark.slow
def test_a_full_disk_is_told_and_gone_on_from(children: Children) -> None:
    """The limit on a file's size stands for a full disk: the checkpoint of LoRA does not fit."""
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    full, words = children.folder / "full", ["run", "--resume", "full", "--quiet"]
    children.stop(["run", "data.csv", *LORA, "--out", "full"], (full / "config.yaml").exists)
    first, second = children.run(*words, code=5, preexec_fn=limit).stderr.splitlines()
    assert first.startswith("error: The disk is full: the checkpoint") and "resume" in second
    assert (full / "candidates" / "tfidf" / "candidate.json").is_file()
    children.run(*words)
    same(children, "full")


CHEAP = RunConfig(candidates=("majority", "tfidf"), learning_curve=False)


@pytest.mark.parametrize("where", ["freeze", "config", "candidate", "bundle", "result"])
def test_a_full_disk_at_every_step(where: str, make_table: Table, tmp_path: Path,
                                   monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any, **named: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")
    data, out = make_table(60), tmp_path / "out"
    with monkeypatch.context() as patch:
        module, name = {"freeze": (pq, "write_table"), "config": (job, "write_config"),
                        "candidate": (candidates.np, "savez"), "bundle": (job, "_bundle"),
                        "result": (job, "write")}[where]
        patch.setattr(module, name, full)
        with pytest.raises(NoResources) as caught:
            run(data, CHEAP, QUICK, out=out)
    assert "disk is full" in caught.value.message
    if where in ("freeze", "config"):  # not a run yet: it is started again in the same place
        assert "start" in caught.value.hint or "run it again" in caught.value.hint
        done = run(data, CHEAP, QUICK, out=out)
    else:
        assert f"--resume {out}" in caught.value.hint
        done = resume(out)
    assert done.result.winner.selection is not None and done.report.is_file()


def test_two_runs_in_one_folder(make_table: Table, tmp_path: Path) -> None:
    data = make_table(60)
    with hold(tmp_path / "out"), pytest.raises(Busy, match=str(os.getpid())):
        run(data, CHEAP, QUICK, out=tmp_path / "out")
    run(data, CHEAP, QUICK, out=tmp_path / "out")
    with hold(tmp_path / "out"), pytest.raises(Busy):
        resume(tmp_path / "out")
    with pytest.raises(UserError, match="holds a run already"):
        run(data, CHEAP, QUICK, out=tmp_path / "out")


def test_ctrl_c_before_anything_is_kept(make_table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*given: Any, **named: Any) -> Any:
        raise KeyboardInterrupt
    monkeypatch.setattr("seedbed.data.duplicates.find", stop)
    with pytest.raises(Interrupted, match="nothing was kept"):
        run(make_table(60), CHEAP, QUICK, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def stopped_in_lora(tiny_ladder: Path, make_table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that Ctrl-C stopped in the middle of LoRA."""
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        steps: list[float] = []

        class Stops:
            def __getattr__(self, name: str) -> Any:
                return lambda *given, **named: None

            def advance(self, work: str, amount: float = 1) -> None:
                if work == "fine-tune":
                    steps.append(amount)
                    if len(steps) == 9:
                        raise KeyboardInterrupt
        patch.setattr(candidates, "SPEED_SECONDS", 0.05)
        with pytest.raises(Interrupted):
            run(make_table(260), RunConfig(candidates=("tfidf", "lora"), learning_curve=False), QUICK, out=out,
                progress=Stops())
    return out


def test_a_damaged_checkpoint_is_told(stopped_in_lora: Path) -> None:
    checkpoint = stopped_in_lora / "candidates" / "lora" / "checkpoint"
    weights = checkpoint / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(CorruptFile) as caught:
        resume(stopped_in_lora)
    assert str(checkpoint) in caught.value.message and "Delete" in caught.value.hint


@pytest.mark.parametrize(("name", "told"), [("data.parquet", "was changed after it was frozen"),
                                            ("health.json", "cannot be read"), ("data.json", "cannot be read")])
def test_frozen_rows_that_were_changed_are_refused(stopped_in_lora: Path, name: str, told: str) -> None:
    path = stopped_in_lora / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptFile, match=told):
        resume(stopped_in_lora)


def test_going_on_needs_no_source(stopped_in_lora: Path) -> None:
    source = stopped_in_lora.parent / "data.csv"
    source.unlink()
    lines = (stopped_in_lora / "metrics.jsonl").read_text()
    done = resume(stopped_in_lora)
    assert {c.name for c in done.result.candidates if c.status == "trained"} == {"tfidf", "lora"}
    assert (stopped_in_lora / "metrics.jsonl").read_text().startswith(lines)
    with open_store() as store:
        assert store.run(str(stopped_in_lora)).state == "finished"


def test_no_memory_skips_a_rung_and_refuses_one_that_was_asked_for(tiny_ladder: Path, make_table: Table,
                                                                   tmp_path: Path,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDBED_MEMORY_LIMIT", "200000000")
    settings.cache_clear()
    data = make_table(260)
    result = run(data, RunConfig(learning_curve=False), QUICK, out=tmp_path / "out").result
    skipped = {c.name: c.reason for c in result.candidates if c.status == "skipped"}
    assert set(skipped) == {"embedding", "contrast", "encoder", "lora"}
    assert all("0.2 GB are free" in skipped[name] for name in ("embedding", "contrast", "lora"))
    assert sum(one.startswith("Not tried: ") for one in result.verdict.cautions) == 3
    with pytest.raises(NoResources, match=r"tiny-llama needs about .* GB of memory to train"):
        run(data, RunConfig(candidates=("tfidf", "lora")), QUICK, out=tmp_path / "asked")


def test_a_rung_that_runs_out_of_memory_costs_the_run_that_rung_only(tiny_ladder: Path, make_table: Table,
                                                                     tmp_path: Path,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(lesson: Any) -> Any:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")
    method = ladder._method
    monkeypatch.setattr(ladder, "_method", lambda name: no_memory if name == "embedding" else method(name))
    monkeypatch.setattr(ladder, "RUNGS", ladder.RUNGS[:3])
    data = make_table(60)
    config = RunConfig(learning_curve=False)
    result = run(data, config, QUICK, out=tmp_path / "out").result
    assert [(c.status, c.reason) for c in result.candidates][2] == ("failed", "the memory did not suffice")
    assert any("Not tried" in one and "memory" in one for one in result.verdict.cautions)
    with pytest.raises(NoResources, match="memory of this machine did not suffice"):
        run(data, RunConfig(learning_curve=False, candidates=("tfidf", "embedding")), QUICK, out=tmp_path / "asked")


def test_offline_skips_a_rung_and_refuses_one_that_was_asked_for(make_table: Table, tmp_path: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDBED_OFFLINE", "1")
    monkeypatch.setenv("SEEDBED_MODELS", str(tmp_path / "none"))
    settings.cache_clear()
    data = make_table(60)
    result = run(data, RunConfig(learning_curve=False), QUICK, out=tmp_path / "out").result
    by_name = {c.name: c for c in result.candidates}
    assert by_name["tfidf"].status == "trained"
    for name in ("embedding", "contrast"):
        assert by_name[name].status == "skipped"
        assert "seedbed models pull all-minilm-l6-v2" in by_name[name].reason
    for asked in (RunConfig(candidates=("tfidf", "embedding")), RunConfig(model="all-minilm-l6-v2")):
        with pytest.raises(Offline, match="all-minilm-l6-v2"):
            run(data, asked, QUICK, out=tmp_path / f"asked-{asked.model}")


def test_a_budget_that_ends_is_said(tiny_ladder: Path, make_table: Table, tmp_path: Path) -> None:
    result = run(make_table(260), RunConfig(budget="0.2s"), QUICK, out=tmp_path / "out").result
    late = [c.name for c in result.candidates if c.reason.startswith("the time budget had ended")]
    assert "lora" in late and result.candidates[0].status == "trained"
    assert any(one.startswith("Not tried: ") and "budget" in one for one in result.verdict.cautions)
