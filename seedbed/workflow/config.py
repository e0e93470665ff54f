"""What the main job is told, and where it writes."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import CorruptFile, NotFound, UserError
from ..options import option
from ..train.config import TrainConfig


@dataclass(frozen=True)
class RunConfig:
    """The main job. Flags, YAML and docs come from these fields."""

    task: str = option("classify", "What the model shall do.", choices=("classify",))
    text: str | None = option(None, "Column with the texts; guessed and said when not named.")
    label: str | None = option(None, "Column with the labels; guessed and said when not named.")
    group: str | None = option(None, "Column whose rows with the same value stay in one split.")
    split: str | None = option(None, "Column that says train, validation or test.")
    validation: Path | None = option(None, "File of validation rows, when you have made the splits.")
    test: Path | None = option(None, "File of test rows, when you have made the splits.")
    multi_label: bool | None = option(None, "A text may carry several labels; found out when not said.")
    candidates: tuple[str, ...] = option((), "Only these: majority, tfidf, embedding, contrast, encoder, lora.")
    model: str | None = option(None, "Base model: a card of `seedbed models`.")
    budget: str | None = option(None, "Most time for training, such as 90s, 10m or 2h.")
    metric: str = option("macro_f1", "Figure that chooses.", choices=("macro_f1", "accuracy", "micro_f1"))
    target_error: float = option(0.1, "Share of wrong answers you accept; below it the model abstains.",
                                 minimum=0.001, maximum=0.5)
    learning_curve: bool = option(True, "Train the winner on parts of the data too: would more data help?")
    seed: int = option(0, "Fixes everything random.", minimum=0)


def seconds(text: str | None) -> float | None:
    """`90s`, `10m`, `2h` or plain seconds as seconds.

    Raises:
        UserError: it is none of these.
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|h|)\s*", text)
    if not match or float(match[1]) <= 0:
        raise UserError(f"The budget {text!r} is not a time.", "Write it as 90s, 10m or 2h.")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


@dataclass(frozen=True)
class RunFolder:
    """The layout of a run folder."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def health(self) -> Path:
        return self.path / "health.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def bundle(self) -> Path:
        return self.path / "bundle"

    def candidate(self, name: str) -> Path:
        return self.path / "candidates" / name


def write_config(folder: RunFolder, source: str, run: RunConfig, training: TrainConfig) -> None:
    """Write `config.yaml`, from which the run can be repeated or resumed."""
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.config.write_text(yaml.safe_dump({"source": source, "run": plain(run), "training": plain(training)},
                                            sort_keys=False, allow_unicode=True))


def plain(config: RunConfig | TrainConfig) -> dict[str, Any]:
    """The values as YAML and JSON hold them."""
    return {name: str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(config).items()}


def read_config(folder: RunFolder) -> tuple[str, RunConfig, TrainConfig]:
    """What `write_config` wrote.

    Raises:
        NotFound, CorruptFile: no run folder, or its config cannot be read.
    """
    if not folder.config.is_file():
        raise NotFound(f"{folder.path} is no run folder: config.yaml is missing.", "List runs with: seedbed runs")
    try:
        values = yaml.safe_load(folder.config.read_text())
        run = dict(values["run"])
        for name in ("validation", "test"):
            run[name] = Path(run[name]) if run[name] else None
        run["candidates"] = tuple(run["candidates"])
        return str(values["source"]), RunConfig(**run), TrainConfig(**values["training"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as problem:
        raise CorruptFile(f"{folder.config} cannot be read: {problem}.",
                          "Start the run anew in another folder.") from problem
