"""Seconds, peak memory and energy of a piece of work."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any

import psutil

from ..machine import peak_memory
from .result import Energy

POWERCAP = Path("/sys/class/powercap")
WATTS_A_CORE = 6.0
"""Assumed draw of one busy core: 350 W over 56 cores of a server processor of 2023, 45 W over 8 of a laptop's."""
SAMPLE_SECONDS, COUNTER_SECONDS = 0.02, 1.0


class Counters:
    """The processor's own energy counters (RAPL), for the whole machine.

    Packages, and memory where it is counted apart. A counter wraps after some minutes to hours, so `poll` must be
    called more often than that. Hähnel et al. (2012), "Measuring energy consumption for short code paths using
    RAPL".
    """

    def __init__(self, root: Path = POWERCAP) -> None:
        self.joules = 0.0
        self._last: dict[Path, int] = {}
        self._range: dict[Path, int] = {}
        for zone in sorted(root.glob("intel-rapl:*")):  # AMD's processors come under this name too
            with contextlib.suppress(OSError, ValueError):
                name = (zone / "name").read_text().strip()
                if name == "dram" or (re.fullmatch(r"intel-rapl:\d+", zone.name) and name != "psys"):
                    counter = zone / "energy_uj"
                    self._last[counter] = int(counter.read_text())
                    self._range[counter] = int((zone / "max_energy_range_uj").read_text())

    @property
    def readable(self) -> bool:
        return bool(self._last) and self._last.keys() == self._range.keys()

    def poll(self) -> None:
        """Add what was used since the last call."""
        for counter, last in self._last.items():
            with contextlib.suppress(OSError, ValueError):
                now = int(counter.read_text())
                self.joules += (now - last if now >= last else now - last + self._range[counter]) / 1e6
                self._last[counter] = now


class Meter:
    """Measures a block: `with Meter() as meter: ...`, then `meter.seconds`, `.peak_memory`, `.energy`.

    Energy comes from the processor's counters where they can be read; else from codecarbon in its offline mode,
    where it is installed; else from processor time at `WATTS_A_CORE`. `energy.source` says which. Meters may nest.

    Args:
        powercap: folder of the counters.
        codecarbon: ask codecarbon when there are no counters.
    """

    def __init__(self, *, powercap: Path = POWERCAP, codecarbon: bool = True) -> None:
        self.seconds = 0.0
        self.peak_memory = 0
        """Largest resident size of this process during the block, in bytes."""
        self.energy = Energy(watt_hours=0.0, source="not measured yet")
        self._powercap, self._codecarbon = powercap, codecarbon

    def __enter__(self) -> Meter:
        self._counters = Counters(self._powercap)
        self._tracker = _tracker() if self._codecarbon and not self._counters.readable else None
        self._before = peak_memory()
        self._highest = self._resident()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="seedbed-meter", daemon=True)
        self._cpu, self._begun = _cpu_seconds(), perf_counter()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.seconds = perf_counter() - self._begun
        used = _cpu_seconds() - self._cpu
        self._stop.set()
        self._thread.join()
        self._counters.poll()
        # The kernel's own peak is exact, but covers the process's whole life: it tells when it was set in here.
        peak = peak_memory()
        self.peak_memory = peak if peak > self._before else max(self._highest, self._resident())
        self.energy = self._energy(used)

    def _energy(self, cpu_seconds: float) -> Energy:
        if self._counters.readable:
            return Energy(watt_hours=self._counters.joules / 3600,
                          source="the processor's own counters (RAPL), whole machine")
        if self._tracker is not None:
            with contextlib.suppress(Exception):  # another package's estimate must never end a training
                self._tracker.stop()
                return Energy(watt_hours=float(self._tracker.final_emissions_data.energy_consumed) * 1000,
                              source=f"estimated by codecarbon {version('codecarbon')} offline, from processor load "
                                     "and memory")
        return Energy(watt_hours=cpu_seconds * WATTS_A_CORE / 3600,
                      source=f"estimated from processor time at {WATTS_A_CORE:g} W a core")

    def _sample(self) -> None:
        polled = perf_counter()
        while not self._stop.wait(SAMPLE_SECONDS):
            self._highest = max(self._highest, self._resident())
            if perf_counter() - polled > COUNTER_SECONDS:
                self._counters.poll()
                polled = perf_counter()

    @staticmethod
    def _resident() -> int:
        return int(psutil.Process().memory_info().rss)


def _cpu_seconds() -> float:
    """Processor time of this process and of children that ended."""
    return sum(os.times()[:4])


def _tracker() -> Any:
    """A running codecarbon tracker that opens no connection and writes no file; None where it is not installed."""
    try:
        from codecarbon import OfflineEmissionsTracker

        logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # after the import, which sets it itself
        # The country only matters for carbon, which is not reported. Everything that sends or writes is off.
        tracker = OfflineEmissionsTracker(country_iso_code="USA", tracking_mode="process", measure_power_secs=5,
                                          save_to_file=False, save_to_api=False, save_to_logger=False,
                                          save_to_prometheus=False, save_to_logfire=False, log_level="critical",
                                          allow_multiple_runs=True)
        tracker.start()
    except Exception:  # not installed, or not able to run here: the estimate from processor time stands in
        return None
    return tracker
