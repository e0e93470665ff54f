"""Metrics of written answers, against values of the reference implementations."""

from __future__ import annotations

import numpy as np
import pytest

from seedbed.tasks.metrics import Metric
from seedbed.tasks.metrics.fields import (
    EXACT_FIELDS,
    FIELD_F1,
    FIELD_PRECISION,
    FIELD_RECALL,
    PARTIAL_F1,
    VALID_JSON,
    fields,
)
from seedbed.tasks.metrics.grams import bleu, chrf
from seedbed.tasks.metrics.words import EXACT, ROUGE_1, ROUGE_2, ROUGE_L, TOKEN_F1, in_common, words

ANSWERS = ["Handling terminology is an important matter in a translation workflow .",
           "We show that the analogical engine works equally well when translating from and into a rich language.",
           "the the the cat"]
REFERENCES = ["Existing machine translation systems do not manage domain-specific terms, an important matter.",
              "The analogical engine works well for morphologically rich languages.", "The cat sat on the mat."]


def figure(metric: Metric, answers: list[str], references: list[str]) -> float:
    return float(metric.of(metric.count(answers, references).sum(axis=0)))


@pytest.mark.parametrize("row, values", [
    (0, (0.347826, 0.190476, 0.26087)), (1, (0.461538, 0.25, 0.461538)), (2, (0.6, 0.25, 0.4))])
def test_rouge_is_that_of_rouge_score(row: int, values: tuple[float, ...]) -> None:
    """Values of rouge-score 0.1.2 without its stemmer; on 300 real pairs both agree to the last digit."""
    for metric, value in zip((ROUGE_1, ROUGE_2, ROUGE_L), values, strict=True):
        assert figure(metric, [ANSWERS[row]], [REFERENCES[row]]) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("text, found", [
    ("Don't stop, it's 3.5 kg!", ["don", "t", "stop", "it", "s", "3", "5", "kg"]),
    ("naïve Ünïcode", ["naïve", "ünïcode"]), ("हिन्दी में", ["हिन्दी", "में"]), ("Привет, мир", ["привет", "мир"]),
    ("我爱NLP。", ["我", "爱", "nlp"]), ("", []), ("…!?", [])])
