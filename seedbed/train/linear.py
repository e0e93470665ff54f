"""The cheap rungs: the commonest answer, TF-IDF with a linear model, a linear head on frozen embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engines.constant import Constant
from ..engines.linear import LinearText, coefficients
from ..engines.transformer import TransformerHead
from ..errors import DataError
from .lesson import Fitted, Lesson

MANY = 20_000
"""Rows from which on the strength of regularization is not searched, and rare terms are left out."""
MOST = 200_000
"""Rows that a linear model learns from; more change it little and cost minutes."""
STRENGTHS = (0.1, 0.3, 1.0, 4.0, 16.0)


def majority(lesson: Lesson) -> Fitted:
    """The commonest answer, whatever the text."""
    counts = np.bincount(lesson.y, minlength=len(lesson.task.labels)) if not lesson.task.multi_label \
        else lesson.y.sum(0)
    share = (counts + 0.5) / (len(lesson.y) + 1)
    logits = np.log(share / (1 - share)) if lesson.task.multi_label else np.log(share)
    return Fitted(Constant(logits), len(counts), len(counts))


def tfidf(lesson: Lesson) -> Fitted:
    """Word and character n-grams weighted by TF-IDF, and logistic regression (Joachims 1998; Wang & Manning 2012).

    Raises:
        DataError: no text has a character, or every row has the same label.
    """
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    rows, note = _at_most(lesson, MOST)
    texts, y = [lesson.texts[i] for i in rows], lesson.y[rows]
    rare = 2 if len(texts) >= MANY else 1
    work = "learn TF-IDF"
    lesson.progress.start(work, 3, "parts")
    vectorizers = [TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=rare, max_features=300_000),
                   TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(2, 5), min_df=rare,
                                   max_features=300_000)]
    features, useful = [], []
    for vectorizer in vectorizers:
        try:
            features.append(vectorizer.fit_transform(texts))
            useful.append(vectorizer)
        except ValueError as problem:  # no term at all: texts of single characters have no words
            if not any(told in str(problem) for told in ("empty vocabulary", "no terms remain")):
                raise
        lesson.progress.advance(work)
    if not useful:
        raise DataError("The training texts are empty.", "Name the column that holds the text with --text.")
    fitted, chosen = _logistic(hstack(features).tocsr(), y, lesson)
    classifier = LinearText.from_sklearn(useful, fitted, len(lesson.task.labels))
    lesson.progress.done(work)
    count = sum(f.shape[1] for f in features) * len(lesson.task.labels)
    return Fitted(classifier, count, count, note=f"{chosen}{note}")


def embedding(lesson: Lesson) -> Fitted:
    """Logistic regression on the vectors of a sentence encoder that is not trained."""
    from ..models.backbone import Backbone
    backbone = Backbone.open(lesson.base, max_tokens=lesson.config.max_tokens)
    rows, note = _at_most(lesson, MOST)
    texts, y = [lesson.texts[i] for i in rows], lesson.y[rows]
    work = "embed texts"
    lesson.progress.start(work, len(texts), "texts")
    vectors = backbone.embed(texts, lambda n: lesson.progress.advance(work, n)).numpy()
    lesson.progress.done(work)
    head, chosen = logistic_head(vectors, y, lesson)
    body = sum(p.numel() for p in backbone.body.parameters())
    return Fitted(TransformerHead(backbone, *head), body + head[0].size, head[0].size, note=f"{chosen}{note}")


def logistic_head(vectors: NDArray[np.float32], y: NDArray[np.int64],
                  lesson: Lesson) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], str]:
    """Weight [labels, width] and bias [labels] of logistic regression on vectors [rows, width].

    Vectors are standardized first, and the scaling is folded into the weights.
    """
    mean, spread = vectors.mean(0), float(vectors.std(0).mean()) or 1.0
    fitted, chosen = _logistic((vectors - mean) / spread, y, lesson)
    weight, bias = coefficients(fitted, vectors.shape[1], len(lesson.task.labels))
    if len(weight) == 1 and len(lesson.task.labels) == 2:
        weight, bias = np.concatenate([-weight / 2, weight / 2]), np.concatenate([-bias / 2, bias / 2])
    weight = weight / spread
    return (weight.astype(np.float32), (bias - weight @ mean).astype(np.float32)), chosen


def _at_most(lesson: Lesson, most: int) -> tuple[NDArray[np.int64], str]:
    if len(lesson.texts) <= most:
        return np.arange(len(lesson.texts)), ""
    rows = np.sort(np.random.default_rng(lesson.seed).choice(len(lesson.texts), most, replace=False))
    return rows, f"; learned from {most:,} of {len(lesson.texts):,} rows"


def _logistic(features: Any, y: NDArray[np.int64], lesson: Lesson) -> tuple[Any, str]:
    """`_search`, on as many columns as there are rows when features are more.

    With an L2 penalty the weights are a mix of the rows (representer theorem, Kimeldorf & Wahba 1971), so rotating
    600,000 sparse columns onto the rows' own axes changes no answer and takes a minute down to a second.
    """
    from threadpoolctl import threadpool_limits
    rows, columns = features.shape
    if columns <= rows or rows > 3000:
        with threadpool_limits(1):  # small products: threads that wait for each other take ten times as long
            return _search(features, y, lesson)
    products = features @ features.T
    with threadpool_limits(1):
        lengths, axes = np.linalg.eigh(products.toarray() if hasattr(products, "toarray") else products)
        kept = lengths > lengths[-1] * 1e-7
        axes, spread = axes[:, kept], np.sqrt(lengths[kept])  # [rows, axes], [axes]
        fitted, chosen = _search(axes * spread, y, lesson)
    for one in getattr(fitted, "estimators_", [fitted]):
        if hasattr(one, "coef_"):
            one.coef_ = np.asarray(features.T @ ((axes / spread) @ one.coef_.T)).T
    return fitted, chosen


def _search(features: Any, y: NDArray[np.int64], lesson: Lesson) -> tuple[Any, str]:
    """Logistic regression; its strength and whether rare labels are weighed up are chosen by cross-validation."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.model_selection import KFold, StratifiedKFold
    from sklearn.multiclass import OneVsRestClassifier
    multi = lesson.task.multi_label
    if not multi and len(np.unique(y)) < 2:
        raise DataError(f"Every training row has the same label, {lesson.task.labels[int(y[0])]!r}.",
                        "Add rows with other labels to the training split.")

    def make(strength: float, weight: str | None) -> Any:
        one = LogisticRegression(C=strength, class_weight=weight, max_iter=1000 if len(y) < MANY else 200)
        return OneVsRestClassifier(one) if multi else one

    options: list[tuple[float, str | None]] = [(c, w) for c in STRENGTHS for w in (None, "balanced")]
    smallest = int(y.sum(0).min() if multi else np.bincount(y)[np.unique(y)].min())
    if len(y) >= MANY or min(smallest, len(y) // 2) < 2:
        best: tuple[float, str | None] = (4.0, "balanced")
    else:
        count = min(5, smallest) if not multi else 5
        folds = (KFold if multi else StratifiedKFold)(count, shuffle=True, random_state=lesson.seed)
        places = list(folds.split(np.zeros(len(y)), y if not multi else None))
        scores = dict.fromkeys(options, 0.0)
        for option in options:
            guesses = np.zeros_like(y)
            for train, held in places:
                guesses[held] = make(*option).fit(features[train], y[train]).predict(features[held])
            scores[option] = float(f1_score(y, guesses, average="macro", zero_division=0))
        best = max(options, key=lambda option: scores[option])  # of equals the stronger regularization
    chosen = f"C {best[0]:g}{', rare labels weighed up' if best[1] else ''}"
    return make(*best).fit(features, y), chosen
