"""An embedding model learns from pairs: the loss, who stands in a batch, mining, and that it learns."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from seedbed.data.pairs import Pair
from seedbed.models.backbone import Backbone
from seedbed.models.folder import pooling_of, write_pooling
from seedbed.train.config import TextConfig
from seedbed.train.embed import Company, PairLesson, Texts, Vectors, _apart, embed, mine

QUICK = TextConfig(epochs=3, train_layers=4, batch_pairs=8, learning_rate=3e-3, rank=16, max_tokens=32)
WORDS = [*tiny.GOOD, *tiny.BAD, *tiny.OTHER]


def some(first: int, count: int) -> list[Pair]:
    """A document says the two words of its question after a beginning that all share."""
    pairs = [(a, b) for a in range(len(WORDS)) for b in range(len(WORDS)) if a < b]
    np.random.default_rng(0).shuffle(pairs)
    return [Pair(f"{WORDS[a]} {WORDS[b]}", (f"it came with a paper and {WORDS[b]} the {WORDS[a]}",), kin=i)
            for i, (a, b) in enumerate(pairs[first:first + count], first)]


def lesson(family: str, method: str, **options: object) -> PairLesson:
    judged = some(160, 40)
    return PairLesson(some(0, 140), some(140, 20), [one.question for one in judged],
                      [one.documents[0] for one in judged], config=dataclasses.replace(QUICK, **options),
                      method=method, model=tiny.model(family))


def recall(vectors: Vectors) -> float:
    return float(((vectors.questions @ vectors.documents.T).argmax(1) == np.arange(len(vectors.questions))).mean())


@pytest.mark.parametrize("method", ["full", "lora"])
def test_it_finds_what_it_did_not(method: str, tmp_path: Path) -> None:
    rate = 3e-3 if method == "full" else 1e-2
    done = embed(dataclasses.replace(lesson("llama", method, epochs=4, learning_rate=rate),
                                     adapter=tmp_path / "adapter"))
    assert recall(done.after) > recall(done.before) + 0.15
    assert done.hard and done.tokens and not done.cut and done.predicted_seconds > 0
    assert (tmp_path / "adapter").exists() == (method == "lora")


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_figures_are_of_the_folder_that_is_saved(family: str, tmp_path: Path) -> None:
    given = lesson(family, "full", epochs=1)
    done = embed(dataclasses.replace(given, pairs=given.pairs[:20]))
    assert not np.allclose(done.after.questions, done.before.questions, atol=1e-3)
    done.backbone.save(tmp_path / "model")
    write_pooling(tmp_path / "model", done.backbone.pooling, True, 32, 32)
    (tmp_path / "model" / "backbone.json").unlink()  # what is left is what sentence-transformers reads
    assert pooling_of(tmp_path / "model") == ("mean" if family == "bert" else "last", True, 32)
    assert np.allclose(Backbone.open(tmp_path / "model").embed(given.questions), done.after.questions, atol=1e-5)


def test_the_same_seed_gives_the_same_weights() -> None:
    given = dataclasses.replace(lesson("bert", "full", epochs=1), pairs=some(0, 20))
    one, two = (embed(given).backbone.state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_loss_is_cross_entropy_and_leaves_out_what_is_neither_right_nor_wrong() -> None:
    scores = torch.randn(5, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    right = torch.eye(5, dtype=torch.bool)
    assert torch.allclose(_apart(scores, right, ~right), torch.nn.functional.cross_entropy(scores, torch.arange(5)))
    wrong = ~right
    wrong[0] = False                                       # everything else is kin of this one
    _apart(scores, right, wrong).backward()                # type: ignore[no-untyped-call]
    assert scores.grad is not None and scores.grad[0].tolist() == [0] * 5 and bool(scores.grad.isfinite().all())
    two = right.clone()
    two[0, 1] = True                                       # of two right documents neither is wrong to the other
    alone = [torch.nn.functional.cross_entropy(scores[:1, [i, 2, 3, 4]], torch.tensor([0])) for i in (0, 1)]
    assert torch.allclose(_apart(scores[:1], two[:1], ~two[:1]), (alone[0] + alone[1]) / 2)


def test_every_pair_stands_in_one_batch_of_the_epoch_with_its_hard_negatives() -> None:
    pairs = [(i, 20 + i) for i in range(20)] + [(0, 40)]
    company = Company(pairs, {i: [20 + (i + 1) % 20, 20 + (i + 2) % 20] for i in range(20)}, [3] * 41, 5, 1000, 1, 0)
    first, second = company.epoch(0), company.epoch(1)
    assert first == company.epoch(0) != second
    for batches in (first, second):
        assert all(len(set(batch)) == len(batch) for batch in batches) and len(batches) == 4  # 21 pairs: none alone
        for question, document in pairs:
            assert any({question, document} <= set(batch) for batch in batches)
            assert any(question in batch and (20 + (question + 1) % 20 in batch or 20 + (question + 2) % 20 in batch)
                       for batch in batches)
    few = [3 * len(batch) for batch in Company(pairs, {}, [3] * 41, 99, 24, 0, 0).epoch(0)]
    assert max(few[:-1]) <= 24 < few[-1] <= 30             # the pair that was left over joins the last batch


def test_mined_are_near_and_wrong_never_kin_nor_too_near() -> None:
    texts = Texts(PairLesson([Pair("q0", ("d0", "d0b"), kin=0), Pair("q1", ("d1",), ("n1",), kin=1),
                              Pair("q2", ("d2",), kin=1)]))
    assert texts.all[:3] == ["q0", "q1", "q2"] and texts.given == {1: [texts.all.index("n1")]}
    place = {text: i for i, text in enumerate(texts.all)}
    vectors = torch.zeros(len(texts.all), 4)
    for name, values in {"q0": (1, 0), "d0": (1, 0), "d0b": (0.8, 0.6), "d1": (0.7, 0.714), "d2": (0.79, 0.613),
                         "q1": (0, 1), "q2": (0, 1)}.items():
        vectors[place[name], :2] = torch.tensor(values)
    places = [i for i in range(len(texts.all)) if texts.all[i] != "n1"]
    found = mine(texts, places, vectors[places], 0.95)
    assert found[place["q0"]] == [place["d1"]]             # d2 is above 0.95 of 0.8, d0 and d0b are right
    assert place["d2"] not in found.get(place["q1"], [])   # its kin


def test_a_question_without_others_to_judge_by_keeps_the_last_weights() -> None:
    trained = embed(dataclasses.replace(lesson("bert", "full", epochs=1), pairs=some(0, 20), held=[])).trained
    assert trained.best_step == trained.steps and "validation_loss" not in trained.history[0]
