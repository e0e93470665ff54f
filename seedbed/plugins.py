"""Entry points: how other packages add tasks, model sources, engines, export targets and data readers.

Built-in parts come through the same door: a registry is asked by name and does not know who gave the part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from .errors import UserError

T = TypeVar("T")


class Registry(Generic[T]):
    """Named parts of one kind, built in or from the entry-point group `seedbed.<kind>`.

    A part is registered as a function that imports and returns it, so that listing names imports nothing.
    """

    def __init__(self, kind: str, built_in: dict[str, Callable[[], T]]) -> None:
        self.kind = kind
        self._built_in = built_in
        self._found: dict[str, Callable[[], T]] | None = None

    def _all(self) -> dict[str, Callable[[], T]]:
        if self._found is None:
            found = dict(self._built_in)
            for point in entry_points(group=f"seedbed.{self.kind}"):
                if point.name in found:
                    raise UserError(
                        f"Two packages give the {self.kind} part {point.name!r}; one is {point.value}.",
                        "Uninstall one of them.")
                found[point.name] = point.load
            self._found = found
        return self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def get(self, name: str) -> T:
        """The part of that name.

        Raises:
            UserError: nothing has that name; the hint lists what there is.
        """
        parts = self._all()
        if name not in parts:
            raise UserError(f"There is no {self.kind} part {name!r}.", f"Known: {', '.join(sorted(parts))}.")
        return parts[name]()
