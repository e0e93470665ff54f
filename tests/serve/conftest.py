"""The sample bundle of the export tests serves here too."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from seedbed.export.bundle import Bundle

sys.path.insert(0, str(Path(__file__).parent.parent / "export"))


@pytest.fixture(scope="session")
def served_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle that tests only read."""
    from sample_bundle import make

    return make(tmp_path_factory.mktemp("served") / "bundle")
