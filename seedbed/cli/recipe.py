"""`--config FILE` and `--explain`: options from a YAML file, and what became of each of its lines."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..errors import UserError
from ..progress import SILENT
from ..workflow.config import Job, Main, RunFolder, Training
from . import show

if TYPE_CHECKING:
    from ..workflow.recipes import Recipe

WORDS = {"taken": "", "idle": "not needed", "lacking": "differs", "refused": "REFUSED"}


def fill(file: Path | None, explain: bool, context: typer.Context, config: Main, training: Training,
         source: str | None, out: Path | None) -> tuple[Main, Training, str | None, Path | None]:
    """What the command line says, and where it says nothing, what the file says.

    Args:
        explain: print what becomes of each line and end.

    Raises:
        UserError: a line of the file is wrong, or asks for what is not there.
    """
    from ..workflow import recipes

    if file is None:
        if explain:
            raise UserError("--explain needs a file to explain.", f"{context.command_path} --config FILE --explain")
        return config, training, source, out
    recipe = recipes.read(file, type(config), type(training))
    given = {name for name in context.params if (how := context.get_parameter_source(name)) is not None
             and how.name == "COMMANDLINE"}
    if "source" in given and recipe.program != "Seedbed":
        given |= {"ask", "answer"}  # these were the columns of their rows
    config = replace(config, **{name: value for name, value in recipe.main.items() if name not in given})
    training = replace(training, **{name: value for name, value in recipe.training.items() if name not in given})
    source, out = source or recipe.source, out or recipe.out
    if explain:
        _tell(recipe, given, Job(source or "FILE", config, training, RunFolder(out or Path()), 0.0, SILENT))
        raise typer.Exit
    recipe.refuse(given)
    if recipe.program != "Seedbed":
        show.bar().note(f"{file} is read as {recipe.program}'s: {_counts(recipe)} (--explain shows each).")
        for one in recipe.lines:
            if one.kind == "lacking":
                show.bar().note(f"{file}, line {one.number}, {one.key}: {one.says}.")
    return config, training, source, out


def _counts(recipe: Recipe) -> str:
    kinds = Counter[str](one.kind for one in recipe.lines)
    return ", ".join(f"{kinds[kind]} {word}" for kind, word in (
        ("taken", "taken over"), ("idle", "not needed here"), ("lacking", "that differ here"),
        ("refused", "refused")) if kinds[kind])


def _tell(recipe: Recipe, given: set[str], job: Job[Main, Training]) -> None:
    from ..workflow.verdict import command

    show.line(f"{recipe.path} is {recipe.program}'s: {_counts(recipe)}.")
    show.line()
    show.table(("line", "in the file", "", "here"), [
        (one.number, f"{one.key}: {one.value}", WORDS[one.kind] if one.option not in given else "",
         "given on the command line" if one.option in given else f"{one.says}. {one.hint}" if one.hint else one.says)
        for one in recipe.lines])
    show.line()
    show.line("the same as: " + command(job) + (f" --out {job.folder.path}" if job.folder.path != Path() else ""))
