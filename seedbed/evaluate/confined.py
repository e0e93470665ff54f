"""The inside of the sandbox: a script of its own process that gives up its rights, then runs code and tests.

Started by `sandbox.py` as `python -I confined.py FOLDER REPORT SECONDS MEMORY FILE`. It imports nothing of Seedbed.

Landlock (Linux 5.13, ABI 1) takes all files but Python's own and the folder; a seccomp filter takes new processes,
signals to others, sockets, changes of owners and modes, and what would outlive the process. Neither needs a
privilege, and neither can be undone.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import struct
import sys
import traceback
import types
from pathlib import Path

MACHINES: dict[str, tuple[int, int, int, int, tuple[int, ...]]] = {
    # audit number; clone, tgkill, prlimit64; and by number what is refused:
    # fork vfork socket kill tkill ptrace rt_(tg)sigqueueinfo process_vm_writev (l|f)chown fchownat (f)chmod fchmodat
    # (l|f)setxattr mount unshare setns bpf io_uring_setup pidfd_send_signal pidfd_getfd fchmodat2 process_vm_readv,
    # and what would outlive the process: shmget semget msgget mq_open add_key request_key keyctl
    "x86_64": (0xC000003E, 56, 234, 302, (
        57, 58, 41, 62, 200, 101, 129, 297, 311, 92, 93, 94, 260, 90, 91, 268, 188, 189, 190, 165, 272, 308, 321, 425,
        424, 438, 452, 310, 29, 64, 68, 240, 248, 249, 250)),
    "aarch64": (0xC00000B7, 220, 131, 261, (
        198, 129, 130, 117, 138, 240, 271, 54, 55, 52, 53, 5, 6, 7, 40, 97, 268, 280, 425, 424, 438, 452, 270, 194,
        190, 186, 180, 217, 218, 219))}
"""System calls by the kernel's name of the machine."""
CLONE3, CLONE_THREAD = 435, 0x10000
KILL, ALLOW, ERROR, EPERM, ENOSYS = 0x80000000, 0x7FFF0000, 0x00050000, 1, 38
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""Instructions of the classic Berkeley packet filter, by which seccomp decides."""
NUMBER, MACHINE, FIRST = 0, 4, 16
"""Where the call's number, the machine and the first argument stand."""


def limit(seconds: int, memory: int, file: int) -> None:
    """Limits of processor seconds, address space and bytes a file."""
    for what, most in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, file),
                       (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 64)):
        with contextlib.suppress(ValueError, OSError):  # macOS refuses the address space
            resource.setrlimit(what, (most, most))


def keep_to(folder: Path, libc: ctypes.CDLL) -> None:
    """Only Python can be read from now on, and only the folder written (Landlock).

    Raises:
        OSError: the kernel does not do that.
    """
    version = _asked(libc.syscall(444, None, 0, 1))
    every = (1 << {1: 13, 2: 14}.get(version, 15)) - 1  # executing, reading, writing, making, removing ...
    ruleset = _asked(libc.syscall(444, struct.pack("Q", every), 8, 0))
    places = [(folder, every & ~1), (Path("/dev/null"), 0b110), (Path("/dev/urandom"), 0b100)]  # ~1: nothing executed
    places += [(Path(one), 0b1100) for one in {sys.prefix, sys.base_prefix, *filter(os.path.isdir, sys.path), "/usr",
                                               "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime"}]
    for place, rights in places:
        if place.exists():
            rights = rights if place.is_dir() else rights & 0b110
            opened = os.open(place, os.O_PATH)
            _asked(libc.syscall(445, ruleset, 1, struct.pack("=Qi", rights, opened), 0))
            os.close(opened)
    _asked(libc.prctl(38, 1, 0, 0, 0))  # no new privileges: asked for by both
    _asked(libc.syscall(446, ruleset, 0))


def refuse_calls(libc: ctypes.CDLL) -> None:
    """No new process, no signal to another, no socket from now on (seccomp).

    Raises:
        OSError: the kernel does not do that, or the machine is of a kind whose calls are not known here.
    """
    if os.uname().machine not in MACHINES:
        raise OSError("unknown machine")
    machine, clone, tgkill, prlimit, refused = MACHINES[os.uname().machine]
    no, yes = (RETURN, 0, 0, ERROR | EPERM), (RETURN, 0, 0, ALLOW)
    program = [(LOAD, 0, 0, MACHINE), (EQUAL, 1, 0, machine), (RETURN, 0, 0, KILL), (LOAD, 0, 0, NUMBER),
               (AT_LEAST, 0, 1, 0x40000000), no,                        # calls of x32
               (EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, ERROR | ENOSYS),   # its flags are in memory; clone is used then
               (EQUAL, 0, 4, clone), (LOAD, 0, 0, FIRST), (ANY_BIT, 0, 1, CLONE_THREAD), yes, no,
               (EQUAL, 0, 4, tgkill), (LOAD, 0, 0, FIRST), (EQUAL, 0, 1, os.getpid()), yes, no,
               (EQUAL, 0, 4, prlimit), (LOAD, 0, 0, FIRST), (EQUAL, 0, 1, 0), yes, no]
    program += [part for call in refused for part in ((EQUAL, 0, 1, call), no)] + [yes]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in program))
    _asked(libc.prctl(38, 1, 0, 0, 0))
    _asked(libc.prctl(22, 2, struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))))


def _asked(answer: int) -> int:
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


def main(folder: str, report: int, seconds: int, memory: int, file: int) -> None:
    """Give up rights, say which could not be, run, and say that the tests came to their end."""
    code, tests = json.loads(Path(folder, "job.json").read_text(encoding="utf-8"))
    Path(folder, "job.json").unlink()
    os.chdir(folder)
    libc, unguarded = ctypes.CDLL(None, use_errno=True), []
    try:
        keep_to(Path(folder), libc)
    except (OSError, AttributeError):
        unguarded += ["files"]
    limit(seconds, memory, file)
    try:
        refuse_calls(libc)
    except (OSError, AttributeError):
        unguarded += ["processes", "network"]
    os.write(report, json.dumps(unguarded).encode() + b"\n")
    sys.argv, sys.modules["__main__"] = ["answer.py"], types.ModuleType("__main__")  # where unittest looks for tests
    names = vars(sys.modules["__main__"])
    try:
        exec(compile(code, "answer.py", "exec"), names)
        try:
            exec(compile(tests, "tests.py", "exec"), names)
        except SystemExit as left:  # as unittest.main does
            if left.code:
                raise
    except SystemExit as left:
        print(f"SystemExit: {left.code}", file=sys.stderr)
    except BaseException:
        traceback.print_exc(limit=-3)
    else:
        os.write(report, b"passed")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads of the code do not keep it


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
