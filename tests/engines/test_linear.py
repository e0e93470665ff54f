from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from seedbed.engines import linear
from seedbed.engines.base import Classifier, load_classifier
from seedbed.engines.linear import LinearText
from seedbed.errors import CorruptFile

WORDS = {"good": "great fine lovely works happy café 好 👍", "bad": "broken awful refund slow angry naïve 坏 👎",
         "other": "box blue parcel monday street paper наклейка"}


def rows(n: int, labels: int = 3, seed: int = 0) -> tuple[list[str], list[int]]:
    pick = random.Random(seed)
    targets = [pick.randrange(labels) for _ in range(n)]
    names = list(WORDS)
    texts = [" ".join(pick.choices(f"{WORDS[names[t]]} {WORDS[pick.choice(names)]}".split(), k=pick.randrange(1, 12)))
             for t in targets]
    return texts, targets


def vectorizers(texts: list[str]) -> tuple[list[TfidfVectorizer], Any]:
    both = [TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, strip_accents="unicode", stop_words=["the", "a"]),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, lowercase=False)]
    return both, hstack([v.fit_transform(texts) for v in both]).tocsr()


ODD = ["", " ", "unseen words only", "Café CAFÉ", "half \ud83d an emoji", "nul \x00 byte", "a\nb\tc", "👍" * 300]


@pytest.mark.parametrize(("classifier", "labels"), [
    (LogisticRegression(C=10, class_weight="balanced"), 3), (LogisticRegression(), 2), (LinearSVC(), 3),
    (RidgeClassifier(), 2), (OneVsRestClassifier(LogisticRegression()), 3)])
def test_equals_sklearn_and_comes_back_the_same(classifier: Any, labels: int, tmp_path: Path) -> None:
    texts, targets = rows(300, labels)
    parts, matrix = vectorizers([*texts[:-1], texts[-1] + " \ud83d"])
    classifier.fit(matrix, targets)
    model = LinearText.from_sklearn(parts, classifier, labels)
    assert isinstance(model, Classifier)
    new = [*rows(200, labels, seed=1)[0], *ODD]
    expected = classifier.decision_function(hstack([v.transform(new) for v in parts]).tocsr())
    found = model.logits(new)
    assert found.dtype == np.float32
    assert found.shape == (len(new), labels)
    assert np.abs((found[:, 1] - found[:, 0] if labels == 2 else found) - expected).max() < 1e-5
    model.save(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"engine.json", "weights.safetensors", "vocabulary-0.json",
                                                    "vocabulary-1.json"}
    assert model.size == sum(p.stat().st_size for p in tmp_path.iterdir())
    again = load_classifier(tmp_path)
    assert np.array_equal(again.logits(new), found)
    assert again.logits([]).shape == (0, labels)


def test_multi_label_has_one_column_a_label_even_for_a_label_without_rows(tmp_path: Path) -> None:
    texts, targets = rows(200)
    wanted = np.zeros((200, 4), int)
    wanted[range(200), targets] = 1  # the fourth label is never given
    wanted[:, 2] |= wanted[:, 1]
    parts, matrix = vectorizers(texts)
    with pytest.warns(UserWarning, match="Label not 3 is present in all training examples"):
        classifier = OneVsRestClassifier(LogisticRegression()).fit(matrix, wanted)
    model = LinearText.from_sklearn(parts, classifier, 4)
    found = model.logits(texts)
    assert found.shape == (200, 4)
    assert np.abs(found[:, :3] - classifier.decision_function(matrix)[:, :3]).max() < 1e-5
    assert (found[:, 3] < -20).all()


@pytest.mark.parametrize("present", [(0, 2), (1, 2, 4)])
def test_labels_that_no_training_row_had_never_win(present: tuple[int, ...]) -> None:
    texts, targets = rows(200, len(present))
    parts, matrix = vectorizers(texts)
    classifier = LogisticRegression().fit(matrix, [present[t] for t in targets])
    found = LinearText.from_sklearn(parts, classifier, 5).logits(texts)
    assert found.shape == (200, 5)
    assert [int(i) for i in found.argmax(1)] == classifier.predict(matrix).tolist()


def test_order_is_kept_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, targets = rows(100)
    parts, matrix = vectorizers(texts)
    model = LinearText.from_sklearn(parts, LogisticRegression().fit(matrix, targets))
    whole = model.logits(texts)
    monkeypatch.setattr(linear, "CHUNK_CHARACTERS", 90)
    monkeypatch.setattr(linear, "CHUNK_TEXTS", 7)
    assert np.array_equal(model.logits(texts), whole)


def test_a_huge_text_is_scored_by_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, targets = rows(100)
    parts, matrix = vectorizers(texts)
    model = LinearText.from_sklearn(parts, LogisticRegression().fit(matrix, targets))
    assert linear.MAX_CHARACTERS == 100_000
    monkeypatch.setattr(linear, "MAX_CHARACTERS", 1000)
    long = "broken refund " * 72
    assert np.array_equal(model.logits([long[:1000] + "great " * 1_000_000]), model.logits([long[:1000]]))


def test_parts_that_need_pickle_are_refused() -> None:
    texts, targets = rows(60)
    own = TfidfVectorizer(tokenizer=str.split, token_pattern=None)
    classifier = LogisticRegression().fit(own.fit_transform(texts), targets)
    with pytest.raises(TypeError, match="without pickle"):
        LinearText.from_sklearn([own], classifier)
    plain = TfidfVectorizer().fit(texts)
    with pytest.raises(TypeError, match="no coefficients"):
        LinearText.from_sklearn([plain], object())


@pytest.mark.parametrize(("name", "content"), [
    ("weights.safetensors", b"cut"), ("weights.safetensors", None), ("vocabulary-0.json", b'["a","'),
    ("vocabulary-0.json", b'["a"]'), ("vocabulary-1.json", None), ("engine.json", b'{"kind": "linear"}')])
def test_a_damaged_file_is_an_error_of_two_lines(tmp_path: Path, name: str, content: bytes | None) -> None:
    texts, targets = rows(60)
    parts, matrix = vectorizers(texts)
    LinearText.from_sklearn(parts, LogisticRegression().fit(matrix, targets)).save(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CorruptFile) as caught:
        load_classifier(tmp_path)
    assert len(str(caught.value).splitlines()) == 2
    assert str(tmp_path) in caught.value.message


def test_scores_are_the_same_in_a_fresh_process(tmp_path: Path) -> None:
    texts, targets = rows(60)
    parts, matrix = vectorizers(texts)
    model = LinearText.from_sklearn(parts, LogisticRegression().fit(matrix, targets))
    model.save(tmp_path)
    code = ("import sys; from pathlib import Path; from seedbed.engines.base import load_classifier; "
            "print(load_classifier(Path(sys.argv[1])).logits(sys.argv[2:]).tolist()); "
            "assert not {'torch', 'transformers'} & set(sys.modules)")
    out = subprocess.run([sys.executable, "-c", code, str(tmp_path), *texts[:5]], capture_output=True, text=True,
                         check=True)
    assert np.array_equal(np.array(eval(out.stdout), np.float32), model.logits(texts[:5]))
