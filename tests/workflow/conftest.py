"""A tiny ladder and made-up tables as fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from made_tables import Table, table, use_tiny

from seedbed.workflow import candidates


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tiny models are fetched to, apart from the real ones."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def tiny_ladder(home: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home folder of a process whose ladder has tiny models."""
    use_tiny(monkeypatch, home, tiny_models)
    yield home


@pytest.fixture
def make_table(tmp_path: Path) -> Table:
    """`make_table(rows, name=..., ...)` writes a table of made-up texts and gives its path."""
    def make(rows: int, name: str = "data.csv", **more: object) -> Path:
        return table(tmp_path / name, rows, **more)  # type: ignore[arg-type]
    return make


@pytest.fixture(autouse=True, scope="session")
def _quick_speed() -> Iterator[None]:
    """Speed is measured in a blink: here it is asked that it is there, not what it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "SPEED_SECONDS", 0.05)
        yield
