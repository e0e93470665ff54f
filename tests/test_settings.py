"""Settings come from the environment, once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seedbed.errors import UserError
from seedbed.settings import VARIABLES, Settings, _cores, choose, settings


def test_defaults() -> None:
    told = Settings.read({})
    assert told.home == Path.home() / ".seedbed"
    assert told.models == told.home / "models"
    assert told.database_url == f"sqlite:///{told.home / 'seedbed.sqlite'}"
    assert told.threads >= 1
    assert told.offline is False
    assert told.memory_limit is None


def test_every_variable_is_read(tmp_path: Path) -> None:
    told = Settings.read({"SEEDBED_HOME": str(tmp_path), "SEEDBED_MODELS": "~/m", "SEEDBED_DATABASE": "sqlite://",
                          "SEEDBED_THREADS": "3", "SEEDBED_OFFLINE": "1", "SEEDBED_MEMORY_LIMIT": "1000",
                          "SEEDBED_DEVICE": "cpu", "LOCAL_RANK": "1",
                          "SEEDBED_TEACHER_KEY": "secret", "SEEDBED_JUDGE_KEY": "other"})
    assert told == Settings(tmp_path, Path.home() / "m", "sqlite://", 3, True, 1000, "cpu", local=1,
                            teacher_key="secret", judge_key="other")
    assert "secret" not in repr(told)
    assert len(VARIABLES) == 9  # a new one is added above


def test_a_relative_home_becomes_absolute() -> None:
    assert Settings.read({"SEEDBED_HOME": "here"}).home == Path.cwd() / "here"


def test_empty_values_mean_the_default() -> None:
    assert Settings.read(dict.fromkeys(VARIABLES, "")) == Settings.read({})


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_offline_also_by_the_hub_s_own_variable(value: str) -> None:
    assert Settings.read({"HF_HUB_OFFLINE": value}).offline
    assert not Settings.read({"HF_HUB_OFFLINE": "0"}).offline


@pytest.mark.parametrize("name", ["SEEDBED_THREADS", "SEEDBED_MEMORY_LIMIT"])
@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", "²", "4GB"])
def test_what_is_not_a_number_is_named(name: str, value: str) -> None:
    with pytest.raises(UserError) as told:
        Settings.read({name: value})
    assert name in told.value.message
    assert value in told.value.message
    assert name in told.value.hint


def test_a_device_that_is_none_is_named() -> None:
    with pytest.raises(UserError, match="SEEDBED_DEVICE is 'tpu'") as told:
        Settings.read({"SEEDBED_DEVICE": "tpu"})
    assert told.value.hint == "Set one of auto, cpu, cuda."


def test_a_chosen_device_holds_for_what_is_started_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDBED_DEVICE", "cuda")
    choose("cpu")
    assert settings().device == os.environ["SEEDBED_DEVICE"] == "cpu"


def test_read_once() -> None:
    assert settings() is settings()


@pytest.mark.parametrize(("quota", "cores"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", None),
                                              ("99900000 100000", None), ("", None)])
def test_a_container_s_share_of_time_bounds_the_threads(quota: str, cores: int | None, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    assert _cores(tmp_path / "cpu.max") == (cores or _cores(tmp_path / "none"))
