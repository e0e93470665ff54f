"""The memory formula against what was measured, and its behaviour where nothing was."""

from __future__ import annotations

from typing import Any

import pytest

from seedbed.catalog.cards import Card, card, cards
from seedbed.catalog.memory import (
    HOLES,
    RUN_HOLDS,
    Step,
    adapter_parameters,
    cache,
    on_disk,
    to_run,
    to_train,
    weights,
)
from seedbed.errors import DataError, UserError

MIB = 1024**2
SMOL, MINI = "smollm2-135m-instruct", "all-minilm-l6-v2"
# Largest resident MiB of a fresh process: model of that shape, then 8 new tokens, or 3 steps of AdamW.
# 2 cores, torch 2.13, transformers 5.23, peft 0.21, glibc 2.36; LoRA of rank 16 on every matrix.
RUN = [(SMOL, "bf16", 1, 512, 689), (SMOL, "fp32", 1, 512, 1000), (SMOL, "bf16", 8, 1024, 965),
       (MINI, "fp32", 1, 128, 478), (MINI, "fp32", 64, 256, 954)]
TRAIN = [(SMOL, "lora", "fp32", 8, 128, None, 3, 3773), (SMOL, "lora", "bf16", 8, 128, None, 3, 2634),
         (SMOL, "lora", "fp32", 2, 128, None, 3, 1682), (SMOL, "lora", "fp32", 16, 128, None, 3, 6677),
         (SMOL, "lora", "fp32", 8, 128, 8, 3, 1792), (SMOL, "lora", "bf16", 8, 128, 8, 3, 1286),
         (SMOL, "lora", "fp32", 8, 128, None, None, 4729), (SMOL, "lora", "fp32", 4, 512, None, 3, 6408),
         (SMOL, "full", "fp32", 8, 128, None, 3, 4290), (MINI, "full", "fp32", 8, 128, None, 3, 1178),
         (MINI, "full", "fp32", 32, 128, None, 3, 2225)]


@pytest.mark.parametrize(("name", "precision", "batch", "length", "measured"), RUN)
def test_running_is_predicted_within_a_tenth(name: str, precision: Any, batch: int, length: int,
                                             measured: int) -> None:
    assert to_run(card(name), precision, context=length, batch=batch) / MIB == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize(("name", "method", "precision", "batch", "length", "layers", "labels", "measured"), TRAIN)
def test_training_is_predicted_within_a_tenth(name: str, method: Any, precision: Any, batch: int, length: int,
                                              layers: int | None, labels: int | None, measured: int) -> None:
    predicted = to_train(card(name), method, precision, Step(batch * length, length, layers), labels=labels,
                         in_run=False)
    assert predicted / MIB == pytest.approx(measured, rel=0.1)


# GB of whole runs, each from its own log (docs/LOG.md): what was planned must hold, and not be far above.
@pytest.mark.parametrize(("predicted", "peak"), [
    (to_train(card(SMOL), "lora", "fp32", Step(2048, 256, 10), labels=3), 3.04),
    (to_train(card(MINI), "full", "fp32", Step(2048, 256, 3), labels=3), 1.50),
    (to_run(card(MINI), "fp32", context=256, batch=8, in_run=True), 1.15)])
def test_a_run_needs_no_more_than_was_planned(predicted: int, peak: float) -> None:
    assert 0.85 < predicted / 1e9 / peak < 1.3


@pytest.mark.parametrize(("method", "precision"), [("full", "fp32"), ("full", "bf16"), ("lora", "bf16"),
                                                   ("lora", "fp32"), ("qlora", "bf16")])
def test_a_run_adds_what_it_holds_and_a_share_of_all_but_the_weights(method: Any, precision: Any) -> None:
    one = card("llama-3-8b-instruct")
    bare, run = (to_train(one, method, precision, labels=2, in_run=in_run) for in_run in (False, True))
    stored = weights(one, "int4" if method == "qlora" else precision)
    rest = (run - bare - RUN_HOLDS) / HOLES
    assert rest == pytest.approx(bare - stored, rel=0.2 if method == "qlora" else 1e-6)
    bare, run = (to_run(one, "bf16", in_run=in_run) for in_run in (False, True))
    assert run - bare == pytest.approx(RUN_HOLDS + HOLES * (bare - weights(one, "bf16")))


