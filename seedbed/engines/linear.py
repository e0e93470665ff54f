"""TF-IDF with a linear model, scored by scikit-learn's own vectorizer and one matrix product.

Nothing is pickled: a pickle runs code when it is opened and is bound to one scikit-learn version. The terms are
stored as JSON in index order, the idf (float64) and the coefficients (float32) as safetensors.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFile
from ..tasks.classify import Floats
from .base import KIND_FILE, kind_text, read_kind

OPTIONS = ("analyzer", "ngram_range", "lowercase", "strip_accents", "token_pattern", "stop_words", "binary", "norm",
           "use_idf", "sublinear_tf")
"""What decides how a text becomes numbers once the terms are known."""
MAX_CHARACTERS = 100_000
"""Only this much of a text's beginning is scored: the n-grams of a 10 MB cell would fill gigabytes."""
CHUNK_CHARACTERS = 2_000_000
CHUNK_TEXTS = 2048
NEVER = 30.0
"""Logit of a label that no training row had (minus), or that every row had in multi-label training (plus)."""
WEIGHTS = "weights.safetensors"


class LinearText:
    """Term weights times coefficients. Built by `from_sklearn` or `load`.

    Args:
        options: one dict of `OPTIONS` a vectorizer.
        terms: one list of terms a vectorizer, in index order.
        idf: one array [terms] a vectorizer, None where `use_idf` is off.
        coef: [columns, all terms], vectorizers one after the other.
        intercept: [columns]. One column means two labels: the score of the second over the first.
    """

    kind = "linear"

    def __init__(self, options: Sequence[dict[str, Any]], terms: Sequence[list[str]],
                 idf: Sequence[NDArray[np.float64] | None], coef: NDArray[Any], intercept: NDArray[Any]) -> None:
        self._options, self._terms, self._idf = list(options), list(terms), list(idf)
        self._coef = np.ascontiguousarray(coef, np.float32)
        self._intercept = np.asarray(intercept, np.float64)
        edges = np.cumsum([0, *map(len, terms)])
        if self._coef.shape != (len(self._intercept), edges[-1]):
            raise ValueError(f"coefficients are {self._coef.shape}, not {(len(self._intercept), int(edges[-1]))}")
        if not (np.isfinite(self._coef).all() and np.isfinite(self._intercept).all()):
            raise ValueError("coefficients are not finite")
        # float32 on disk, float64 in memory: scipy would otherwise convert the whole matrix at every call.
        weights = np.ascontiguousarray(self._coef.T, np.float64)  # [all terms, columns]
        self._weights = [weights[a:b] for a, b in pairwise(edges)]
        self._vectorizers = [_vectorizer(*parts) for parts in zip(options, terms, idf, strict=True)]

    @classmethod
    def from_sklearn(cls, vectorizers: Sequence[Any], classifier: Any, classes: int | None = None) -> LinearText:
        """Take over fitted scikit-learn parts.

        Args:
            vectorizers: fitted `TfidfVectorizer`s, in the order in which their features were stacked.
            classifier: anything fitted with `coef_` and `intercept_` (LogisticRegression, LinearSVC, SGDClassifier,
                RidgeClassifier), or a `OneVsRestClassifier` of such, which is also the multi-label form.
            classes: number of labels of the task. Needed when the training rows lacked one: its `classes_` are then
                the task's class indices, and the missing labels get a score that never wins.

        Raises:
            TypeError: a part that cannot be written down without pickle.
        """
        options, terms, idf = [], [], []
        for one in vectorizers:
            values = {name: getattr(one, name) for name in OPTIONS}
            if any(callable(v) for v in (*values.values(), one.preprocessor, one.tokenizer)):
                raise TypeError("a vectorizer with a function of its own cannot be saved without pickle")
            if not isinstance(values["stop_words"], str | None):
                values["stop_words"] = sorted(values["stop_words"])
            options.append({**values, "ngram_range": list(values["ngram_range"])})
            terms.append(sorted(one.vocabulary_, key=one.vocabulary_.__getitem__))
            idf.append(np.asarray(one.idf_, np.float64) if values["use_idf"] else None)
        coef, intercept = coefficients(classifier, sum(map(len, terms)), classes)
        return cls(options, terms, idf, coef, intercept)

    def logits(self, texts: Sequence[str]) -> Floats:
        """[texts, labels]: the classifier's `decision_function`; with two labels -d/2 and d/2, so that softmax gives
        the sigmoid of d. Only the first `MAX_CHARACTERS` of a text count."""
        parts = [sum((v.transform(chunk) @ w for v, w in zip(self._vectorizers, self._weights, strict=True)),
                     self._intercept) for chunk in _chunks(texts)]
        scores = np.concatenate(parts) if parts else np.zeros((0, len(self._intercept)))
        if scores.shape[1] == 1:
            scores = np.hstack([-scores / 2, scores / 2])
        return np.asarray(scores, np.float32)

    def _files(self) -> dict[str, bytes]:
        from safetensors.numpy import save

        tensors = {"coef": self._coef, "intercept": self._intercept}
        tensors |= {f"idf-{i}": idf for i, idf in enumerate(self._idf) if idf is not None}
        # surrogatepass: half an emoji in a training text becomes a term, and must come back as it was.
        vocabularies = {f"vocabulary-{i}.json": json.dumps(terms, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "surrogatepass") for i, terms in enumerate(self._terms)}
        return {KIND_FILE: kind_text(self.kind, vectorizers=self._options).encode(), WEIGHTS: save(tensors),
                **vocabularies}

    def save(self, folder: Path) -> None:
        """Write `engine.json`, `weights.safetensors` and one `vocabulary-N.json` a vectorizer."""
        for name, content in self._files().items():
            (folder / name).write_bytes(content)

    @classmethod
    def load(cls, folder: Path) -> LinearText:
        """Open what `save` wrote.

        Raises:
            NotFound, CorruptFile: a file is missing, or cannot be read.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        options = read_kind(folder).get("vectorizers")
        path = folder / WEIGHTS
        try:
            tensors = load(path.read_bytes())
            terms = []
            for i in range(len(options)):  # type: ignore[arg-type]
                path = folder / f"vocabulary-{i}.json"
                terms.append(json.loads(path.read_bytes().decode("utf-8", "surrogatepass")))
            path = folder / WEIGHTS
            idf = [tensors.get(f"idf-{i}") for i in range(len(terms))]
            return cls(options, terms, idf, tensors["coef"], tensors["intercept"])  # type: ignore[arg-type]
        except (OSError, KeyError, TypeError, ValueError, SafetensorError) as problem:
            raise CorruptFile(f"{path} cannot be read: {problem}.",
                              "Make the bundle again from its run.") from problem

    @property
    def size(self) -> int:
        return sum(map(len, self._files().values()))


def _vectorizer(options: dict[str, Any], terms: list[str], idf: NDArray[np.float64] | None) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    made = TfidfVectorizer(**{**options, "ngram_range": tuple(options["ngram_range"])},
                           vocabulary={term: i for i, term in enumerate(terms)})
    if idf is not None:
        made.idf_ = idf
    return made


def _chunks(texts: Sequence[str]) -> Iterator[list[str]]:
    """Texts cut to `MAX_CHARACTERS`, in lists small enough that their term matrix is."""
    chunk: list[str] = []
    room = CHUNK_CHARACTERS
    for text in texts:
        chunk.append(text[:MAX_CHARACTERS])
        room -= len(chunk[-1])
        if room <= 0 or len(chunk) == CHUNK_TEXTS:
            yield chunk
            chunk, room = [], CHUNK_CHARACTERS
    if chunk:
        yield chunk


def coefficients(classifier: Any, features: int,
                 classes: int | None = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients [columns, features] and intercepts [columns] of a fitted scikit-learn classifier.

    Args:
        classes: number of labels of the task, when the training rows lacked one (see `LinearText.from_sklearn`).
    """
    coef, intercept = _columns(classifier, features)
    if classes is not None and classes != max(2, len(coef)):
        coef, intercept = _spread(coef, intercept, np.asarray(classifier.classes_, np.int64), classes)
    return coef, intercept


