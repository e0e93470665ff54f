"""One thread and fp32 unless a test says otherwise: sums are then the same on every machine."""

from __future__ import annotations

from tiny import exactly  # noqa: F401