def test_disk_agrees_with_the_real_files() -> None:
    assert on_disk(card(SMOL), "int4") == pytest.approx(98_362_432, rel=0.02)
    assert on_disk(card(MINI), "fp32") == pytest.approx(91_625_610, rel=0.02)


def test_the_adapter_has_the_size_that_peft_gives_it() -> None:
    assert adapter_parameters(card(SMOL), 16) == 4_884_480
    assert adapter_parameters(card(SMOL), 16, trained_layers=8) == 4_884_480 * 8 // 30
    assert adapter_parameters(card(SMOL), 32) == 2 * adapter_parameters(card(SMOL), 16)


@pytest.mark.parametrize("name", sorted(cards()))
def test_finer_costs_more(name: str) -> None:
    one = card(name)
    runs = [to_run(one, p) for p in ("int4", "int8", "bf16", "fp32")]
    assert runs == sorted(runs) and len(set(runs)) == 4
    ways = [to_train(one, "qlora", "bf16", labels=2), to_train(one, "lora", "bf16", labels=2),
            to_train(one, "full", "bf16", labels=2)]
    if (one.count or 0) > 1e8:
        assert ways == sorted(ways)
    assert to_train(one, "lora", "bf16", labels=2) > to_run(one, "bf16", context=128)
    assert to_run(one, "bf16", context=256, batch=8) > to_run(one, "bf16", context=256)


def test_fewer_layers_tokens_and_logits_cost_less() -> None:
    one = card(SMOL)
    whole = to_train(one, "lora", "bf16")
    assert to_train(one, "lora", "bf16", logit_tokens=128) < whole
    assert to_train(one, "lora", "bf16", labels=3) < to_train(one, "lora", "bf16", logit_tokens=128)
    assert to_train(one, "lora", "bf16", Step(layers=8)) < whole
    assert to_train(one, "lora", "bf16", Step(tokens=256)) < whole
    assert to_train(one, "full", "fp32", Step(layers=8)) < to_train(one, "full", "fp32")


def test_of_an_encoder_decoder_the_top_layers_of_both_are_trained() -> None:
    one = card("flan-t5-small")
    assert adapter_parameters(one, 16, trained_layers=2) == adapter_parameters(one, 16) // 4  # 2 of 8 and 2 of 8
    assert adapter_parameters(one, 16, trained_layers=10) == adapter_parameters(one, 16)
    assert to_train(one, "lora", "bf16", Step(layers=2)) < to_train(one, "lora", "bf16", Step(layers=8))


def test_a_window_keeps_the_cache_small_and_an_encoder_has_none() -> None:
    windowed = card("gemma-3-1b-it")
    assert cache(windowed, "bf16", context=32768) < cache(windowed, "bf16", context=512) * 64 / 4
    every = card("biomistral-7b").model_copy(update={"context": 32768})  # every layer has a window of 4,096
    assert cache(every, "bf16", context=32768) == cache(every, "bf16", context=4096)
    assert cache(card(MINI), "fp32", context=256) == 0
    assert cache(card("falcon-7b-instruct"), "bf16", context=2048) == 2 * 32 * 64 * 2048 * 2


def test_no_more_context_is_planned_than_the_model_takes() -> None:
    assert to_run(card(MINI), "fp32", context=10_000) == to_run(card(MINI), "fp32", context=256)


def test_quantized_weights_are_not_trained_whole() -> None:
    with pytest.raises(UserError, match="int4"):
        to_train(card(SMOL), "full", "int4")


def test_a_card_without_a_shape_says_so() -> None:
    bare = Card.model_validate({**card(SMOL).model_dump(), "architecture": None})
    with pytest.raises(DataError, match="smollm2-135m-instruct"):
        weights(bare, "bf16")
