"""Run code that a model wrote, and tests of it, in a process that can do little harm."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError

SAID = 2_000
"""Characters of the output that are kept, from its end."""


@dataclass(frozen=True)
class Limits:
    """What a program may use.

    Args:
        seconds: by the clock, and of the processor.
        memory: bytes of address space.
        file: bytes of a file, and of the output.
    """

    seconds: int = 10
    memory: int = 1 << 30
    file: int = 1 << 24


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Args:
        passed: the code ran and its tests came to their end without an error.
        said: the end of what was printed, errors included.
        why: `passed`, `failed`, `timeout`, or `killed` (by a limit, or by a crash).
        unguarded: of `files`, `processes`, `network` what this kernel could not keep from the code.
    """

    passed: bool
    said: str
    why: str
    seconds: float
    unguarded: tuple[str, ...]


def run(code: str, tests: str, limits: Limits = Limits()) -> Outcome:
    """Run Python code and then its tests in the same namespace: a new process, an empty folder, no input.

    On Linux of a kernel with Landlock and seccomp (x86-64 and aarch64) the code can read Python's own files alone and
    write to its folder alone; it cannot start processes, signal others, open sockets or
    leave anything in the kernel. What could not be set up is
    in `Outcome.unguarded`; elsewhere that is all three, and only limits of time, memory and file size hold.

    It is no prison for an attacker. It does not protect from bugs of the kernel or of Python, from a disk filled with
    many files within the time, nor from code that finds the way by which a pass is reported and says that it passed.
    Run what you would not run yourself in a virtual machine.

    Args:
        code: what the model wrote.
        tests: asserts, or `unittest` with `unittest.main()`. They fail by raising.

    Raises:
        UserError: the system has no such processes (Windows).
    """
    if os.name != "posix":
        raise UserError("Code of models is run on Linux and macOS only: here nothing would confine it.",
                        "Run it in WSL, or leave out the tests.")
    with tempfile.TemporaryDirectory(prefix="seedbed-sandbox-", ignore_cleanup_errors=True) as place, \
            tempfile.TemporaryFile() as output:
        folder = Path(place).resolve() / "work"
        folder.mkdir()
        (folder / "job.json").write_text(json.dumps([code, tests]), encoding="utf-8")
        heard, report = os.pipe()
        begin = time.monotonic()
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-X", "utf8", str(Path(__file__).with_name("confined.py")), str(folder),
                 str(report), *map(str, (limits.seconds, limits.memory, limits.file))],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=(report,), start_new_session=True,
                env={"PATH": os.defpath, "HOME": str(folder), "TMPDIR": str(folder), "OPENBLAS_NUM_THREADS": "1"})
        finally:
            os.close(report)
        try:
            why = "failed" if process.wait(limits.seconds) == 0 else "killed"
        except subprocess.TimeoutExpired:
            why = "timeout"
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        seconds = time.monotonic() - begin
        guards, _, end = _heard(heard).partition(b"\n")
        output.seek(max(0, output.seek(0, os.SEEK_END) - 4 * SAID))
        said = output.read().decode(errors="replace")[-SAID:]
        passed = why == "failed" and end == b"passed"
        return Outcome(passed, said, "passed" if passed else why, seconds,
                       tuple(json.loads(guards)) if guards else ())


def _heard(pipe: int) -> bytes:
    """What was reported. A process that got away would keep the pipe open, so it is not waited for."""
    os.set_blocking(pipe, False)
    try:
        return os.read(pipe, 4096)
    except BlockingIOError:
        return b""
    finally:
        os.close(pipe)
