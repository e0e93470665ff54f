"""Write under a temporary name beside the target, so that a half-written thing never has the target's name."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from ..errors import NoResources


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """A free name in the target's folder, for a file or a folder that the caller makes and renames to `target`.

    What still has the temporary name at the end is removed, whatever happened.

    Raises:
        NoResources: the disk is full.
    """
    part = target.with_name(f".{target.name}.{uuid4().hex[:8]}.part")
    try:
        yield part
    except Exception as problem:
        # safetensors wraps the system's error in one of its own that has no errno.
        if getattr(problem, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "os error 28" in str(problem):
            raise NoResources(f"The disk is full while writing {target}. Nothing was written.",
                              f"Free some space in {target.parent} and run it again.") from problem
        raise
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
