from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tiny
from numpy.typing import NDArray

from seedbed.errors import DataError
from seedbed.tasks.classify import Classify
from seedbed.train import linear
from seedbed.train.lesson import Fitted, Lesson


def lesson(rows: int = 60, kinds: int = 2, **options: Any) -> Lesson:
    texts, targets = tiny.sentences(rows, kinds=kinds)
    return Lesson(Classify.from_targets(targets), texts, targets, **options)


def several(rows: int = 90) -> Lesson:
    """Several labels a text; `none` has neither."""
    texts, kinds = tiny.sentences(rows, kinds=3)
    targets = [{"mixed": ["bad", "good"]}.get(kind, [kind]) for kind in kinds]
    return Lesson(Classify(("bad", "good"), multi_label=True), [*texts, "box", "blue"], [*targets, [], []])


def right(fitted: Fitted, one: Lesson, texts: list[str], targets: list[Any]) -> float:
    task = one.task
    return float((task.decide(task.probabilities(fitted.classifier.logits(texts))) == task.encode(targets)).mean())


def test_majority_says_the_shares() -> None:
    one = Lesson(Classify(("a", "b", "c")), ["x"] * 10, ["a"] * 7 + ["b"] * 3)
    found = one.task.probabilities(linear.majority(one).classifier.logits(["p", "q"]))
    assert found.shape == (2, 3)
    assert found[0] == pytest.approx(np.array([7.5, 3.5, 0.5]) / 11.5, abs=1e-6)
    many = several()
    shares = many.task.probabilities(linear.majority(many).classifier.logits(["p"]))[0]
    assert shares == pytest.approx((np.array([60, 60]) + 0.5) / 93, abs=1e-6)


@pytest.mark.parametrize("kinds", [2, 3])
def test_tfidf_learns_and_answers_new_texts(kinds: int) -> None:
    one = lesson(kinds=kinds)
    texts, targets = tiny.sentences(90, seed=9, kinds=kinds)
    fitted = linear.tfidf(one)
    assert fitted.classifier.logits(texts).shape == (90, kinds)
    assert right(fitted, one, texts, targets) > {2: 0.95, 3: 0.6}[kinds]
    assert fitted.note.startswith("C ")


def test_tfidf_with_several_labels() -> None:
    one = several()
    fitted = linear.tfidf(one)
    assert right(fitted, one, one.texts, one.targets) > 0.95
    assert fitted.classifier.logits(["box"]).shape == (1, 2)


@pytest.mark.parametrize("task", [Classify(("bad", "good", "never")), Classify(("a", "bad", "good")),
                                  Classify(("bad", "never", "good"))])
def test_a_label_without_training_rows_never_wins(task: Classify) -> None:
    texts, targets = tiny.sentences(40)
    one = Lesson(task, texts, targets)
    fitted = linear.tfidf(one)
    assert fitted.classifier.logits(texts).shape == (40, 3)
    assert right(fitted, one, texts, targets) > 0.95
    with_rows = Lesson(task, texts, targets, model=tiny.model("bert"))
    assert right(linear.embedding(with_rows), with_rows, texts, targets) > 0.6


@pytest.mark.parametrize("method", [linear.tfidf, linear.embedding])
def test_one_label_alone_is_told(method: Any) -> None:
    one = Lesson(Classify(("bad", "good")), ["x y", "z w", "box"], ["bad"] * 3, model=tiny.model("bert"))
    with pytest.raises(DataError, match="same label"):
        method(one)


@pytest.mark.parametrize(("good", "bad"), [("👍", "👎"), ("好", "坏"), ("!", "?")])
def test_texts_without_a_word_of_two_letters(good: str, bad: str) -> None:
    """The word vectorizer finds no term in them; the characters do."""
    one = Lesson(Classify(("bad", "good")), [good, bad] * 20, ["good", "bad"] * 20)
    fitted = linear.tfidf(one)
    assert right(fitted, one, one.texts, one.targets) == 1.0


def test_texts_without_any_character_are_told() -> None:
    one = Lesson(Classify(("bad", "good")), ["", "  "] * 20, ["good", "bad"] * 20)
    with pytest.raises(DataError, match="empty"):
        linear.tfidf(one)


@pytest.mark.parametrize("make", [lambda: lesson(40), lambda: lesson(45, 3), lambda: several(60)])
def test_rotating_onto_the_rows_changes_no_answer(make: Any) -> None:
    """More columns than rows: the fit runs on as many axes as there are rows."""
    one = make()
    chance = np.random.default_rng(0)
    features: NDArray[Any] = chance.normal(size=(len(one.texts), 300)) + \
        one.y.reshape(len(one.texts), -1)[:, :1] * chance.normal(size=300)
    new = chance.normal(size=(50, 300))
    turned, chosen = linear._logistic(features, one.y, one)
    direct, expected = linear._search(features, one.y, one)
    assert chosen == expected
    for a, b in zip(getattr(turned, "estimators_", [turned]), getattr(direct, "estimators_", [direct]), strict=True):
        assert a.coef_.shape == b.coef_.shape
        scores = new @ b.coef_.T + b.intercept_
        assert np.abs(new @ a.coef_.T + a.intercept_ - scores).max() < 0.02 * np.abs(scores).max()


def test_a_head_undoes_the_scaling_of_its_vectors() -> None:
    chance = np.random.default_rng(0)
    one = lesson(60, 3)
    vectors = (chance.normal(size=(60, 8)) * 500 + 3000 + one.y[:, None] * 400).astype(np.float32)
    (weight, bias), _ = linear.logistic_head(vectors, one.y, one)
    assert weight.shape == (3, 8)
    assert bias.shape == (3,)
    assert weight.dtype == bias.dtype == np.float32
    again = linear._search((vectors - vectors.mean(0)) / vectors.std(0).mean(), one.y, one)[0]
    assert ((vectors @ weight.T + bias).argmax(1) == again.predict(
        (vectors - vectors.mean(0)) / vectors.std(0).mean())).mean() == 1.0


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_embedding_beats_the_majority(family: str) -> None:
    one = lesson(80, model=tiny.model(family))
    fitted = linear.embedding(one)
    assert right(fitted, one, one.texts, one.targets) > 0.7
    assert fitted.trained_parameters == 2 * 32
    assert fitted.parameters > fitted.trained_parameters


def test_many_rows_are_sampled_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "MOST", 40)
    one = lesson(100)
    fitted = linear.tfidf(one)
    assert fitted.note.endswith("; learned from 40 of 100 rows")
    again = linear.tfidf(one)
    assert np.array_equal(again.classifier.logits(one.texts), fitted.classifier.logits(one.texts))


def test_a_label_with_one_row_needs_no_folds() -> None:
    one = Lesson(Classify(("bad", "good")), ["great box", "slow box", "dead box"], ["good", "bad", "bad"])
    fitted = linear.tfidf(one)
    assert fitted.note == "C 4, rare labels weighed up"
    assert right(fitted, one, one.texts, one.targets) == 1.0
