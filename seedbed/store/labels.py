"""Named queries for what machines suggest and what people answer. The two never mix: see `tables.actors`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from ..errors import NotFound, UserError
from .database import Database, now, put
from .records import Answer, StoredExample, Suggestion
from .tables import actors, answers, examples, suggestions


class Labels(Database):
    def add_example(self, id: str, inputs: dict[str, str], source: str) -> None:
        """Put a text up for answers; the same id again replaces it."""
        with self._write() as c:
            put(c, examples, id=id, inputs=inputs, source=source)

    def add_person(self, name: str) -> None:
        """Let a person answer. Nothing a machine does registers a person.

        Raises:
            UserError: a machine has that name.
        """
        with self._write() as c:
            _register(c, name, "person")

    def suggest(self, example: str, agent: str, value: Any, score: float) -> None:
        """Remember what a machine proposes; its newest suggestion for an example stands.

        Raises:
            UserError: a person has the agent's name.
            ValueError: there is no such example.
        """
        with self._write() as c:
            _register(c, agent, "machine")
            put(c, suggestions, example_id=example, agent=agent, value=value, score=score, time=now(c))

    def answer(self, example: str, person: str, value: Any) -> None:
        """Remember what a person says; the newest answer for an example stands.

        Raises:
            NotFound: no person has that name.
            ValueError: there is no such example.
        """
        with self._write() as c:
            if _kind(c, person) != "person":
                raise NotFound(f"There is no person {person!r} who may answer.", "Add the person first.")
            put(c, answers, example_id=example, person=person, value=value, time=now(c))

    def unanswered(self, limit: int | None = None) -> list[StoredExample]:
        """Examples without any person's answer, in order of id."""
        free = select(examples).where(~select(answers).where(answers.c.example_id == examples.c.id).exists())
        with self._read() as c:
            return [StoredExample(**row._mapping) for row in c.execute(free.order_by(examples.c.id).limit(limit))]

    def suggestions(self, example: str) -> list[Suggestion]:
        """What machines propose for an example, the surest first."""
        t = suggestions.c
        wanted = select(t.example_id, t.agent, t.value, t.score, t.time).where(t.example_id == example)
        with self._read() as c:
            return [Suggestion(**row._mapping) for row in c.execute(wanted.order_by(t.score.desc(), t.agent))]

    def answers(self, example: str) -> list[Answer]:
        """What people said about an example, the oldest first."""
        t = answers.c
        wanted = select(t.example_id, t.person, t.value, t.time).where(t.example_id == example)
        with self._read() as c:
            return [Answer(**row._mapping) for row in c.execute(wanted.order_by(t.time, t.person))]


def _kind(c: Connection, name: str) -> str | None:
    kind: str | None = c.execute(select(actors.c.kind).where(actors.c.name == name)).scalar_one_or_none()
    return kind


def _register(c: Connection, name: str, kind: str) -> None:
    put(c, actors, name=name, kind=kind)  # first: two who ask at once are told apart by the database
    known = _kind(c, name)
    if known != kind:
        raise UserError(f"{name!r} is the name of a {known}, not of a {kind}.", "Choose another name.")
