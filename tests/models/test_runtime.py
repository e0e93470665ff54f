from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from seedbed.machine import machine
from seedbed.models import runtime as module
from seedbed.settings import settings

REAL = module.runtime


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test chooses anew, as if the processor had bf16."""
    monkeypatch.setenv("SEEDBED_THREADS", "1")
    settings.cache_clear()
    able = dataclasses.replace(machine(), features=("avx2", "avx512_bf16"))
    monkeypatch.setattr(module, "machine", lambda: able)
    monkeypatch.setattr(module, "_seconds", lambda a, b: 1.0 if a.dtype == torch.bfloat16 else 3.0)
    REAL.cache_clear()
    yield
    REAL.cache_clear()


def test_bf16_where_it_proves_itself() -> None:
    found = REAL()
    assert found.dtype == torch.bfloat16
    assert found.speedup == 3.0
    assert found.error is not None
    assert 0 < found.error < module.TOLERANCE
    assert found.threads == 1 == torch.get_num_threads()
    assert found.describe()["precision"] == "bfloat16"
    assert REAL() is found


@pytest.mark.parametrize("wrong", ["a tenth off", "one row", "nan"])
def test_fp32_where_the_products_are_wrong(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.Tensor.bfloat16

    def broken(self: Any) -> Any:
        out = real(self).clone()
        if wrong == "a tenth off":
            out *= 1.1
        else:
            out[0] = 0 if wrong == "one row" else float("nan")
        return out
    monkeypatch.setattr(torch.Tensor, "bfloat16", broken)
    found = REAL()
    assert found.dtype == torch.float32
    assert found.reason == "fp32: the bf16 self-test gave wrong products"
    assert found.error is not None
    assert not found.error < module.TOLERANCE


def test_fp32_where_bf16_is_no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_seconds", lambda a, b: 1.0)
    found = REAL()
    assert (found.dtype, found.speedup) == (torch.float32, 1.0)
    assert "no faster" in found.reason


def test_fp32_without_the_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "machine", lambda: dataclasses.replace(machine(), features=("avx2",)))
    found = REAL()
    assert (found.dtype, found.error, found.speedup) == (torch.float32, None, None)
    assert "no bf16 instructions" in found.reason
