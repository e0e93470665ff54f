"""Flags from a dataclass: a parameter, its default, its help and its bounds are written once, in that dataclass."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import typer

from ..options import check, flag_of, help_of

C = TypeVar("C")
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def flags(config: type[C], into: str = "config",
          only: Sequence[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a verb so that each `option` of a dataclass becomes a flag; the verb is given one instance.

    `target_error: float` is `--target-error FLOAT`, a bool is `--x / --no-x`, `tuple[str, ...]` is a comma list.

    Args:
        config: a dataclass; its fields that are a `seedbed.options.option` become flags.
        into: name of the verb's parameter that receives the instance.
        only: these fields alone become flags; all where none is named.

    Raises (when the verb is called):
        UserError: a value is not among the choices or out of bounds.
    """
    hints = get_type_hints(config)
    known = {one.name: one for one in fields(config)  # type: ignore[arg-type]
             if one.init and one.metadata and (not only or one.name in only)}

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(verb, eval_str=True)

        def with_flags(**given: Any) -> None:
            values = {name: _value(hints[name], given.pop(name)) for name in known}
            made = config(**values)
            check(cast(Any, made))
            verb(**given, **{into: made})

        own = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY)
               for one in signature.parameters.values() if one.name != into]
        added = [_parameter(one, hints[name]) for name, one in known.items()]
        parameters = [*own, *added]
        made_into: Any = with_flags
        made_into.__name__, made_into.__doc__, made_into.__module__ = verb.__name__, verb.__doc__, verb.__module__
        made_into.__signature__ = signature.replace(parameters=parameters)
        made_into.__annotations__ = {one.name: one.annotation for one in parameters}
        return with_flags

    return decorate


def _parameter(one: Field[Any], hint: Any) -> inspect.Parameter:
    """The flag of one field, as Typer wants it."""
    kind, optional = _bare(hint)
    names = [f"{flag_of(one)}/--no-{flag_of(one)[2:]}" if kind is bool else flag_of(one)]
    if one.metadata.get("short"):
        names.append("-" + one.metadata["short"])
    make: Any = one.default_factory
    default: Any = one.default if make is MISSING else make()
    listed = _is_list(kind)
    choices = one.metadata.get("choices") or ()
    help = help_of(one)
    if listed:
        default = ",".join(map(str, default)) or None if isinstance(default, tuple | list) else default
        help = f"{help} Several with commas{' of: ' + ', '.join(choices) if choices else ''}."
        kind = str
    elif choices:
        kind = Literal.__getitem__(tuple(choices))
    number = kind in (int, float)
    option = typer.Option(*names, help=help, min=one.metadata.get("minimum") if number else None,
                          max=one.metadata.get("maximum") if number else None,
                          show_default=default is not None and default != "")
    full: Any = kind | None if optional or default is None else kind
    annotation = Annotated[full, option]
    return inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation,
                             default=inspect.Parameter.empty if default is MISSING else default)


def _value(hint: Any, given: Any) -> Any:
    """What the dataclass holds, from what Typer parsed."""
    kind, optional = _bare(hint)
    if not _is_list(kind):
        return given
    item = (get_args(kind) or (str,))[0]
    parts = [part.strip() for part in (given or "").split(",")]
    made = tuple((Path if item is Path else str)(part) for part in parts if part)
    return None if optional and not made else made


def _bare(hint: Any) -> tuple[Any, bool]:
    """(the type without None, may it be None?)"""
    if get_origin(hint) in (Union, types.UnionType):
        rest = [arg for arg in get_args(hint) if arg is not type(None)]
        if len(rest) != 1:
            raise TypeError(f"a flag has one type, not {hint}")
        return rest[0], True
    return hint, False


def _is_list(kind: Any) -> bool:
    return get_origin(kind) in (tuple, list)
