"""Read, check and split a million short rows: seconds by step and the peak of memory, in a process of its own.

    python benchmarks/data.py                # 1,000,000 rows
    python benchmarks/data.py --rows 100000

The rows are made, seeded: words of a Zipf law, four labels that the words tell apart with some noise, 2 % exact
duplicates and 3 % with one word changed, 1 % with personal data. Where datasketch is installed, its MinHash LSH
(without verifying pairs) finds near duplicates of the same first rows, to compare with.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

WORDS, LABELS = 30_000, ("billing", "delivery", "praise", "returns")
PERSONAL = (
    "write to {}@example.com", "call me at +44 20 7946 0{}", "my card is 4111 1111 1111 1111", "DNI 12345678Z")
COMPARED = 20_000


def make(path: Path, rows: int, seed: int = 0) -> None:
    """Write the rows as CSV."""
    random = np.random.default_rng(seed)
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    words = ["".join(random.choice(letters, size)) for size in random.integers(2, 11, WORDS)]
    weights = 1 / np.arange(1, WORDS + 1)
    label = random.integers(0, len(LABELS), rows)
    lengths = random.integers(5, 20, rows)
    drawn = random.choice(WORDS, int(lengths.sum()), p=weights / weights.sum())
    telling = random.random(len(drawn)) < 0.4  # words that only this label uses
    drawn = np.where(telling, drawn // 4 * 4 + np.repeat(label, lengths), drawn) % WORDS
    ends = np.cumsum(lengths)
    kind = random.random(rows)
    texts: list[str] = []
    for row in range(rows):
        mine = [words[w] for w in drawn[ends[row] - lengths[row]:ends[row]]]
        if row > 100 and kind[row] < 0.05:
            other = int(random.integers(row))
            label[row] = label[other]
            mine = texts[other].split()
            if kind[row] >= 0.02:
                mine[int(random.integers(len(mine)))] = words[int(random.integers(WORDS))]
        elif kind[row] > 0.99:
            mine.append(PERSONAL[row % len(PERSONAL)].format(100 + row % 900))
        texts.append(" ".join(mine))
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["text", "label"])
        out.writerows((text, LABELS[k]) for text, k in zip(texts, label, strict=True))


def measure(path: Path) -> dict[str, Any]:
    """In this process: read, find duplicates, check, split."""
    from seedbed.data.check import check
    from seedbed.data.duplicates import find
    from seedbed.data.read import read
    from seedbed.data.split import split
    from seedbed.machine import peak_memory

    seconds: dict[str, float] = {}
    peaks: dict[str, float] = {}

    def timed(name: str, work: Any) -> Any:
        start = time.perf_counter()
        result = work()
        seconds[name] = time.perf_counter() - start
        peaks[name] = peak_memory() / 1e9
        return result

    reading = timed("read", lambda: read(path, text="text", label="label"))
    found = timed("duplicates", lambda: find(reading.dataset.texts))
    health = timed("the rest of check", lambda: check(reading, duplicates=found))
    timed("split", lambda: split(reading.dataset, clusters=found.near.tolist()))
    return {"seconds": seconds, "peaks": peaks, "findings": [f"{f.code}: {f.message}" for f in health.findings]}


def compare(path: Path) -> dict[str, Any] | None:
    """Seconds and clusters of the first rows by seedbed and by datasketch; None when datasketch is not installed."""
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError:
        return None
    from seedbed.data.duplicates import find, normalise

    with path.open(newline="", encoding="utf-8") as file:
        texts = [row["text"] for row, _ in zip(csv.DictReader(file), range(COMPARED), strict=False)]
    start = time.perf_counter()
    ours = find(texts)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    index, near = MinHashLSH(threshold=0.8, num_perm=80), 0
    for row, text in enumerate(normalise(texts).to_pylist()):
        sketch = MinHash(num_perm=80)
        sketch.update_batch({text[i:i + 4].encode() for i in range(max(1, len(text) - 3))})
        near += bool(index.query(sketch))
        index.insert(row, sketch)
    return {"rows": len(texts), "seedbed": seconds, "datasketch": time.perf_counter() - start,
            "seedbed repeats": int((ours.near != np.arange(len(texts))).sum()), "datasketch repeats": near}


def child(step: str, path: Path) -> Any:
    """Run a step in a fresh process, so that its memory is its own."""
    done = subprocess.run([sys.executable, __file__, "--step", step, "--file", str(path)], check=True,
                          capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--step", choices=("measure", "compare"))
    arguments.add_argument("--file", type=Path)
    given = arguments.parse_args()
    if given.step:
        print(json.dumps(measure(given.file) if given.step == "measure" else compare(given.file)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        make(path, given.rows)
        print(f"{given.rows:,} rows, {path.stat().st_size / 1e6:.0f} MB, {platform.machine()}, "
              f"Python {platform.python_version()}")
        told = child("measure", path)
        for name, seconds in told["seconds"].items():
            print(f"{name:20} {seconds:8.1f} s   peak so far {told['peaks'][name]:.2f} GB")
        print(f"{'all':20} {sum(told['seconds'].values()):8.1f} s   peak {max(told['peaks'].values()):.2f} GB")
        for message in told["findings"]:
            print(f"  {message}")
        if beside := child("compare", path):
            print(f"near duplicates of {beside['rows']:,} rows: seedbed {beside['seedbed']:.1f} s "
                  f"({beside['seedbed repeats']:,} found, verified), datasketch {beside['datasketch']:.1f} s "
                  f"({beside['datasketch repeats']:,}, not verified): {beside['datasketch'] / beside['seedbed']:.0f} "
                  "times as fast")
        else:
            print("datasketch is not installed: nothing to compare near duplicates with")


if __name__ == "__main__":
    main()
