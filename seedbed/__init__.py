"""Seedbed: from a file of labelled text to a proven, running small language model."""

from __future__ import annotations

__version__ = "0.1.0"
