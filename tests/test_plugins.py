"""Parts by name, built in and from other packages."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from seedbed import plugins
from seedbed.errors import UserError
from seedbed.plugins import Registry


def test_a_part_is_made_only_when_asked_for() -> None:
    made: list[str] = []
    registry: Registry[str] = Registry("fruit", {"apple": lambda: made.append("apple") or "an apple",
                                                 "pear": lambda: "a pear"})
    assert list(registry) == ["apple", "pear"]
    assert made == []
    assert registry.get("apple") == "an apple"
    assert made == ["apple"]


def test_an_unknown_name_lists_what_there_is() -> None:
    registry: Registry[str] = Registry("fruit", {"pear": str, "apple": str})
    with pytest.raises(UserError) as told:
        registry.get("plum")
    assert "'plum'" in told.value.message
    assert told.value.hint == "Known: apple, pear."


def test_a_part_of_an_installed_package_comes_through_the_same_door(tmp_path: Path,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "orchard.py").write_text("plum = 'a plum'\n")
    info = tmp_path / "orchard-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: orchard\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[seedbed.fruit]\nplum = orchard:plum\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry: Registry[str] = Registry("fruit", {"apple": lambda: "an apple"})
    assert sorted(registry) == ["apple", "plum"]
    assert registry.get("plum") == "a plum"
    assert registry.get("apple") == "an apple"
    sys.modules.pop("orchard", None)


def test_two_parts_of_one_name_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    twin = EntryPoint("apple", "orchard:apple", "seedbed.fruit")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [twin])
    registry: Registry[str] = Registry("fruit", {"apple": str})
    with pytest.raises(UserError) as told:
        registry.get("apple")
    assert "orchard:apple" in told.value.message
