"""Doubtful labels: planted errors are found, right labels mostly left alone, and what cannot be judged is said."""

from __future__ import annotations

import numpy as np

from seedbed.data.label_errors import find

WORDS = {"sport": ["goal", "match", "team", "league", "striker", "referee", "coach", "stadium", "season", "penalty"],
         "food": ["recipe", "oven", "butter", "sauce", "flavour", "garlic", "dough", "baker", "spoon", "simmer"],
         "travel": ["flight", "hotel", "luggage", "passport", "beach", "ticket", "airport", "train", "isle", "visa"]}


def rows(count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    random = np.random.default_rng(seed)
    labels = [str(label) for label in random.choice(list(WORDS), count)]
    filler = [f"filler{i}" for i in range(200)]
    texts = [" ".join([*random.choice(WORDS[label], 4), *random.choice(filler, 4)]) for label in labels]
    return texts, labels


def everything(texts: list[str]) -> np.ndarray:
    return np.arange(len(texts))


def test_planted_errors_are_found() -> None:
    texts, labels = rows(400)
    given = list(labels)
    wrong = list(range(0, 400, 20))
    for row in wrong:
        given[row] = next(name for name in WORDS if name != labels[row])
    result = find(texts, given, everything(texts))
    assert result.looked_at == 400
    assert not result.skipped
    flagged = {s.row for s in result.suspects}
    assert len(flagged & set(wrong)) >= 18  # of 20
    assert len(flagged - set(wrong)) <= 4
    assert all(s.likely == labels[s.row] and s.given == given[s.row] for s in result.suspects if s.row in wrong)
    doubts = [s.doubt for s in result.suspects]
    assert doubts == sorted(doubts, reverse=True)


def test_right_labels_are_left_alone() -> None:
    texts, labels = rows(300)
    assert len(find(texts, labels, everything(texts)).suspects) <= 3


def test_several_labels_a_row() -> None:
    random = np.random.default_rng(1)
    targets = [sorted(str(n) for n in random.choice(list(WORDS), random.integers(0, 3), replace=False))
               for _ in range(400)]
    texts = [" ".join([*(w for label in target for w in random.choice(WORDS[label], 4)),
                       *(f"filler{i}" for i in random.integers(0, 50, 3))]) for target in targets]
    given = [list(target) for target in targets]
    wrong = list(range(0, 400, 25))
    for row in wrong:
        given[row] = sorted(set(given[row]) ^ {"food"})
    result = find(texts, given, everything(texts))
    flagged = {s.row for s in result.suspects}
    assert len(flagged & set(wrong)) >= 10  # of 16
    assert len(flagged - set(wrong)) <= 8
    assert all(s.given != s.likely for s in result.suspects)


def test_only_the_rows_given_are_judged() -> None:
    texts, labels = rows(200)
    result = find(texts, labels, np.arange(100))
    assert result.looked_at == 100
    assert all(s.row < 100 for s in result.suspects)


def test_what_cannot_be_judged_is_said() -> None:
    texts, labels = rows(40)
    assert "too few" in find(texts, labels, everything(texts)).skipped
    texts, labels = rows(200)
    assert "two labels" in find(texts, ["same"] * 200, everything(texts)).skipped
    assert "two labels" in find([], [], np.arange(0)).skipped
    random = np.random.default_rng(0)
    noise = [" ".join(f"w{i}" for i in random.integers(0, 500, 8)) for _ in range(300)]
    result = find(noise, [str(label) for label in random.choice(["a", "b"], 300)], np.arange(300))
    assert "tell these labels apart" in result.skipped or len(result.suspects) <= 15
    many = find([f"text {i}" for i in range(1500)], [f"label {i % 250}" for i in range(1500)], np.arange(1500))
    assert "250 labels" in many.skipped


def test_a_rare_label_is_left_out_and_the_rest_judged() -> None:
    texts, labels = rows(200)
    labels[0] = "only one"
    result = find(texts, labels, everything(texts))
    assert result.looked_at == 199


def test_the_same_seed_gives_the_same_answer() -> None:
    texts, labels = rows(200)
    labels[3], labels[50] = "food", "sport"
    assert find(texts, labels, everything(texts), seed=2) == find(texts, labels, everything(texts), seed=2)
