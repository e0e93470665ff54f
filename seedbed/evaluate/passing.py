"""pass@k: how often one of k answers of a model that writes code passes the tests of its row."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from ..progress import SILENT, Progress
from .cases import figure, means
from .figures import Figure
from .intervals import Array
from .sandbox import Limits, run


def passed(samples: Sequence[Sequence[str]], tests: Sequence[str], limits: Limits = Limits(), *, workers: int = 2,
           progress: Progress = SILENT) -> NDArray[np.bool_]:
    """Whether each answer passes the tests of its row, run in the sandbox. [rows, samples]

    Args:
        samples: [rows][samples] programs, as many for each row. What comes before an answer (the beginning of the
            function) is part of them.
        tests: [rows] programs that raise where an answer is wrong.
        workers: programs that run at a time.
        progress: hears what the kernel could not keep from the code.

    Raises:
        ValueError: rows with different numbers of samples.
    """
    if len({len(row) for row in samples}) > 1:
        raise ValueError("every row has as many samples")
    jobs = [(code, test) for row, test in zip(samples, tests, strict=True) for code in row]
    work, found, told = "run tests", list[bool](), set[str]()
    progress.start(work, len(jobs), "programs")
    with ThreadPoolExecutor(workers) as pool:
        for outcome in pool.map(lambda job: run(job[0], job[1], limits), jobs):
            found.append(outcome.passed)
            told.update(outcome.unguarded)
            progress.advance(work, 1)
    progress.done(work)
    if told:
        progress.note(f"The code that was run was not kept from: {', '.join(sorted(told))}.")
    return np.array(found, bool).reshape(len(tests), len(samples[0]) if samples else 0)


def pass_at_k(passing: NDArray[np.bool_], k: int) -> Array:
    """Chance that one of k answers drawn without replacement from a row's passes. [rows, samples] -> [rows]

    The unbiased estimator of Chen et al. (2021), "Evaluating large language models trained on code":
    1 - C(n - c, k) / C(n, k), as a product.

    Raises:
        ValueError: fewer samples than k.
    """
    samples = passing.shape[1]
    if not 1 <= k <= samples:
        raise ValueError(f"pass@{k} of {samples} samples")
    wrong = samples - passing.sum(axis=1, keepdims=True)
    missed = np.clip(wrong - np.arange(k), 0, None) / (samples - np.arange(k))  # [rows, k]
    return np.asarray(1 - missed.prod(axis=1))


def figures(before: NDArray[np.bool_], after: NDArray[np.bool_], most: Sequence[int] = (1,), *,
            seed: int = 0) -> list[Figure]:
    """pass@k of two models on the same rows, for each k.

    Args:
        before, after: [rows, samples] of `passed`.
        most: the k.
    """
    return [figure(f"pass_at_{k}", f"pass@{k}, share of rows", means(pass_at_k(before, k)),
                   means(pass_at_k(after, k)), seed=seed) for k in most]
