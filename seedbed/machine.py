"""What this machine is: processor, memory, and what the process has used. No probe that takes time."""

from __future__ import annotations

import platform
import resource
import sys
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

import psutil

from .settings import settings

GIB = 1024**3


@dataclass(frozen=True)
class Machine:
    """Facts of the machine, for reports and choices.

    Args:
        processor: the maker's name for it.
        cores: cores this process may use.
        features: instruction sets that matter here (avx2, avx512f, avx512_bf16, amx_bf16, avx512_vnni ...).
        memory: bytes of memory in the machine.
        system: operating system and its release.
    """

    processor: str
    cores: int
    features: tuple[str, ...]
    memory: int
    system: str

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


MATTERING = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8", "asimd", "bf16",
             "i8mm", "sve")
BF16_FEATURES = frozenset(("avx512_bf16", "amx_bf16", "bf16"))


@cache
def machine() -> Machine:
    """This machine."""
    name, flags = platform.processor() or platform.machine(), set[str]()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() in ("flags", "Features"):
                flags = set(value.split())
                break
    return Machine(name, settings().threads, tuple(f for f in MATTERING if f in flags),
                   psutil.virtual_memory().total, f"{platform.system()} {platform.release()}")


def memory_to_plan_for() -> int:
    """Bytes a plan may use: the limit that was set, else what is free now, bounded by a cgroup's limit."""
    limit = settings().memory_limit
    if limit:
        return limit
    free = int(psutil.virtual_memory().available)
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(name).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            free = min(free, max(0, int(text) - psutil.Process().memory_info().rss))
    return free


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes.

    Linux's `ru_maxrss` starts at the size of the process that started this one, so the kernel's own mark is read.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


PARTS = ("torch", "transformers", "peft", "tokenizers", "scikit-learn", "numpy", "pyarrow", "sqlalchemy", "pydantic",
         "altair", "typer")


def versions(parts: tuple[str, ...] = PARTS) -> dict[str, str | None]:
    """Versions of this package, of Python and of installed packages, read without importing them; None: not there."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in ("seedbed", *parts):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found
