"""Talking with real processes."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence


def output(process: subprocess.Popen[str]) -> str:
    """Standard output of a process, once it ended well."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def together(processes: Sequence[subprocess.Popen[str]]) -> list[str]:
    """Let processes go at the same moment: each prints `ready` and waits for a line. What they print after it."""
    for process in processes:
        assert process.stdout and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    return [line for process in processes for line in output(process).splitlines()]
