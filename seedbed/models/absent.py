"""Packages that are kept from those that would load them for nothing."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def absent(name: str) -> Iterator[None]:
    """Within it a package cannot be imported, unless it is already. Whoever asks whether it is there, as transformers
    and PEFT do once, remembers that it is not.

    torchao, which LiteRT and ExecuTorch export with, is why: where it is installed, transformers and PEFT load it
    with every model, and its warnings come with it.
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
