from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from seedbed.evaluate.energy import WATTS_A_CORE, Counters, Meter


def zone(root: Path, path: str, name: str, microjoules: int, limit: int = 1_000_000_000) -> Path:
    folder = root / path
    folder.mkdir(parents=True)
    (folder / "name").write_text(name + "\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text(f"{limit}\n")
    return folder / "energy_uj"


def test_counters_add_packages_and_memory_and_survive_a_wrap(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 999_000_000)
    core = zone(tmp_path, "intel-rapl:0:0", "core", 5)
    memory = zone(tmp_path, "intel-rapl:0:1", "dram", 0)
    whole = zone(tmp_path, "intel-rapl:1", "psys", 0)
    counters = Counters(tmp_path)
    assert counters.readable
    for path, value in ((package, 4_000_000), (core, 9), (memory, 2_000_000), (whole, 500_000_000)):
        path.write_text(str(value))
    counters.poll()
    assert counters.joules == pytest.approx(5 + 2)
    counters.poll()
    assert counters.joules == pytest.approx(7)


def test_the_meter_prefers_the_processors_counters(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    with Meter(powercap=tmp_path) as meter:
        package.write_text("36000000")
    assert meter.energy.watt_hours == pytest.approx(.01) and "RAPL" in meter.energy.source


def test_without_counters_processor_time_is_estimated(tmp_path: Path) -> None:
    with Meter(powercap=tmp_path / "none", codecarbon=False) as meter:
        until = time.process_time() + .3
        while time.process_time() < until:
            pass
    assert meter.energy.source == f"estimated from processor time at {WATTS_A_CORE:g} W a core"
    assert .25 * WATTS_A_CORE / 3600 <= meter.energy.watt_hours <= 1.5 * WATTS_A_CORE / 3600
    assert meter.seconds >= .25


BLOCKS = """
import sys, time
from pathlib import Path
import numpy as np
from seedbed.evaluate.energy import Meter

def meter():
    return Meter(powercap=Path(sys.argv[1]), codecarbon=False)

with meter() as idle:
    pass
with meter() as large:
    block = np.ones(25_000_000)  # 200 MB
    time.sleep(.1)
    del block
with meter() as after:
    time.sleep(.05)
print(idle.peak_memory, large.peak_memory, after.peak_memory)
"""


def test_peak_memory_is_that_of_the_block(tmp_path: Path) -> None:
    # in a process of its own: where torch has run, freed memory is kept for the next step
    done = subprocess.run([sys.executable, "-c", BLOCKS, str(tmp_path)], capture_output=True, text=True, check=True)
    idle, large, after = map(int, done.stdout.split())
    assert large > idle + 150_000_000
    assert after < large - 100_000_000  # an older peak is not blamed on a later block


def test_it_measures_what_fails_and_leaves_no_thread(tmp_path: Path) -> None:
    meter = Meter(powercap=tmp_path, codecarbon=False)
    with pytest.raises(KeyboardInterrupt), meter:
        raise KeyboardInterrupt
    assert meter.peak_memory > 0 and "processor time" in meter.energy.source
    assert not [t for t in threading.enumerate() if t.name == "seedbed-meter"]


def test_codecarbon_opens_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("codecarbon", reason="the extra `energy` is not installed: codecarbon is not tested")
    reached = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: reached.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: reached.append(a) or [])
    monkeypatch.chdir(tmp_path)
    with Meter(powercap=tmp_path) as meter:
        time.sleep(.2)
    assert "codecarbon" in meter.energy.source and meter.energy.watt_hours > 0
    assert reached == [] and list(tmp_path.iterdir()) == []


def test_a_broken_codecarbon_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    with Meter(powercap=tmp_path) as meter:
        pass
    assert "processor time" in meter.energy.source
