"""A parameter, its default, its help and its bounds are written once, as a dataclass field.

The command line, YAML files, web forms and the docs are derived from these fields.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, field
from typing import Any


def option(default: Any = MISSING, help: str = "", *, short: str = "", choices: tuple[str, ...] = (),
           minimum: float | None = None, maximum: float | None = None, factory: Any = MISSING) -> Any:
    """A dataclass field that is also a flag.

    Args:
        default: the one place where the default stands; none makes the option required.
        help: one line for people, with units.
        short: a one-letter flag, without the dash.
        choices: the values that are allowed; empty means any.
        minimum, maximum: inclusive bounds of a number.
        factory: makes the default of a mutable type.
    """
    metadata = {"help": help, "short": short, "choices": choices, "minimum": minimum, "maximum": maximum}
    if factory is not MISSING:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


def help_of(one: Field[Any]) -> str:
    """The help line of a field made by `option`."""
    return str(one.metadata.get("help", ""))
