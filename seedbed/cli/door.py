"""The command line's one door for errors: two lines for what a user can mend, a crash file for what is our defect."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from typer.exceptions import Abort, TyperException

from ..errors import Interrupted, NoResources, UserError, lacking
from ..settings import settings

DEFECT = 70
"""Exit code of a defect in Seedbed (EX_SOFTWARE); what a user can mend has the code of its error class."""

PLACES = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG)
"""What the system says when a place is not one to read or write."""

SECRETS = (
    (re.compile(r"(?<=://)[^\s/@:'\"]*:[^\s/@'\"]+(?=@)"), "***"),
    (re.compile(r"\b(?:hf|sk|pk|ghp|gho|ghs|xoxb|glpat)[_-][A-Za-z0-9_-]{8,}"), "***"),
    (re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{6,}"), r"\1***"),
    (re.compile(r"(?i)((?:password|passwd|secret|token|api[-_]?key)['\"]?\s*[=:]\s*['\"]?)[^\s'\",&;)]+"), r"\1***"),
)


def redact(text: str) -> str:
    """The text without what looks like a password, a token or a key."""
    for pattern, instead in SECRETS:
        text = pattern.sub(instead, text)
    return text


def explain(problem: BaseException) -> UserError | None:
    """The error as the user's two lines; None when it is a defect of ours."""
    if isinstance(problem, UserError):
        return problem
    if isinstance(problem, TyperException):
        where = getattr(getattr(problem, "ctx", None), "command_path", "seedbed")
        return UserError(problem.format_message(), f"{where} --help")
    if isinstance(problem, Abort):
        return UserError("Stopped without an answer.", "Run it again and answer the question.")
    if isinstance(problem, KeyboardInterrupt):
        return Interrupted("Interrupted by Ctrl-C.", "Run the command again when you are ready.")
    short_of = lacking(problem)
    if short_of == "memory":
        return NoResources("The memory of this machine did not suffice.",
                           "Close other programs, take a smaller model (--model) or give fewer or shorter rows.")
    if short_of == "disk":
        name = getattr(problem, "filename", None)
        return NoResources(f"The disk is full{f' while writing {name}' if name else ''}.",
                           "Free some space, or set SEEDBED_HOME to a folder on another disk.")
    if isinstance(problem, OSError) and problem.filename and problem.errno in PLACES:
        return UserError(f"{problem.filename} cannot be read or written: {problem.strerror}.",
                         "Change its permissions, or name another place.")
    return None


def answer(problem: BaseException, arguments: Sequence[str], debug: bool) -> int:
    """Tell the user what happened, on standard error; the exit code.

    Args:
        arguments: the command line's words, for the crash file.
        debug: show the traceback as well.
    """
    story = redact("".join(traceback.format_exception(problem)))
    if debug:
        print(story, file=sys.stderr, end="")
    known = explain(problem)
    if known is not None:
        print(f"error: {_clean(known.message)}\n  try: {_clean(known.hint)}", file=sys.stderr)
        return known.exit_code
    told = f"{type(problem).__name__}: {problem}".splitlines()[0][:200]
    print(f"This is a defect in Seedbed, not in your data: {_clean(told)}", file=sys.stderr)
    path = _keep(story, arguments)
    print(f"The details are in {path}: please send that file with your report." if path else
          "Run it again with --debug to see the details.", file=sys.stderr)
    return DEFECT


def _clean(text: str) -> str:
    """Without secrets, and without bytes from a file name that would drive the terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in redact(text))


def _keep(story: str, arguments: Sequence[str]) -> Path | None:
    from .. import __version__

    name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.getpid()}.txt"
    head = f"seedbed {__version__}, Python {sys.version.split()[0]}, {sys.platform}\nseedbed {' '.join(arguments)}"
    places: tuple[Callable[[], Path], ...] = (
        lambda: settings().home / "crashes", lambda: Path(tempfile.mkdtemp(prefix="seedbed-")))
    for place in places:
        with contextlib.suppress(OSError, UserError):
            folder = place()
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"{redact(head)}\n\n{story}", encoding="utf-8")
            return folder / name
    return None
