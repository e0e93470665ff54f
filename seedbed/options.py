"""A parameter, its default, its help and its bounds are written once, as a dataclass field.

The command line, YAML files, web forms and the docs are derived from these fields.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, field, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from .errors import UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


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


def flag_of(one: Field[Any]) -> str:
    """The flag of a field: `target_error` is `--target-error`."""
    return "--" + one.name.replace("_", "-")


def check(config: DataclassInstance) -> None:
    """Hold every value of a dataclass made of `option` fields against its choices and bounds.

    Every door does this, so that a value from YAML or Python is refused in the same words as a flag.

    Raises:
        UserError: a value is not one of the choices, or is out of bounds.
    """
    for one in fields(config):
        value, name = getattr(config, one.name), flag_of(one)
        choices = one.metadata.get("choices") or ()
        for each in value if isinstance(value, tuple | list) else [value]:
            if choices and each is not None and each not in choices:
                near = get_close_matches(str(each), choices, 1)
                raise UserError(f"{name} is {each!r}, which is not one of its values.",
                                (f"Did you mean {near[0]}? " if near else "") + f"Known: {', '.join(choices)}.")
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        low, high = one.metadata.get("minimum"), one.metadata.get("maximum")
        if not (low is None or value >= low) or not (high is None or value <= high) or value != value:
            bounds = " and ".join(f"{word} {bound:g}" for word, bound in (("at least", low), ("at most", high))
                                  if bound is not None)
            raise UserError(f"{name} is {value:g}, which is out of bounds.", f"Give a number: {bounds or 'any'}.")
