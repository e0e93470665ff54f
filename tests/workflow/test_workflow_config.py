"""What a run is told: the same refusals from Python and YAML as on the command line, and no secrets written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from seedbed.data.formats.sql import public
from seedbed.errors import CorruptFile, NotFound, UserError
from seedbed.progress import SILENT
from seedbed.train.config import TextConfig, TrainConfig
from seedbed.train.ladder import NAMES
from seedbed.workflow import TuneConfig
from seedbed.workflow.config import Job, RunConfig, RunFolder, check, plain, read_config, seconds, write_config


@pytest.mark.parametrize(("run", "training", "told", "hint"), [
    (RunConfig(candidates=("tfid",)), TrainConfig(), "--candidates is 'tfid'", "Did you mean tfidf?"),
    (RunConfig(task="translate"), TrainConfig(), "--task is 'translate'", "classify"),
    (RunConfig(target_error=0.9), TrainConfig(), "--target-error is 0.9", "at most 0.5"),
    (RunConfig(seed=-1), TrainConfig(), "--seed is -1", "at least 0"),
    (RunConfig(seed="many"), TrainConfig(), "--seed is 'many'", "int"),  # type: ignore[arg-type]
    (RunConfig(), TrainConfig(epochs=0), "--epochs is 0", "at least 1"),
    (RunConfig(), TrainConfig(dropout=float("nan")), "--dropout is nan", "at most 0.9"),
    (RunConfig(budget="soon"), TrainConfig(), "'soon'", "10m"),
    (RunConfig(split="part", test=Path("t.csv")), TrainConfig(), "--split", "files that are the splits"),
    (RunConfig(model="gpt-9000"), TrainConfig(), "'gpt-9000'", "seedbed models"),
])
def test_python_is_refused_in_the_words_of_the_flags(run: RunConfig, training: TrainConfig, told: str,
                                                    hint: str) -> None:
    with pytest.raises(UserError) as caught:
        check(run, training)
    assert told in caught.value.message
    assert hint in caught.value.hint


def test_values_take_their_own_types() -> None:
    run, training = check(RunConfig(test="t.csv", candidates=["tfidf"]), TrainConfig(alpha=8))  # type: ignore[arg-type]
    assert (run.test, run.candidates, training.alpha) == (Path("t.csv"), ("tfidf",), 8.0)


def test_every_rung_is_a_choice() -> None:
    run, _ = check(RunConfig(candidates=NAMES), TrainConfig())
    assert run.candidates == NAMES


def test_a_folder_as_model_is_remembered_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound, match="a folder without a model"):
        check(RunConfig(model=str(tmp_path)), TrainConfig())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert check(TuneConfig(model="mine"), TextConfig())[0].model == str(tmp_path / "mine")


@pytest.mark.parametrize(("text", "value"), [("90s", 90), ("10m", 600), ("2h", 7200), ("5", 5), (" 1.5 m ", 90),
                                             (None, None)])
def test_budgets(text: str | None, value: float | None) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "m", "-5m", "0s", "1d", "10 minutes", "nan", "1e3"])
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(UserError, match="is not a time"):
        seconds(text)


@pytest.mark.parametrize(("given", "shown"), [
    ("data/reviews.csv", "data/reviews.csv"),
    ("sqlite:///a.db?query=SELECT t, l FROM x", "sqlite:///a.db?query=SELECT t, l FROM x"),
    ("postgresql://me:Hunter2%21@h:5432/d?query=SELECT 1", "postgresql://me:***@h:5432/d?query=SELECT 1"),
    ("postgresql://h/d?user=me&password=Hunter2!&query=SELECT 1",
     "postgresql://h/d?password=...&user=me&query=SELECT 1"),
    ("postgresql://me:Hunter2!@h/d", "postgresql://..."),
    ("odd://me:Hunter2!", "odd://..."),
])
def test_passwords_are_not_written_down(given: str, shown: str) -> None:
    assert public(given) == shown
    assert "Hunter2" not in public(given)


def written(folder: Path) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    run = RunConfig(text="body", test=Path("t.csv"), candidates=("tfidf", "lora"), budget="10m", delimiter=";")
    write_config(Job("a.csv", run, TrainConfig(epochs=2), RunFolder(folder), 0.0, SILENT))
    assert read_config(RunFolder(folder), RunConfig, TrainConfig) == ("a.csv", run, TrainConfig(epochs=2))
    values: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text())
    assert values["run"] == plain(run)
    return values


def test_a_config_is_read_as_it_was_written(tmp_path: Path) -> None:
    written(tmp_path)


@pytest.mark.parametrize(("part", "name", "value", "told"), [
    ("training", "epochs", 0, "--epochs is 0"), ("training", "epochs", "x", "--epochs is 'x'"),
    ("run", "metric", "f2", "--metric is 'f2'"), ("run", "colour", "red", "'colour' is no option"),
    ("run", "candidates", ["lroa"], "--candidates is 'lroa'")])
def test_an_edited_config_is_refused(tmp_path: Path, part: str, name: str, value: object, told: str) -> None:
    values = written(tmp_path)
    values[part][name] = value
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(CorruptFile) as caught:
        read_config(RunFolder(tmp_path), RunConfig, TrainConfig)
    assert "config.yaml" in caught.value.message and told in caught.value.message


@pytest.mark.parametrize("text", ["", "a: [", "run: {}", "just words", "run: 3\ntraining: 4\nsource: x"])
def test_a_broken_config_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(CorruptFile, match=r"config\.yaml"):
        read_config(RunFolder(tmp_path), RunConfig, TrainConfig)
