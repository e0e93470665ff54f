"""Fixtures of this folder; what they are made of is in conftest_catalog.py, which tests can import."""

from __future__ import annotations

from conftest_catalog import make_card, make_wheel, models

__all__ = ["make_card", "make_wheel", "models"]
