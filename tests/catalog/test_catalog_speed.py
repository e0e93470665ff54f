"""The probe is quick, kept, and measured anew on another processor; predictions follow from it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from seedbed.catalog import speed as room
from seedbed.catalog.architecture import parameters
from seedbed.catalog.cards import card
from seedbed.catalog.memory import shape, weights
from seedbed.catalog.speed import DECODE_SHARE, Speed, decode, prefill, probe, save, saved
from seedbed.machine import machine

FIELD = Speed(processor="the field's", cores=2, features=("amx_bf16",), fp32_gflops=279, bf16_gflops=1950,
              memory_gb_s=18, measured="2026-11-23")


def test_the_probe_measures_once_and_is_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert saved() is None
    start = time.process_time()
    first = probe()
    assert time.process_time() - start < 3 * machine().cores + 3
    assert first.fp32_gflops > 0 and first.memory_gb_s > 0 and first.bf16_gflops is None
    assert (home / "probe.json").is_file() and not list(home.glob("*.partial"))
    monkeypatch.setattr(room, "_best", lambda _: pytest.fail("measured again"))
    assert probe() == first == saved()


def test_another_processor_is_measured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    first = probe()
    other = replace(machine(), processor="another")
    monkeypatch.setattr(room, "machine", lambda: other)
    assert saved() is None
    monkeypatch.setattr(room, "_best", lambda _: 1.0)
    assert probe().processor == "another" != first.processor
    assert probe(again=True).fp32_gflops == pytest.approx(2.1)


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"processor": 3}'])
def test_a_broken_record_is_measured_anew(home: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (home / "probe.json").write_text(text)
    monkeypatch.setattr(room, "_best", lambda _: 1.0)
    assert probe() == saved()


def test_a_home_that_cannot_be_written_is_no_reason_to_stop(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Speed) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(room, "_best", lambda _: 1.0)
    monkeypatch.setattr(room, "save", refuse)
    assert probe().fp32_gflops > 0 and saved() is None


def test_bf16_can_be_added_later() -> None:
    here = machine()
    mine = FIELD.model_copy(update={"processor": here.processor, "cores": here.cores, "features": here.features})
    save(mine)
    assert probe().bf16_gflops == 1950


def test_predictions_agree_with_what_was_measured_in_the_field() -> None:
    smol = card("smollm2-135m-instruct")
    assert 2300 * 0.7 < prefill(smol, "int8", FIELD) < 2700 * 1.3  # OpenVINO
    assert 52 * 0.7 < (decode(smol, "int8", FIELD) or 0) < 52 * 1.3
    assert 67 * 0.7 < (decode(smol, "int4", FIELD) or 0) < 72 * 1.3  # OpenVINO, llama.cpp
    assert prefill(smol, "fp32", FIELD) < prefill(smol, "bf16", FIELD)


def test_less_is_faster() -> None:
    small, large = card("smollm2-135m-instruct"), card("llama-3-8b-instruct")
    assert prefill(small, "bf16", FIELD) > 20 * prefill(large, "bf16", FIELD)
    paces = [decode(large, p, FIELD) or 0 for p in ("fp32", "bf16", "int8", "int4")]
    assert paces == sorted(paces) and decode(large, "int4", FIELD, context=8000) < paces[3]  # type: ignore[operator]
    assert decode(card("all-minilm-l6-v2"), "fp32", FIELD) is None


def test_what_is_not_read_for_a_word_costs_nothing() -> None:
    untied, counts = card("llama-3-8b-instruct"), parameters(shape(card("llama-3-8b-instruct")))
    read = FIELD.memory_gb_s * 1e9 * DECODE_SHARE / (decode(untied, "int4", FIELD, context=1) or 0)
    assert read == pytest.approx(weights(untied, "int4") - counts.tables * 34 / 32, rel=1e-3)
    tower = card("gemma-3-4b-it")
    without = tower.model_copy(update={"architecture": shape(tower).model_copy(update={"extra_parameters": 0})})
    assert decode(tower, "bf16", FIELD) == pytest.approx(decode(without, "bf16", FIELD))
