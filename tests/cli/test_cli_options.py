"""Flags that are made from a dataclass."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from seedbed.cli.options import flags
from seedbed.errors import UserError
from seedbed.options import option


@dataclass(frozen=True)
class Config:
    label: str = option(help="Label column.")
    task: str = option("classify", "What to learn.", short="t", choices=("classify", "extract"))
    target_error: float = option(0.05, "Share of wrong answers to allow.", minimum=0, maximum=1)
    out: Path | None = option(None, "Folder to write.")
    candidates: tuple[str, ...] = option((), "Rungs to try.", choices=("linear", "embedding", "lora"))
    resume: bool = option(False, "Go on with a stopped run.")
    curve: bool = option(True, "Draw the learning curve.")
    seed: int = option(factory=lambda: 7, help="Seed.", minimum=0)


def call(*words: str) -> Any:
    """What the verb received, or the error."""
    got: list[Any] = []
    app = typer.Typer(rich_markup_mode=None)

    @app.command()
    @flags(Config)
    def verb(source: Annotated[Path, typer.Argument(help="The file.")], config: Config) -> None:
        got.append((source, config))

    result = CliRunner().invoke(app, list(words))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return got[0] if got else result.output


def test_defaults_are_those_of_the_dataclass() -> None:
    source, config = call("a.csv", "--label", "y")
    assert source == Path("a.csv")
    assert config == Config(label="y")
    assert config.seed == 7


def test_every_kind_of_flag_arrives() -> None:
    _, config = call("a.csv", "-t", "extract", "--target-error", "0.2", "--out", "runs/x", "--candidates",
                     "linear, lora,", "--resume", "--no-curve", "--seed", "3", "--label", "y")
    assert config == Config("y", "extract", 0.2, Path("runs/x"), ("linear", "lora"), True, False, 3)


def test_help_shows_every_field_with_its_default_bounds_and_choices() -> None:
    text = " ".join(call("--help").split())
    for one in fields(Config):
        assert "--" + one.name.replace("_", "-") in text
        assert one.metadata["help"] in text
    assert "--curve / --no-curve" in text
    assert "[default: classify]" in text
    assert "[default: 0.05; 0<=x<=1]" in text
    assert "Several with commas of: linear, embedding, lora." in text


@pytest.mark.parametrize(("words", "told"), [
    (("a.csv",), "Missing option '--label'"),
    (("--label", "y"), "Missing argument 'source'"),
    (("a.csv", "--label", "y", "--target-error", "1.5"), "'--target-error'"),
    (("a.csv", "--label", "y", "--seed", "-1"), "'--seed'"),
    (("a.csv", "--label", "y", "--seed", "many"), "valid integer"),
    (("a.csv", "--label", "y", "--task", "clasify"), "clasify"),
])
def test_what_does_not_parse_is_refused(words: tuple[str, ...], told: str) -> None:
    assert told in call(*words)


def test_a_wrong_item_of_a_list_names_the_near_one() -> None:
    with pytest.raises(UserError) as told:
        call("a.csv", "--label", "y", "--candidates", "linear,lorra")
    assert "--candidates is 'lorra'" in told.value.message
    assert "Did you mean lora?" in told.value.hint


def test_an_empty_comma_list_is_none_where_none_is_allowed() -> None:
    @dataclass(frozen=True)
    class Paths:
        test: tuple[Path, ...] | None = option(None, "Test files.")

    seen: list[Any] = []
    app = typer.Typer()

    @app.command()
    @flags(Paths, into="paths")
    def verb(paths: Any) -> None:
        seen.append(paths.test)

    for words in ([], ["--test", "a.csv,b.csv"], ["--test", ""]):
        assert CliRunner().invoke(app, words).exit_code == 0
    assert seen == [None, (Path("a.csv"), Path("b.csv")), None]
