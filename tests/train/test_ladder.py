from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from seedbed.catalog.cards import card
from seedbed.catalog.memory import Step
from seedbed.catalog.recommend import recommend
from seedbed.catalog.speed import Speed
from seedbed.errors import NoResources, NotFound, UserError
from seedbed.tasks.classify import Classify
from seedbed.train import ladder
from seedbed.train.config import TrainConfig
from seedbed.train.ladder import FEW, LEAST_FOR_LORA, NAMES, Plan, plan

TASK = Classify(("bad", "good"))
PLENTY = 64 * 10**9


def plans(rows: int = 1000, **options: Any) -> dict[str, Plan]:
    values = {"small": False, "available": PLENTY, "precision": "bf16", **options}
    targets = values.pop("targets", ["bad", "good"] * (rows // 2))
    task, config = values.pop("task", TASK), values.pop("config", TrainConfig())
    return {one.rung.name: one for one in plan(task, targets, config, card, **values)}


def taken(found: dict[str, Plan]) -> set[str]:
    return {name for name, one in found.items() if not one.skip}


@pytest.mark.parametrize(("rows", "small", "expected"), [
    (1000, False, {"majority", "tfidf", "embedding", "encoder", "lora"}),
    (FEW, False, {"majority", "tfidf", "embedding", "encoder", "lora"}),
    (FEW - 2, False, {"majority", "tfidf", "embedding", "contrast", "lora"}),
    (LEAST_FOR_LORA - 2, False, {"majority", "tfidf", "embedding", "contrast"}),
    (16, True, {"majority", "tfidf", "embedding", "contrast"}),
    (1000, True, {"majority", "tfidf", "embedding"})])
def test_what_suits_the_rows(rows: int, small: bool, expected: set[str]) -> None:
    found = plans(rows, small=small)
    assert tuple(found) == NAMES  # each is there, cheapest first
    assert [one.rung.rank for one in found.values()] == sorted(one.rung.rank for one in found.values())
    assert taken(found) == expected


def test_each_reason_says_what_is_needed() -> None:
    many, few = plans(1000), plans(98)
    assert many["contrast"].skip == "1,000 training texts are enough to tune the encoder as a whole (500 and more)"
    assert few["encoder"].skip == "98 training texts are too few to tune every weight (500 are needed)"
    assert few["lora"].skip == \
        "98 training texts are too few to tell a larger model from luck (100 are needed)"
    lonely = plans(targets=["bad"] * 9 + ["good"])
    assert lonely["contrast"].skip == "a label with fewer than 2 texts makes no pairs"
    asked = plans(wanted=("tfidf",))
    assert {asked[name].skip for name in NAMES if name != "tfidf"} == {"not asked for"}
    tight = plans(available=10**8)
    assert re.fullmatch(r"needs about \d+\.\d GB of memory to train, 0\.1 GB are free", tight["lora"].skip)
    assert taken(tight) == {"majority", "tfidf"}


def test_what_was_asked_for_is_tried_whatever_the_rows() -> None:
    assert taken(plans(10, wanted=("lora", "encoder"), small=True)) == {"lora", "encoder"}


def test_multi_label() -> None:
    task = replace(TASK, multi_label=True)
    found = plans(targets=[["bad"], ["bad", "good"], [], ["good"]] * 20, task=task)
    assert taken(found) == {"majority", "tfidf", "embedding", "contrast"}
    lonely = plans(targets=[["bad"]] * 9 + [["bad", "good"]], task=task)
    assert lonely["contrast"].skip == "a label with fewer than 2 texts makes no pairs"


def test_an_unknown_candidate() -> None:
    with pytest.raises(UserError, match="no candidate 'bert'") as told:
        plans(wanted=("tfidf", "bert"))
    assert told.value.hint == f"Known: {', '.join(NAMES)}."


def test_an_unknown_model() -> None:
    with pytest.raises(NotFound):
        plans(model="smollm3")


@pytest.mark.parametrize(("model", "rungs"), [
    ("smollm2-360m-instruct", {"lora"}), ("qwen2-0.5b-instruct", {"lora"}),
    ("finbert", {"embedding", "contrast", "encoder"})])
def test_a_model_takes_the_place_of_its_kind(model: str, rungs: set[str]) -> None:
    found = plans(10, model=model, small=True)
    assert {name for name, one in found.items() if one.card and one.card.id == model} == rungs
    assert rungs <= taken(found)  # asked for, so the rows do not matter
    for name in rungs:
        assert card(model).title in found[name].title
        assert found[name].memory is not None
    others = {one.card.id for name, one in found.items() if one.card and name not in rungs}
    assert others == {"all-minilm-l6-v2"} if rungs == {"lora"} else others == {"smollm2-135m-instruct"}


REFUSED = [("lora", "smollm2-135m-instruct", 0.97), ("lora", "smollm2-360m-instruct", 0.9),
           ("lora", "qwen2-0.5b-instruct", 0.9), ("encoder", "finbert", 0.9), ("encoder", "all-minilm-l6-v2", 0.95),
           ("contrast", "all-minilm-l6-v2", 0.95), ("lora", "smollm2-360m-instruct", 0.75)]


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize(("name", "model", "share"), REFUSED)
def test_what_the_hint_of_a_refusal_says_really_fits(name: str, model: str, share: float, precision: str) -> None:
    need = plans(wanted=(name,), model=model, precision=precision)[name].memory
    assert need is not None
    available = int(need * share)
    with pytest.raises(NoResources, match=f"^{model} needs about") as told:
        plans(wanted=(name,), model=model, precision=precision, available=available)
    flags = dict(re.findall(r"--([a-z-]+) (\d+)", told.value.hint))
    if not flags:
        assert told.value.hint == "See what fits with: seedbed models recommend --task classify"
        return
    smaller = replace(TrainConfig(), **{k.replace("-", "_"): int(v) for k, v in flags.items()})
    found = plans(wanted=(name,), model=model, precision=precision, available=available, config=smaller)
    assert taken(found) == {name}
    assert (found[name].memory or 0) <= available


def test_hints_with_flags_are_the_rule() -> None:
    """The table above must not pass by hints that name none."""
    need = plans(wanted=("lora",))["lora"].memory or 0
    with pytest.raises(NoResources, match="GB") as told:
        plans(wanted=("lora",), available=int(need * 0.9))
    assert "--batch-tokens" in told.value.hint


def test_what_does_not_fit_and_was_not_asked_for_is_skipped() -> None:
    found = plans(available=int(1.0e9))
    assert "lora" not in taken(found) or (found["lora"].memory or 0) <= 1e9
    assert all((one.memory or 0) <= 1e9 for one in found.values() if not one.skip)


def test_a_rung_knows_its_method() -> None:
    assert {name: ladder._method(name).__name__ for name in NAMES} == {
        "majority": "majority", "tfidf": "tfidf", "embedding": "embedding", "contrast": "contrast",
        "encoder": "whole", "lora": "lora"}


AMX = Speed(processor="test", cores=2, features=("amx_bf16",), fp32_gflops=279, memory_gb_s=18, measured="now")


@pytest.mark.parametrize("speed", [AMX, AMX.model_copy(update={"features": ()})])
@pytest.mark.parametrize("memory", [int(gb * 1e9) for gb in (1.2, 1.7, 2.4, 3, 4, 5.5, 7, 8, 10, 12, 16, 24, 64)])
def test_what_is_recommended_is_not_refused(memory: int, speed: Speed) -> None:
    usual = TrainConfig()
    step = Step(usual.step_tokens, usual.max_tokens, usual.train_layers, usual.rank)
    for choice in recommend("classify", memory=memory, speed=speed, step=step).chosen:
        told = " ".join(choice.cautions)
        if "`seedbed run` does not train it" in told:
            continue
        flags = dict(re.findall(r"--([a-z-]+) (\d+)", told))
        assert choice.method != "qlora" and bool(flags) == (choice.step_tokens != usual.step_tokens)
        config = replace(usual, **{k.replace("-", "_"): int(v) for k, v in flags.items()})
        name = "encoder" if choice.method == "full" else "lora"
        found = plans(wanted=(name,), model=choice.card, config=config, available=memory,
                      precision=choice.train_precision)
        assert found[name].memory == choice.train_bytes
