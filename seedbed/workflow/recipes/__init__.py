"""Options from a YAML file: our own names, or a config of LLaMA-Factory or Axolotl, read line by line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from ...errors import DataError, UserError
from ..config import VERBS, Config, Main, Training, checked
from . import axolotl, llamafactory
from .draft import Draft, Entry, Line, nearest
from .lines import entries

__all__ = ["Line", "Recipe", "read"]

PROGRAMS = (llamafactory, axolotl)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a file asks for.

    Args:
        program: whose file it is: `Seedbed`, `LLaMA-Factory` or `Axolotl`.
        source: what to learn from; None where the file does not say.
        out: the run folder; None where the file does not say.
        main, training: options that it sets, by name, checked.
        lines: what became of each of its lines, in order.
    """

    path: Path
    program: str
    source: str | None
    out: Path | None
    main: dict[str, Any]
    training: dict[str, Any]
    lines: list[Line]

    def refuse(self, given: Set[str] = frozenset()) -> None:
        """Raises UserError at the first line that Seedbed cannot do as it is meant.

        Args:
            given: what the command line says; lines that say it otherwise do not matter.
        """
        for one in self.lines:
            if one.kind == "refused" and one.option not in given:
                raise UserError(f"{self.path}, line {one.number}, {one.key}: {one.says}.",
                                f"{one.hint} All lines: seedbed train --config {self.path} --explain")


def read(path: Path, main: type[Main], training: type[Training]) -> Recipe:
    """The options that a YAML file sets for a verb.

    Our own names stand flat, or in the blocks of a run folder's `config.yaml`, which can be read too. A config of
    another program is known by its keys; nothing that is refused in it raises here (`Recipe.refuse`).

    Raises:
        DataError: no YAML file of names and values. UserError: an unknown name, or a value of the wrong kind; the
            message names the line.
    """
    found = entries(path)
    draft = Draft(path, {one.name: one for kind in (main, training) for one in dataclasses.fields(kind)})
    for program in PROGRAMS:
        if program.KEYS & found.keys():
            program.read(draft, found)
            name = program.NAME
            break
    else:
        _own(draft, found, main)
        name = "Seedbed"
    return Recipe(path, name, draft.source, draft.out, _checked(draft, main), _checked(draft, training),
                  sorted(draft.lines, key=lambda one: one.number))


def _own(draft: Draft, found: Mapping[str, Entry], main: type[Main]) -> None:
    """Our own file: flat, or in the blocks of `config.yaml`."""
    blocks, verb = {*VERBS.values(), "training"}, VERBS[main]
    for one in found.values():
        if one.key in blocks and isinstance(one.value, dict):
            if one.key not in (verb, "training"):
                raise UserError(f"{draft.path}, line {one.line}: the block {one.key!r} is of another verb.",
                                f"seedbed {one.key} --config {draft.path}")
            for inner in one.inner.values():
                _option(draft, inner)
        else:
            _option(draft, one)


def _option(draft: Draft, one: Entry) -> None:
    if one.key == "source":
        draft.source = draft.place(str(one.value))
        draft.say(one, "taken", draft.source)
    elif one.key == "out":
        draft.out = Path(str(one.value))
        draft.say(one, "taken", f"--out {one.value}")
    elif one.key not in draft.known:
        names = ["source", "out", *draft.known]
        raise UserError(f"{draft.path}, line {one.line}: {one.key!r} is no option of this verb.",
                        nearest(one.key, names) or f"Known: {', '.join(names)}.")
    else:
        value = draft.place(str(one.value)) if one.value and "Path" in str(draft.known[one.key].type) else one.value
        draft.take(one, one.key, value)


def _checked(draft: Draft, kind: type[Config]) -> dict[str, Any]:
    """The options of this dataclass, each held against its type and bounds, as a flag is.

    Raises:
        UserError: one is refused; the message names its line.
    """
    made = {}
    for field in dataclasses.fields(kind):
        if field.name in draft.options:
            value, line = draft.options[field.name]
            try:
                made[field.name] = getattr(checked(kind, {field.name: value}), field.name)
            except UserError as problem:
                raise DataError(f"{draft.path}, line {line}: {problem.message}", problem.hint) from None
    return made
