from __future__ import annotations

import os
import signal
import time
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from real_process import together

from seedbed.errors import NotFound
from seedbed.store import Store, open_store


def test_a_job_from_queue_to_result(store: Store) -> None:
    id = store.enqueue("train", {"data": "reviews.csv"})
    assert store.job(id).state == "queued"
    job = store.claim("w1")
    assert job and (job.id, job.payload, job.state, job.attempts, job.worker) == (
        id, {"data": "reviews.csv"}, "running", 1, "w1")
    assert store.claim("w2") is None
    assert store.heartbeat(job, {"done": 3, "total": 10})
    assert store.heartbeat(job)  # without news, the last progress stays
    assert store.job(id).progress == {"done": 3, "total": 10}
    assert store.end_job(job, "done", result={"winner": "tfidf"})
    ended = store.job(id)
    assert (ended.state, ended.result, ended.error) == ("done", {"winner": "tfidf"}, None)
    assert ended.ended and ended.ended.utcoffset() == timedelta(0)
    assert not store.heartbeat(job)
    assert not store.end_job(job, "failed", error="too late")
    assert store.job(id) == ended


def test_the_oldest_job_of_the_wanted_kinds_comes_first(store: Store) -> None:
    ids = [store.enqueue(kind, {}) for kind in ("train", "export", "train")]
    assert [j.id for j in store.jobs()] == ids[::-1]
    claimed = [store.claim("w", ["export"]), store.claim("w", ["export"]), store.claim("w"), store.claim("w")]
    assert [j and j.id for j in claimed] == [ids[1], None, ids[0], ids[2]]
    assert [j.id for j in store.jobs("running", limit=2)] == ids[:0:-1]


def test_a_failed_job_is_not_tried_again(store: Store) -> None:
    store.enqueue("train", {})
    job = store.claim("w")
    assert job and store.end_job(job, "failed", error="The label column is missing.")
    assert store.claim("w", stale_s=0) is None
    assert store.job(job.id).error == "The label column is missing."


def test_cancel_before_while_and_after(store: Store) -> None:
    waiting, working, done = (store.enqueue("train", {}) for _ in range(3))
    assert store.cancel_job(waiting).state == "cancelled"
    job = store.claim("w")
    assert job and job.id == working
    assert store.heartbeat(job)
    asked = store.cancel_job(working)
    assert (asked.state, asked.cancel_asked) == ("running", True)
    assert not store.heartbeat(job)
    assert store.end_job(job, "cancelled")
    other = store.claim("w")
    assert other and other.id == done and store.end_job(other, "done")
    assert store.cancel_job(done).state == "done"
    assert [store.job(id).state for id in (waiting, working, done)] == ["cancelled", "cancelled", "done"]
    assert store.claim("w") is None
    for unknown in (store.cancel_job, store.job):
        with pytest.raises(NotFound):
            unknown(999)


def test_a_silent_workers_job_goes_to_another_and_the_first_can_change_nothing(store: Store) -> None:
    store.enqueue("train", {}, max_attempts=2)
    first = store.claim("w1")
    assert first and store.claim("w2") is None
    time.sleep(0.01)
    second = store.claim("w1", stale_s=0)  # the same name: the attempt tells the claims apart
    assert second and (second.id, second.attempts, second.progress) == (first.id, 2, {})
    assert not store.heartbeat(first, {"done": 9})
    assert not store.end_job(first, "done", result={"by": "first"})
    assert store.job(first.id).progress == {}
    time.sleep(0.01)
    assert store.claim("w3", stale_s=0) is None
    given_up = store.job(first.id)
    assert (given_up.state, given_up.error) == ("failed", "Its worker died, 2 of 2 times.")


def test_a_cancelled_job_of_a_dead_worker_ends(store: Store) -> None:
    id = store.enqueue("train", {})
    assert store.claim("w1")
    store.cancel_job(id)
    time.sleep(0.01)
    assert store.claim("w2", stale_s=0) is None
    assert store.job(id).state == "cancelled"


def test_heartbeats_keep_a_job(store: Store) -> None:
    store.enqueue("train", {})
    job = store.claim("w1")
    assert job
    for _ in range(4):
        time.sleep(0.1)
        assert store.heartbeat(job)
        assert store.claim("w2", stale_s=5) is None
    assert store.job(job.id).attempts == 1


WORK = """
import os, sys, time
from seedbed.store import open_store
with open_store(sys.argv[1]) as store:
    job = store.claim("dies")
    print(job.id, flush=True)
    while True:
        store.heartbeat(job, {"done": 1})
"""


def test_a_worker_killed_amid_its_heartbeats_loses_the_job(url: str, start: Any) -> None:
    with open_store(url) as store:
        id = store.enqueue("train", {})
        worker = start(WORK, url)
        assert worker.stdout.readline() == f"{id}\n"
        time.sleep(0.2)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        time.sleep(0.05)
        job = store.claim("lives", stale_s=0.02)
        assert job and (job.id, job.attempts, job.worker) == (id, 2, "lives")
        assert store.end_job(job, "done")


CLAIM = """
import sys, threading
from seedbed.store import open_store
found = []
with open_store(sys.argv[1]) as store:
    def work(name):
        while job := store.claim(name):
            assert store.end_job(job, "done", result={"by": name})
            found.append((name, job.id))
    print("ready", flush=True)
    sys.stdin.readline()
    threads = [threading.Thread(target=work, args=(f"{sys.argv[2]}-{i}",)) for i in range(2)]
    [t.start() for t in threads]
    [t.join() for t in threads]
for name, id in found:
    print(name, id)
"""


def test_eight_workers_claim_each_job_exactly_once(url: str, start: Any) -> None:
    with open_store(url) as store:
        ids = [store.enqueue("train", {"n": n}) for n in range(120)]
        lines = [line.split() for line in together([start(CLAIM, url, n) for n in range(4)])]
        assert sorted(int(id) for _, id in lines) == ids
        assert Counter(job.state for job in store.jobs()) == {"done": 120}
        assert {job.id: job.result for job in store.jobs()} == {int(id): {"by": name} for name, id in lines}
        assert {job.attempts for job in store.jobs()} == {1}
