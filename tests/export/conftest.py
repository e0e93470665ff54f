from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sample_bundle import make

from seedbed.export.bundle import Bundle


@pytest.fixture(scope="session")
def shared_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle that tests only read."""
    return make(tmp_path_factory.mktemp("bundle") / "bundle")


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Bundle]:
    """`make_bundle(**changes)`: a bundle of the test's own in `tmp_path / "bundle"`."""
    return lambda **changes: make(tmp_path / "bundle", **changes)
