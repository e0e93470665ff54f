"""Several real processes on one database, and one killed in the midst of writing."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

from real_process import together
from sqlalchemy import text

from seedbed.store import open_store

WRITE = """
import sys
from pathlib import Path
from seedbed.store import open_store
url, folder, runs = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
with open_store(url) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(runs):
        store.record_dataset("ab" * 32, "reviews.csv", {"train": n})
        id = store.start_run(f"run-{n}", folder / str(n), "classify", "ab" * 32, {"n": n}, metric="macro_f1")
        store.record_scores(id, "tfidf", "test", "macro_f1", 0.5, 0.4, 0.6, 90)
        store.finish_run(id, "finished", "tfidf", 1.0)
        assert store.run(str(folder / str(n))).config == {"n": n}
"""


def test_processes_that_write_at_once_lose_nothing(url: str, tmp_path: Path, start: Any) -> None:
    together([start(WRITE, url, tmp_path / str(n), 25) for n in range(3)])
    with open_store(url) as store:
        runs = store.runs()
        assert len(runs) == len({run.id for run in runs}) == len({run.folder for run in runs}) == 75
        assert {(run.state, run.score and run.score.score.n) for run in runs} == {("finished", 90)}


KILLED = """
import sys
from pathlib import Path
from sqlalchemy import insert
from seedbed.store import open_store
from seedbed.store.tables import examples
with open_store(sys.argv[1]) as store:
    n = 0
    while True:
        with store._write() as connection:  # one transaction: all ten rows or none
            for part in range(10):
                connection.execute(insert(examples).values(
                    id=f"{sys.argv[2]}-{n}-{part}", source="x" * 2000, inputs={}))
        n += 1
        print(n, flush=True)
"""


def test_a_process_killed_while_it_writes_harms_nothing(url: str, start: Any) -> None:
    chance = random.Random(0)
    told = 0
    for attempt in range(3):
        process = start(KILLED, url, attempt)
        process.stdout.readline()
        time.sleep(chance.uniform(0.05, 0.3))
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().splitlines(keepends=True)
        process.wait()
        told += 1 + sum(line.endswith("\n") for line in rest)
        with open_store(url) as store:
            count = len(store.unanswered())
            assert count % 10 == 0
            assert count >= 10 * told  # what was told to be written is written
            if url.startswith("sqlite"):
                with store._read() as connection:
                    assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
            store.add_example("after", {}, "the next writer does not wait")
            with store._write() as connection:
                connection.execute(text("DELETE FROM examples WHERE id = 'after'"))


def test_a_reader_does_not_wait_for_a_writer(url: str) -> None:
    with open_store(url) as writer, open_store(url) as reader, writer._write() as connection:
        connection.execute(text("INSERT INTO actors (name, kind) VALUES ('ana', 'person')"))
        began = time.monotonic()
        assert reader.runs() == []
        assert time.monotonic() - began < 5
