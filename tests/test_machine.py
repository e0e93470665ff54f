"""Facts of the machine."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from seedbed.machine import machine, memory_to_plan_for, peak_memory, versions
from seedbed.settings import settings


def test_facts_agree_with_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    here = machine()
    assert here.processor
    assert here.memory == psutil.virtual_memory().total
    assert 1 <= here.cores <= (psutil.cpu_count() or 1)
    assert set(here.to_dict()) == {"processor", "cores", "features", "memory", "system"}


def test_the_memory_to_plan_for_is_the_limit_or_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < memory_to_plan_for() <= psutil.virtual_memory().total
    monkeypatch.setenv("SEEDBED_MEMORY_LIMIT", "123456")
    settings.cache_clear()
    assert memory_to_plan_for() == 123456


def test_peak_memory_is_in_bytes_and_never_falls() -> None:
    code = ("from seedbed.machine import peak_memory; a = peak_memory(); b = bytearray(200_000_000); del b; "
            "print(a, peak_memory())")
    before, after = map(int, subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                                            check=True).stdout.split())
    assert 5_000_000 < before < 200_000_000
    assert after - before > 150_000_000
    assert peak_memory() > 5_000_000


def test_versions_say_what_is_not_installed() -> None:
    found = versions(("pytest", "no-such-part"))
    assert found["pytest"] == pytest.__version__
    assert found["no-such-part"] is None
    assert found["python"] == sys.version.split()[0]
    assert found["seedbed"]
