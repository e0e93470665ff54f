from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from seedbed.errors import UserError
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


@pytest.mark.parametrize(("device", "local", "bf16", "expected"), [
    ("auto", 0, True, (torch.bfloat16, "cuda:0")), ("cuda", 1, False, (torch.float32, "cuda:1")),
    ("cpu", 0, True, (torch.bfloat16, "cpu"))])
def test_a_process_takes_the_gpu_of_its_number(device: str, local: int, bf16: bool, expected: tuple[Any, str],
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch says of GPUs is made up here; there is none."""
    chosen = list[torch.device]()
    for name, value in {"is_available": lambda: True, "device_count": lambda: 2, "set_device": chosen.append,
                        "is_bf16_supported": lambda including_emulation: bf16,
                        "get_device_name": lambda which: "Made Up"}.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setenv("SEEDBED_DEVICE", device)
    monkeypatch.setenv("LOCAL_RANK", str(local))
    settings.cache_clear()
    found = REAL()
    assert (found.dtype, str(found.device)) == expected == (found.dtype, found.describe()["device"])
    assert [str(one) for one in chosen] == [one for one in (expected[1],) if one != "cpu"]
    assert ("GPU Made Up" in found.line) == (expected[1] != "cpu") == ("on the CPU" not in found.line)


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDBED_DEVICE", "cuda")
    settings.cache_clear()
    with pytest.raises(UserError, match="sees 0 GPUs, and process 1 here needs one") as told:
        REAL()
    assert "--device cpu" in told.value.hint
