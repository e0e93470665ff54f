"""Telling a process that is at work from one that died and whose number another one took."""

from __future__ import annotations

from pathlib import Path

import psutil


def born(pid: int) -> str | None:
    """When a process of this machine began, as text to compare; None when it is gone (or a zombie).

    On Linux the boot's id and the ticks since boot: exact, and no change of the clock moves them.
    """
    boot = Path("/proc/sys/kernel/random/boot_id")
    try:
        if boot.exists():
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
            return None if fields[0] in "ZX" else f"{boot.read_text().strip()}:{fields[19]}"
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except (OSError, psutil.Error):
        return None
