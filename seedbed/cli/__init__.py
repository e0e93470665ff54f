"""The command line: one verb, one module of this folder, imported only when that verb is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from .. import __version__
from . import door, show

VERBS = {
    "run": "From labelled text to a proven, running small model.",
    "train": "Teach a model to write, to mark entities or to embed texts.",
    "judge": "Which answers a judge model and people prefer, and whether they agree.",
    "generate": "Answer with a model that writes, word by word.",
    "compress": "Make a model smaller, and measure what that costs.",
    "predict": "Answer with a bundle: a text, a file or standard input.",
    "export": "Make the model a file of another runtime, and prove that it answers the same.",
    "verify": "Check a bundle: every file's hash, and every engine's answers.",
    "serve": "Answer over HTTP with a bundle.",
    "models": "The catalog of models: list, show, pull, recommend.",
    "data": "Look after data: check, view, split, redact.",
    "runs": "List runs, the newest first: winner, score with interval, state.",
    "doctor": "What this machine and this installation can do.",
}
"""Verbs and their one line of help. A verb `v` is `seedbed.cli.v.app` where it has verbs of its own, else `.v.v`."""

ANYWHERE = ("--debug", "--quiet")
"""Flags that may stand before or after the verb."""
INTERRUPTED = 130
"""What Typer returns after Ctrl-C."""


def load(verb: str) -> TyperCommand | TyperGroup:
    """Import a verb and make its command."""
    module = import_module(f".{verb}", __name__)
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer()
        app.command(verb, help=None)(getattr(module, verb))
    command = get_command(app)
    command.name = verb
    _plain(command)
    return command  # type: ignore[return-value]


def _plain(command: Any) -> None:
    """Plain help without frames: it starts faster, copies well and is the same in a pipe.

    Completion is installed for all verbs at once, from the root.
    """
    command.rich_markup_mode = None
    command.params = [one for one in command.params if one.name not in ("install_completion", "show_completion")]
    for inner in getattr(command, "commands", {}).values():
        _plain(inner)


class Verb(TyperCommand):
    """Stands for a verb in the list of verbs until it is called."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        command = load(str(self.name))
        if not args and isinstance(command, TyperGroup) and not command.invoke_without_command:
            args = ["--help"]
        return command.make_context(info_name, args, parent=parent, **extra)


def command() -> TyperGroup:
    """The command line's root, with each verb in place but not yet imported."""
    app = typer.Typer(rich_markup_mode=None, context_settings={"help_option_names": ["--help", "-h"]})
    app.callback()(root)
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    for name, help in VERBS.items():
        group.add_command(Verb(name, help=help))
    return group


def _version(asked: bool) -> None:
    if asked:
        show.line(f"seedbed {__version__}")
        raise typer.Exit


def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress and no notes.")] = False,
    device: Annotated[str | None, typer.Option("--device", help="Before the verb: where models run, auto, cpu or "
                                                                "cuda.")] = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True,
                                          help="Show the version.")] = False,
) -> None:
    """From a file of your own text to a small language model that you own: chosen, trained, proven and running,
    on one ordinary CPU, offline.

    --debug and --quiet may stand before or after the verb.
    """
    if device:
        from ..settings import choose
        choose(device)


def main(arguments: Sequence[str] | None = None) -> int:
    """The one door: run a command line and turn whatever happens into an exit code.

    Args:
        arguments: the words after `seedbed`; None takes those of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    words = given[: given.index("--")] if "--" in given else given
    show.be_quiet("--quiet" in words)
    rest = [word for word in words if word not in ANYWHERE] + given[len(words):]
    try:
        code = command().main(rest or ["--help"], prog_name="seedbed", standalone_mode=False)
        sys.stdout.flush()
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except SystemExit as stop:  # Typer's answer when the reader of our output went away; it silenced the stream
        return stop.code if isinstance(stop.code, int) else 1
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123  so that Python's last flush is silent too
        return 1
    except BaseException as problem:
        show.close()
        return door.answer(problem, given, debug="--debug" in words)
    finally:
        show.close()
