"""Labels that are likely wrong: confident learning (Northcutt, Jiang and Chuang 2021, the cleanlab library) over the
cross-validated answers of a TF-IDF and logistic-regression baseline."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..progress import SILENT, Progress

FOLDS = 5
FEWEST_ROWS = 50
FEWEST_PER_LABEL = FOLDS
MOST_ROWS = 50_000
AGREEMENT = 0.9
"""The baseline is believed where it agrees with this share of the labels: where it is right on three rows of four, a
disagreement says more about the baseline than about the label."""
MOST_LABELS = 200
MOST_ANSWERS = 1_000_000
"""Rows times labels, which is what the time grows with: 50,000 rows of 20 labels, 5,000 rows of 200."""
UNSURE = "a simple baseline does not tell these labels apart well enough to judge them"
TOKEN = r"(?u)[\u0e00-\u0eff\u2e80-\u9fff\uf900-\ufaff]|\w+"
"""A word; in scripts without spaces each character, of which the pairs are terms too."""


@dataclass(frozen=True)
class Suspect:
    """A row whose label is likely wrong: its label and what the baseline says instead, several joined by ` + `.

    `doubt` is 1 minus the probability of the given label (for multi-label, of the least likely decision).
    """

    row: int
    given: str
    likely: str
    doubt: float


@dataclass(frozen=True)
class LabelErrors:
    """What was found, the most doubtful first, over how many rows; `skipped` says why nothing was looked for."""

    suspects: tuple[Suspect, ...] = ()
    looked_at: int = 0
    skipped: str = ""
    agreement: float = 0.0
    """Share of the labels that the baseline agrees with, among the rows where it is as sure as for the suspects."""


def find(texts: Sequence[str], targets: Sequence[Any], rows: NDArray[np.int64], *, seed: int = 0,
         progress: Progress = SILENT) -> LabelErrors:
    """Likely label errors among `rows`.

    Args:
        texts: every text.
        targets: every target: a label, or a list of labels for multi-label.
        rows: positions to judge: labelled, with text, and one of each duplicate, so that a copy in another fold
            cannot vouch for its own label.
        seed: of the folds, and of the sample when there are more than 50,000 rows (or rows times labels is large).
    """
    multi = any(isinstance(targets[r], list | tuple) for r in rows[:100])
    random = np.random.default_rng(seed)
    counts = Counter(label for r in rows for label in (targets[r] if multi else [targets[r]]))
    labels = sorted(label for label, n in counts.items() if n >= FEWEST_PER_LABEL)
    known = set(labels)
    rows = np.array([r for r in rows if (known.issuperset(targets[r]) if multi else targets[r] in known)], np.int64)
    if len(labels) < 2:
        return LabelErrors(skipped=f"fewer than two labels have {FEWEST_PER_LABEL} different texts")
    if len(rows) < FEWEST_ROWS:
        return LabelErrors(skipped=f"{len(rows)} different texts are too few, {FEWEST_ROWS} are needed")
    if len(labels) > MOST_LABELS:
        return LabelErrors(skipped=f"{len(labels)} labels are more than the baseline can tell apart ({MOST_LABELS})")
    most = min(MOST_ROWS, MOST_ANSWERS // len(labels))
    if len(rows) > most:
        rows = np.sort(random.choice(rows, most, replace=False))
    given = [sorted(set(targets[r])) if multi else [targets[r]] for r in rows]
    return _judge([texts[r] for r in rows], given, rows, labels, multi, seed, progress)


def _judge(texts: list[str], given: list[list[str]], rows: NDArray[np.int64], labels: list[str], multi: bool,
           seed: int, progress: Progress) -> LabelErrors:
    from cleanlab.filter import find_label_issues
    from sklearn.model_selection import KFold, StratifiedKFold

    place = {label: i for i, label in enumerate(labels)}
    coded = [[place[label] for label in one] for one in given]
    wanted = np.zeros((len(rows), len(labels)), np.int64)
    for i, one in enumerate(coded):
        wanted[i, one] = 1
    code = wanted.argmax(axis=1)  # [rows] the one label of each, where each has one
    if not multi and wanted.sum(axis=0).min() < 2:  # a sample may have left too few of a rare label
        return LabelErrors(skipped="a label is too rare in the sample")
    divide = (KFold if multi else StratifiedKFold)(FOLDS, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a label rarer than the folds: the folds without it manage
        folds = list(divide.split(rows, None if multi else code))
    answers = _cross_validated(texts, wanted if multi else code, len(labels), folds, progress)  # [rows, labels]
    if answers is None:
        return LabelErrors(skipped=UNSURE, looked_at=len(rows))
    if multi:
        right = np.where(wanted == 1, answers, 1 - answers)  # probability of each given decision
        doubt, confidence = 1 - right.min(axis=1), np.maximum(answers, 1 - answers).min(axis=1)
        agrees = np.all(right > 0.5, axis=1)
    else:
        doubt, confidence = 1 - answers[np.arange(len(rows)), code], answers.max(axis=1)
        agrees = answers.argmax(axis=1) == code
    sure, agreement = _believed(confidence, agrees)
    if not sure.any():
        return LabelErrors(skipped=UNSURE, looked_at=len(rows))
    order = find_label_issues(coded if multi else code, answers, multi_label=multi, filter_by="both", n_jobs=1,
                              return_indices_ranked_by="self_confidence")

    def likely(row: int) -> list[str]:
        return [labels[k] for k in np.flatnonzero(answers[row] > 0.5)] if multi else [labels[answers[row].argmax()]]

    return LabelErrors(tuple(Suspect(int(rows[i]), _named(given[i]), _named(likely(i)), float(doubt[i]))
                             for i in order if sure[i] and likely(i) != given[i]), len(rows), agreement=agreement)


def _named(labels: list[str]) -> str:
    return " + ".join(labels) or "no label"


def _believed(confidence: NDArray[np.float64], agrees: Any) -> tuple[NDArray[np.bool_], float]:
    """[rows] whether the baseline is so sure that, on rows where it is as sure or more, it agrees with enough labels;
    and the share that it agrees with there."""
    order = np.argsort(-confidence, kind="stable")
    share = np.cumsum(agrees[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero((share >= AGREEMENT) & (np.arange(len(order)) >= FEWEST_ROWS // 2))
    sure = np.zeros(len(order), bool)
    if not len(enough):
        return sure, 0.0
    sure[order[:enough[-1] + 1]] = True
    return sure, float(share[enough[-1]])


def _cross_validated(texts: list[str], wanted: NDArray[np.int64], labels: int, folds: list[Any],
                     progress: Progress) -> NDArray[np.float64] | None:
    """Probabilities [rows, labels] of a baseline that did not see the row; None where no two texts share a word."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    answers = np.zeros((len(texts), labels))
    try:  # terms and their weights are of all texts: they carry no label, so nothing leaks
        features = TfidfVectorizer(token_pattern=TOKEN, ngram_range=(1, 2), min_df=2, max_features=30_000,
                                   sublinear_tf=True, dtype=np.float32).fit_transform(text[:5000] for text in texts)
    except ValueError:
        return None
    work = "label errors"
    progress.start(work, FOLDS, "folds")
    for learn, judge in folds:
        model: Any = LogisticRegression(C=4, solver="newton-cg", max_iter=50,
                                        class_weight="balanced" if wanted.ndim == 1 else None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # not converged to the last digit, or a label absent from a fold
            if wanted.ndim == 1:
                model.fit(features[learn], wanted[learn])
                answers[np.ix_(judge, model.classes_)] = model.predict_proba(features[judge])
            else:
                answers[judge] = OneVsRestClassifier(model).fit(features[learn], wanted[learn]) \
                    .predict_proba(features[judge])
        progress.advance(work)
    progress.done(work)
    return answers
