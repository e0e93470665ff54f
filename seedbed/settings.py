"""Settings of the process, frozen. The only module that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from .errors import UserError

VARIABLES = {
    "SEEDBED_HOME": "folder for models, the database and the machine's speed probe (default ~/.seedbed)",
    "SEEDBED_MODELS": "folder for fetched models (default: models in the home folder)",
    "SEEDBED_DATABASE": "database URL (default: SQLite in the home folder)",
    "SEEDBED_THREADS": "processor threads to use (default: every core this process may use)",
    "SEEDBED_DEVICE": "auto, cpu or cuda: where models run (default auto: the GPU if torch sees one, else the CPU)",
    "SEEDBED_OFFLINE": "1: never open a connection beyond this machine",
    "SEEDBED_MEMORY_LIMIT": "bytes of memory to plan for (default: what is free now)",
    "SEEDBED_TEACHER_KEY": "key of a teacher behind a URL; it is sent there and nowhere kept",
    "SEEDBED_JUDGE_KEY": "the same for a judge",
}

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Settings:
    """What the process was told from outside.

    Args:
        home: folder for models, the database and the speed probe.
        models: folder for fetched models.
        database_url: SQLAlchemy URL of the store.
        threads: processor threads to use.
        offline: no connection beyond loopback.
        memory_limit: bytes to plan for; None means what is free now.
        device: where models run: `auto`, `cpu` or `cuda`.
        processes: how many train together, as torchrun and `accelerate launch` say.
        local: which of this machine's processes this is, likewise; it takes the GPU of that number.
        teacher_key, judge_key: secrets that a teacher or judge behind a URL asks for; never shown.
    """

    home: Path
    models: Path
    database_url: str
    threads: int
    offline: bool = False
    memory_limit: int | None = None
    device: str = "auto"
    processes: int = 1
    local: int = 0
    teacher_key: str | None = field(default=None, repr=False)
    judge_key: str | None = field(default=None, repr=False)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """Settings from environment variables (`VARIABLES` lists them).

        Raises:
            UserError: a value cannot be read.
        """
        home = Path(environment.get("SEEDBED_HOME") or Path.home() / ".seedbed").expanduser().absolute()
        models = Path(environment.get("SEEDBED_MODELS") or home / "models").expanduser().absolute()
        offline = any(environment.get(name, "").lower() in ("1", "true", "yes", "on")
                      for name in ("SEEDBED_OFFLINE", "HF_HUB_OFFLINE"))
        return cls(
            home=home,
            models=models,
            database_url=environment.get("SEEDBED_DATABASE") or f"sqlite:///{home / 'seedbed.sqlite'}",
            threads=_whole(environment, "SEEDBED_THREADS") or _cores(),
            offline=offline,
            memory_limit=_whole(environment, "SEEDBED_MEMORY_LIMIT"),
            device=_device(environment),
            processes=_whole(environment, "WORLD_SIZE") or 1,
            local=int(environment.get("LOCAL_RANK") or 0),
            teacher_key=environment.get("SEEDBED_TEACHER_KEY") or None,
            judge_key=environment.get("SEEDBED_JUDGE_KEY") or None,
        )


def _cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Cores this process may use: those it is bound to, and no more than a container's share of time allows."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        time, period = map(int, quota.read_text().split())  # `max 100000` where there is no limit
    except (OSError, ValueError):
        return cores
    return max(1, min(cores, time // period))


def _device(environment: Mapping[str, str]) -> str:
    text = environment.get("SEEDBED_DEVICE") or "auto"
    if text not in DEVICES:
        raise UserError(f"SEEDBED_DEVICE is {text!r}, which is no device.", f"Set one of {', '.join(DEVICES)}.")
    return text


def _whole(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise UserError(f"{name} is {text!r}, which is not a whole number above 0.", f"Unset {name} or set a number.")
    return int(text)


def choose(device: str) -> None:
    """Say where models run, as `SEEDBED_DEVICE` does, to this process and those that it starts."""
    os.environ["SEEDBED_DEVICE"] = device
    settings.cache_clear()


def share_processor() -> None:
    """Let OpenMP's threads sleep while they wait for each other, instead of turning in circles.

    On a machine that does other work too, a circling thread takes the core from the one that it waits for: with one
    other busy process the same forward passes ran between 5 and 42 texts a second, and 38 to 56 with sleeping
    threads (docs/LOG.md). It must be said before torch is loaded; a policy that the user set stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings.read(os.environ)
