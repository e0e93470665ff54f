"""Every error that a user can cause, and how each door (command line, HTTP) shows it.

A `UserError` is two lines: what was wrong and where, then what to do. It is raised in any room and turned
into an exit code or an HTTP status in exactly one place a door, from the class attributes below.
"""

from __future__ import annotations

import errno
import re


class UserError(Exception):
    """Something the user can mend.

    Args:
        message: one line, what was wrong and where (file, line, column).
        hint: one line, what to do about it.
    """

    exit_code = 2
    http_status = 400
    code = "invalid_request"

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = " ".join(message.split())
        self.hint = " ".join(hint.split())

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}"


class NotFound(UserError):
    """A file, model, run or bundle that is not there."""

    http_status = 404
    code = "not_found"


class DataError(UserError):
    """The user's data cannot be used as it is."""

    http_status = 422
    code = "invalid_data"


class CorruptFile(UserError):
    """A file of ours does not match its hash or cannot be parsed."""

    http_status = 500
    code = "corrupt_file"


class Offline(UserError):
    """Something must be fetched, and fetching is off or impossible."""

    exit_code = 4
    http_status = 503
    code = "offline"


class NoResources(UserError):
    """Memory, disk or time does not suffice; the hint names what would."""

    exit_code = 5
    http_status = 507
    code = "no_resources"


class MissingExtra(UserError):
    """An optional dependency is not installed.

    Args:
        feature: what the user asked for.
        extra: the extra of this package that carries it.
        more: of the install line, after it.
    """

    code = "missing_extra"
    http_status = 501

    def __init__(self, feature: str, extra: str, more: str = "") -> None:
        super().__init__(f"{feature} needs an optional part that is not installed.",
                         f"Install it with: pip install 'seedbed[{extra}]'{more}")


class Busy(UserError):
    """Another process holds the thing."""

    exit_code = 6
    http_status = 409
    code = "busy"


class QualityFloor(UserError):
    """Nothing passed the required quality; nothing was written."""

    exit_code = 3
    http_status = 409
    code = "quality_floor"


class Interrupted(UserError):
    """The user stopped it; the state is kept."""

    exit_code = 130
    http_status = 499
    code = "interrupted"


def lacking(problem: BaseException) -> str:
    """`memory` or `disk` where that is what the machine ran out of, else empty.

    Libraries in C++ and Rust say it in words, not in a class.
    """
    if isinstance(problem, UserError):
        return ""
    text = str(problem)
    if isinstance(problem, MemoryError) or "DefaultCPUAllocator" in text or "not enough memory" in text:
        return "memory"
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    told = re.search(r"\(os error (\d+)\)|\[Errno (\d+)\]", text)
    number = problem.errno if isinstance(problem, OSError) else int(told[1] or told[2]) if told else None
    return "disk" if number in full else ""
