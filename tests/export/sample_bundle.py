"""A small real model, trained on generated texts, and a bundle of it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from seedbed.engines.linear import LinearText
from seedbed.evaluate.result import Abstention
from seedbed.export.bundle import Bundle, write
from seedbed.records import Estimate
from seedbed.tasks.classify import Classify

WORDS = {"negative": "broken awful refund slow dead leaking", "neutral": "box parcel monday street blue paper",
         "positive": "great lovely works happy fast solid"}
LABELS = tuple(WORDS)


def reviews(n: int, seed: int = 0) -> tuple[list[str], list[int]]:
    """Texts that a linear model can tell apart, and their class indices."""
    pick = random.Random(seed)
    targets = [pick.randrange(3) for _ in range(n)]
    return [f"the {pick.choice(WORDS[LABELS[t]].split())} {pick.choice(WORDS[LABELS[t]].split())} thing number "
            f"{pick.randrange(50)}" for t in targets], targets


def linear(multi_label: bool = False) -> LinearText:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.preprocessing import label_binarize

    texts, targets = reviews(200)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    matrix = vectorizer.fit_transform(texts)
    if multi_label:
        classifier: Any = OneVsRestClassifier(LogisticRegression(C=30)).fit(
            matrix, label_binarize(targets, classes=range(3)))
    else:
        classifier = LogisticRegression(C=30).fit(matrix, targets)
    return LinearText.from_sklearn([vectorizer], classifier, 3)


def make(folder: Path, **changes: Any) -> Bundle:
    """Write a bundle into `folder`."""
    multi_label = bool(changes.pop("multi_label", False))
    values: dict[str, Any] = {
        "task": Classify(LABELS, multi_label), "name": "reviews-1", "data_hash": "ab" * 32, "temperature": 1.5,
        "scores": {"macro_f1": Estimate(value=0.91, low=0.85, high=0.95, n=60)},
        "abstention": Abstention(target_error=0.05, threshold=0.6, coverage=None, error=None),
        "sample_texts": reviews(20, seed=2)[0], "card": "# A card\n", "licences": {"data": "CC0-1.0"}, **changes}
    if "classifier" not in values:
        values["classifier"] = linear(multi_label)
    return write(folder, **values)
