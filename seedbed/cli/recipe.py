"""What `run` and `train` share: a new job or one to go on with, `--config FILE` and what became of its lines."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UserError
from ..progress import SILENT
from ..workflow.config import Job, Main, RunFolder, Training
from . import show

if TYPE_CHECKING:
    from ..workflow.recipes import Recipe

WORDS = {"taken": "", "idle": "not needed", "lacking": "differs", "refused": "REFUSED"}

Out = Annotated[Path | None, typer.Option(help="The run folder, which must be new. [default: runs/NAME-TIME]")]
ConfigFile = Annotated[Path | None, typer.Option(
    "--config", help="YAML with these options by name, or a run folder's config.yaml, or a config of "
                     "LLaMA-Factory or Axolotl; flags win over it.")]
Explain = Annotated[bool, typer.Option(
    "--explain", help="With --config: show what becomes of each line of the file, and end.")]
Resume = Annotated[Path | None, typer.Option(help="Go on with a run folder that was stopped or killed.")]


def new(context: typer.Context, config: Main, training: Training) -> tuple[
        str, Main, Training, Path | None] | None:
    """Source, configs and folder of a new run: what the command line says, and where it says nothing, what the file
    of `--config` says. None where a run is gone on with.

    Args:
        context: of a verb with the options above and the argument `source`.

    Raises:
        UserError: nothing or too much was given; a line of the file is wrong, or asks for what is not there.
    """
    verb, resume, file = context.command_path, context.params["resume"], context.params["file"]
    source, out = context.params["source"], context.params["out"]
    given = {name for name in context.params if (how := context.get_parameter_source(name)) is not None
             and how.name == "COMMANDLINE"}
    if resume is not None:
        if given - {"resume", "json"}:
            raise UserError("--resume was given together with other options, and a run goes on as it began.",
                            f"{verb} --resume {resume}")
        return None
    if context.params["explain"] and file is None:
        raise UserError("--explain needs a file to explain.", f"{verb} --config FILE --explain")
    if file is not None:
        from ..workflow import recipes

        recipe = recipes.read(file, type(config), type(training))
        if source is not None and recipe.program != "Seedbed":
            given |= {"ask", "answer"}  # these were the columns of their rows
        config = replace(config, **{name: value for name, value in recipe.main.items() if name not in given})
        training = replace(training, **{name: value for name, value in recipe.training.items() if name not in given})
        source, out = source or recipe.source, out or recipe.out
        if context.params["explain"]:
            _tell(recipe, given, Job(source or "FILE", config, training, RunFolder(out or Path()), 0.0, SILENT))
            raise typer.Exit
        recipe.refuse(given)
        _note(recipe)
    if source is None:
        raise UserError("Name either a file to learn from or a run to go on with.",
                        f"{verb} FILE, or {verb} --resume RUN_FOLDER")
    return source, config, training, out


def _note(recipe: Recipe) -> None:
    if recipe.program == "Seedbed":
        return
    bar = show.bar()
    bar.note(f"{recipe.path} is read as {recipe.program}'s: {_counts(recipe)} (--explain shows each).")
    for one in recipe.lines:
        if one.kind == "lacking":
            bar.note(f"{recipe.path}, line {one.number}, {one.key}: {one.says}.")


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
