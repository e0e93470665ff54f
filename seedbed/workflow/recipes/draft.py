"""What becomes of each line of a config, and the few kinds of rule that say it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

Kind = Literal["taken", "idle", "lacking", "refused"]
"""Taken over; not needed here; not there, and training goes on without it; not there, and nothing is trained."""
OFF: tuple[Any, ...] = (None, False, 0, "", "none", "None", [], {}, "no")
"""Values by which a thing is not asked for."""


@dataclass(frozen=True)
class Entry:
    """One name of a file with its value, its line, and what stands in it."""

    key: str
    value: Any
    line: int
    inner: Mapping[str, Entry] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """The value on one line."""
        text = " ".join(str("" if self.value is None else self.value).split())
        return text if len(text) <= 40 else text[:37] + "..."


@dataclass(frozen=True)
class Line:
    """What became of a line: `says` holds the flag that it became, or the reason; `hint` what to do where it is
    refused."""

    number: int
    key: str
    value: str
    kind: Kind
    says: str
    hint: str = ""
    option: str = ""
    """What settles a line that is refused, given on the command line: `model` or `source`."""


@dataclass
class Draft:
    """Options while a file is read.

    Args:
        path: the file.
        known: the options that there are, by name, as of now: a table may name some that are not there yet.
    """

    path: Path
    known: Mapping[str, Field[Any]]
    source: str | None = None
    out: Path | None = None
    options: dict[str, tuple[Any, int]] = field(default_factory=dict)
    """By name the value, and the line that says it."""
    lines: list[Line] = field(default_factory=list)

    def say(self, one: Entry, kind: Kind, says: str, hint: str = "", option: str = "") -> None:
        self.lines.append(Line(one.line, one.key, one.shown, kind, says, hint, option))

    def has(self, name: str, value: Any = None) -> bool:
        """Is there such an option, and may it have that value?"""
        choices = self.known[name].metadata.get("choices") if name in self.known else ()
        return name in self.known and (value is None or not choices or value in choices)

    def take(self, one: Entry, name: str, value: Any, note: str = "") -> None:
        """An option gets a value. One without a value keeps its default."""
        if value is not None:
            self.options[name] = (value, one.line)
        says = "default" if value is None else f"--{name.replace('_', '-')} {value}"
        self.say(one, "taken", says + (f" ({note})" if note else ""))

    def place(self, given: str) -> str:
        """A file as the config means it: beside the config where it is there, else from the current folder."""
        beside = self.path.parent / given
        return str(beside) if "://" not in given and not Path(given).is_absolute() and beside.exists() else given


Rule = Callable[[Draft, Entry], None]
"""Says what becomes of a line."""


def flag(name: str, make: Callable[[Any], Any] = lambda value: value) -> Rule:
    """The line is our option `name`, where that is there."""
    def rule(draft: Draft, one: Entry) -> None:
        if one.value is None:
            draft.say(one, "idle", "empty")
            return
        try:
            value = make(one.value)
        except (TypeError, ValueError):
            draft.say(one, "refused", f"{one.shown!r} is no value for it", "Write a number.")
            return
        if draft.has(name, value):
            draft.take(one, name, value)
        elif one.value in OFF:
            draft.say(one, "idle", "off")
        else:
            draft.say(one, "lacking", f"there is no --{name.replace('_', '-')} {value} here")
    return rule


def idle(why: str) -> Rule:
    """It is not needed here, and changes nothing of what is learned."""
    return lambda draft, one: draft.say(one, "idle", "off" if one.value in OFF else why)


def lacking(what: str) -> Rule:
    """It is not there; training goes on, and `what` says what differs."""
    return lambda draft, one: draft.say(one, *(("idle", "off") if one.value in OFF else ("lacking", what)))


def refused(why: str, hint: str) -> Rule:
    """It would make a model learn something else, so nothing is trained."""
    return lambda draft, one: draft.say(one, *(("idle", "off") if one.value in OFF else ("refused", why, hint)))


def apply(draft: Draft, table: Mapping[str, Rule], begins: Mapping[str, tuple[str, ...]], found: Iterable[Entry],
          done: Iterable[str]) -> None:
    """Rules for every line that is not `done`. One that no rule knows is refused: it may be a slip of the pen.

    Args:
        table: a rule by key.
        begins: by the reason, how keys begin that are not needed here.
    """
    for one in found:
        if one.key in done:
            continue
        rule = table.get(one.key)
        why = next((why for why, starts in begins.items() if one.key.startswith(starts)), "")
        if rule is not None:
            rule(draft, one)
        elif why:
            idle(why)(draft, one)
        elif one.value in OFF:
            draft.say(one, "idle", "off")
        else:
            draft.say(one, "refused", "nothing is known of it, so it may change what is learned",
                      nearest(one.key, table) or "Take the line out if the model may learn without it.")


def whole(value: Any) -> int:
    """A number of passes, rounded up."""
    return max(1, -int(-float(value) // 1))


def nearest(name: str, names: Iterable[str]) -> str:
    near = get_close_matches(name.replace("-", "_"), list(names), 1)
    return f"Did you mean {near[0]}?" if near else ""
