"""How torch runs on this machine: device, threads, allocator, and the precision that proves itself.

bf16 is chosen only when the processor has instructions for it, the product of two matrices agrees with fp32,
and it is faster: on some processors bf16 is emulated (slow) or has been wrong (openvino#38256). A GPU says by
itself what it can.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import time
from dataclasses import dataclass
from functools import cache

import torch

from ..errors import UserError
from ..machine import BF16_FEATURES, machine
from ..settings import settings

TOLERANCE = 2e-2
"""Largest error of a bf16 product, relative to the largest value. bf16 keeps 8 bits: one rounding is 0.4 %."""

CPU = torch.device("cpu")

MALLOPT_TRIM_THRESHOLD, MALLOPT_TOP_PAD, MALLOPT_MMAP_THRESHOLD = -1, -2, -3


@dataclass(frozen=True)
class Runtime:
    """What was chosen, for the first line of a run and for the report.

    Args:
        dtype: the type of weights and activations.
        threads: threads of one operation.
        error: largest relative error of the bf16 self-test; None when it was not run.
        speedup: bf16 against fp32 in that test; None likewise.
        reason: one clause for people.
        device: where models are.
    """

    dtype: torch.dtype
    threads: int
    error: float | None
    speedup: float | None
    reason: str
    device: torch.device = CPU

    @property
    def line(self) -> str:
        """One sentence for people: where and how models run."""
        return (f"Runs on the {self.where} with {self.reason}, {self.threads} "
                f"thread{'s' * (self.threads != 1)}.")

    @property
    def where(self) -> str:
        """The device, for people."""
        return "CPU" if self.device == CPU else f"GPU {torch.cuda.get_device_name(self.device)} ({self.device})"

    def describe(self) -> dict[str, object]:
        return {"device": str(self.device), "precision": str(self.dtype).removeprefix("torch."),
                "threads": self.threads, "reason": self.reason, "self_test_error": self.error,
                "bf16_speedup": self.speedup}


def keep_memory() -> None:
    """Tell glibc to keep freed blocks instead of giving them back to the system.

    A training step frees and takes the same hundreds of megabytes; each return costs page faults, which are
    dear on a virtual machine. Elsewhere than on glibc nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(MALLOPT_MMAP_THRESHOLD, 1 << 30)
    mallopt(MALLOPT_TRIM_THRESHOLD, 1 << 30)
    mallopt(MALLOPT_TOP_PAD, 64 << 20)


def give_back_memory() -> None:
    """Give up what nothing needs any more, and return it to the system: between two models."""
    gc.collect()
    return_freed()


def return_freed() -> None:
    """Return freed blocks to the system: between two passes, not between two steps."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def settle(device: torch.device) -> None:
    """Wait until a GPU has done what it was told, before a clock is read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _seconds(a: torch.Tensor, b: torch.Tensor) -> float:
    best = float("inf")
    for _ in range(4):
        begin = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - begin)
    return best


def _gpu() -> Runtime | None:
    """The GPU of this process; None where there is none and none was asked for."""
    local, count = settings().local, torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count and settings().device == "auto":
        return None
    if local >= count:
        raise UserError(f"torch {torch.__version__} sees {count} GPUs, and process {local + 1} here needs one.",
                        "Start one process for each GPU, install a torch with CUDA, or say --device cpu.")
    device = torch.device("cuda", local)
    torch.cuda.set_device(device)
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return Runtime(torch.bfloat16, settings().threads, None, None, "bf16", device)
    return Runtime(torch.float32, settings().threads, None, None, "fp32: the GPU has no bf16 instructions", device)


@cache
def runtime() -> Runtime:
    """Prepare torch for this process, once, and say how it will run.

    Raises:
        UserError: a GPU is asked for and torch sees none, or not as many as processes were started here.
    """
    threads = settings().threads
    torch.set_num_threads(threads)
    if settings().device != "cpu" and (found := _gpu()):
        return found
    keep_memory()
    if not BF16_FEATURES & set(machine().features):
        return Runtime(torch.float32, threads, None, None, "fp32: the processor has no bf16 instructions")
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(512, 576, generator=generator)
    b = torch.randn(576, 576, generator=generator)
    exact, short = a @ b, (a.bfloat16() @ b.bfloat16()).float()
    error = float((exact - short).abs().max() / exact.abs().max())
    speedup = round(_seconds(a, b) / _seconds(a.bfloat16(), b.bfloat16()), 2)
    if not error < TOLERANCE:
        return Runtime(torch.float32, threads, error, speedup, "fp32: the bf16 self-test gave wrong products")
    if speedup < 1.1:
        return Runtime(torch.float32, threads, error, speedup, "fp32: bf16 is no faster on this processor")
    return Runtime(torch.bfloat16, threads, error, speedup, f"bf16: self-test passed, {speedup:.1f} times fp32")
