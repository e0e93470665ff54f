"""How much one request may ask, and how many may wait."""

from __future__ import annotations

from dataclasses import dataclass

from ..options import option


@dataclass(frozen=True)
class Limits:
    """Bounds of the server."""

    max_body: int = option(4 * 2**20, "Bytes a request's body may have.", minimum=1)
    max_texts: int = option(1024, "Texts a request may hold.", minimum=1)
    max_waiting: int = option(64, "Requests that may wait for the model.", minimum=1)