def _columns(classifier: Any, features: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients [columns, features] and intercepts [columns] of a fitted classifier."""
    if hasattr(classifier, "estimators_"):
        pairs = [_columns(one, features) for one in classifier.estimators_]
        return np.concatenate([c for c, _ in pairs]), np.concatenate([i for _, i in pairs])
    if hasattr(classifier, "coef_"):
        coef = np.atleast_2d(np.asarray(classifier.coef_, np.float64))
        return coef, np.broadcast_to(np.asarray(classifier.intercept_, np.float64), len(coef))
    if hasattr(classifier, "y_"):  # one-vs-rest's stand-in for a label that all training rows had, or none
        return np.zeros((1, features)), np.array([NEVER if np.ravel(classifier.y_)[0] else -NEVER])
    raise TypeError(f"{type(classifier).__name__} has no coefficients; give a fitted linear classifier")


def _spread(coef: NDArray[np.float64], intercept: NDArray[np.float64], present: NDArray[np.int64],
            classes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The columns put at the class indices `present`; the labels between them never win."""
    if len(coef) == 1:
        coef, intercept = np.concatenate([-coef / 2, coef / 2]), np.concatenate([-intercept / 2, intercept / 2])
    wide, bias = np.zeros((classes, coef.shape[1])), np.full(classes, -NEVER)
    wide[present], bias[present] = coef, intercept
    return wide, bias