def test_words_of_any_script(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_the_longest_common_sequence_is_that_of_dynamic_programming() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        one, other = (list(map(str, rng.integers(0, 6, rng.integers(0, 90)))) for _ in range(2))
        table = np.zeros((len(one) + 1, len(other) + 1), int)
        for i, a in enumerate(one):
            for j, b in enumerate(other):
                table[i + 1, j + 1] = table[i, j] + 1 if a == b else max(table[i, j + 1], table[i + 1, j])
        assert in_common(one, other) == table[-1, -1]


def test_short_answers() -> None:
    assert figure(EXACT, ["Paris", " paris", "New  York"], ["Paris", "Paris", "New York"]) == pytest.approx(2 / 3)
    assert figure(TOKEN_F1, ["in Paris"], ["Paris!"]) == pytest.approx(2 / 3)
    assert figure(TOKEN_F1, ["?", ""], ["?", "x"]) == 0.5


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_bleu_and_chrf_are_those_of_sacrebleu(rows: int) -> None:
    from sacrebleu.metrics import BLEU, CHRF

    given, wanted = ANSWERS[:rows], REFERENCES[:rows]
    for mine, theirs in ((bleu(), BLEU()), (bleu("zh"), BLEU(tokenize="zh")), (bleu("ja"), BLEU(tokenize="char")),
                         (chrf(), CHRF()), (chrf(2), CHRF(word_order=2))):
        assert figure(mine, given, wanted) == pytest.approx(theirs.corpus_score(given, [wanted]).score, abs=1e-9)


ODD = ["", " ", "word", "...", "我爱你。", "مرحبا بالعالم", "👍🏽 a", "e\u0301 naïve", "A\nB\tC",
       "the cat sat on the mat", "The cat .", "x" * 300, "1,000.5", "&amp; <b>", "a b c d e f g h i"]


@pytest.mark.parametrize("answer", ODD)
def test_bleu_and_chrf_of_odd_texts(answer: str) -> None:
    """With all corpora of up to 5 such rows 5,705 figures were the same."""
    from sacrebleu.metrics import BLEU, CHRF

    for mine, theirs in ((bleu(), BLEU()), (bleu("zh"), BLEU(tokenize="zh")), (bleu("ja"), BLEU(tokenize="char")),
                         (chrf(), CHRF()), (chrf(2), CHRF(word_order=2))):
        theirs._force = True
        for reference in ODD:
            assert figure(mine, [answer], [reference]) == pytest.approx(
                theirs.corpus_score([answer], [[reference]]).score, abs=1e-9)


@pytest.mark.parametrize("answer, reference, values", [
    ("...", "...", (0, 0, 0, 1)), ("...", "?", (0, 0, 0, 0)), ("", "", (0, 0, 0, 1)), ("word", "word", (1, 0, 1, 1)),
    ("我爱", "爱我", (1, 0, 0.5, 1)), ("مرحبا بالعالم", "مرحبا", (2 / 3, 0, 2 / 3, 2 / 3)),
    ("👍", "👍", (0, 0, 0, 1))])
def test_rouge_and_token_f1_of_odd_texts(answer: str, reference: str, values: tuple[float, ...]) -> None:
    """Of texts without a word ROUGE is 0, as rouge-score has it; token F1 asks whether they are equal."""
    for metric, value in zip((ROUGE_1, ROUGE_2, ROUGE_L, TOKEN_F1), values, strict=True):
        assert figure(metric, [answer], [reference]) == pytest.approx(value)


def test_fields_by_path() -> None:
    value = {"buyer": {"name": "Ann", "vat": None}, "lines": [{"n": 1}, {"n": 2}], "tags": [], "note": ""}
    assert fields(value) == [("buyer.name", "Ann"), ("lines[].n", 1), ("lines[].n", 2)]


@pytest.mark.parametrize("answer, reference, hits, given, has", [
    ('{"a": 1.0, "b": "x  y"}', '{"b": "x y", "a": 1}', 2, 2, 2),
    ('{"a": "1"}', '{"a": 1}', 0, 1, 1),
    ('{"a": true}', '{"a": 1}', 0, 1, 1),
    ('{"a": [2, 1, 1]}', '{"a": [1, 2, 3]}', 2, 3, 3),
    ('Here it is:\n{"a": 1} Good?', '{"a": 1}', 1, 1, 1),
    ('```json\n{"a": 1}\n```', '{"a": 1}', 1, 1, 1),
    ('{"a": 1', '{"a": 1}', 0, 0, 1),
    ('{"a": NaN}', '{"a": null}', 0, 1, 0),
    ("[" * 100_000, '{"a": 1}', 0, 0, 1), ('{"a":' * 900 + "1" + "}" * 900, '{"a": 1}', 0, 0, 1),
    ('{"a": "مرحبا", "b": "👍"}', '{"b": "👍", "a": "مرحبا"}', 2, 2, 2),
    ("", "", 0, 0, 0), ("...", '{"a": "..."}', 0, 0, 1)])
def test_fields_that_hit(answer: str, reference: str, hits: int, given: int, has: int) -> None:
    assert FIELD_F1.count([answer], [reference]).tolist() == [[hits, given, has]]


def test_figures_of_fields() -> None:
    answers = ['{"who": "Ann Smith", "sum": 3}', '{"who": "Bob", "extra": 1}', "none"]
    references = ['{"who": "Ann B. Smith", "sum": 3}', '{"who": "Bob"}', '{"who": "Cy"}']
    assert figure(FIELD_PRECISION, answers, references) == 2 / 4
    assert figure(FIELD_RECALL, answers, references) == 2 / 4
    assert figure(FIELD_F1, answers, references) == 2 / 4
    assert figure(PARTIAL_F1, answers, references) == pytest.approx((1 + 0.8 + 1) / 4)
    assert figure(EXACT_FIELDS, answers, references) == 0
    assert figure(EXACT_FIELDS, [references[0]], ['{"sum": 3.0, "who": "Ann B. Smith", "x": null}']) == 1
    assert figure(VALID_JSON, [*answers, "```\n{}\n```", '{"a": Infinity}'], [""] * 5) == 2 / 5


def test_of_a_list_the_likest_are_matched_first() -> None:
    counts = PARTIAL_F1.count(['{"a": ["red big box", "red box"]}'], ['{"a": ["red box", "blue"]}'])
    assert counts.tolist() == [[1, 2, 2]]
