"""What a machine proposes and what a person says stay apart: the named queries see to it, and the database too."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text, update

from seedbed.errors import NotFound, UserError
from seedbed.store import Store, open_store
from seedbed.store.database import now
from seedbed.store.tables import actors, answers, suggestions


@pytest.fixture
def asked(store: Store) -> Store:
    for id in ("a", "b"):
        store.add_example(id, {"text": f"text {id}"}, "reviews.csv")
    store.add_person("ana")
    store.suggest("a", "smollm2", "good", 0.75)
    return store


def test_suggestions_and_answers_are_told_back_apart(asked: Store) -> None:
    assert [e.id for e in asked.unanswered()] == ["a", "b"]  # a suggestion is no answer
    asked.suggest("a", "tfidf", ["good", "cheap"], 0.9)
    asked.answer("a", "ana", "bad")
    assert [(s.agent, s.value, s.score) for s in asked.suggestions("a")] == [
        ("tfidf", ["good", "cheap"], 0.9), ("smollm2", "good", 0.75)]
    said = asked.answers("a")
    assert [(x.person, x.value) for x in said] == [("ana", "bad")]
    assert said[0].time.utcoffset() == timedelta(0)
    assert [(e.id, e.inputs) for e in asked.unanswered()] == [("b", {"text": "text b"})]
    assert asked.answers("b") == asked.suggestions("b") == []


def test_a_new_answer_replaces_that_persons_old_one(asked: Store) -> None:
    asked.add_person("ben")
    for person, value in (("ana", "bad"), ("ben", "good"), ("ana", "good")):
        asked.answer("a", person, value)
    assert sorted((x.person, x.value) for x in asked.answers("a")) == [("ana", "good"), ("ben", "good")]
    asked.add_person("ben")  # again: nothing happens
    asked.suggest("a", "smollm2", "bad", 0.5)
    assert [s.value for s in asked.suggestions("a")] == ["bad"]


def test_the_named_queries_keep_machines_and_people_apart(asked: Store) -> None:
    with pytest.raises(NotFound, match="smollm2"):
        asked.answer("a", "smollm2", "good")
    with pytest.raises(NotFound, match="nobody"):
        asked.answer("a", "nobody", "good")
    with pytest.raises(UserError, match="machine"):
        asked.add_person("smollm2")
    with pytest.raises(UserError, match="person"):
        asked.suggest("a", "ana", "good", 1.0)
    with pytest.raises(ValueError, match="refused"):
        asked.answer("unknown", "ana", "good")
    assert asked.answers("a") == []


def row(connection: Any, **values: Any) -> dict[str, Any]:
    return {"example_id": "a", "value": "good", "time": now(connection), **values}


@pytest.mark.parametrize("values", [
    {"person": "smollm2"},  # a machine in a person's place
    {"person": "smollm2", "kind": "machine"},  # ... that says so
    {"person": "unheard"},
    {"person": None},
])
def test_the_database_refuses_an_answer_that_is_not_a_persons(asked: Store, values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="refused"), asked._write() as connection:
        connection.execute(insert(answers).values(**row(connection, **values)))
    assert asked.answers("a") == []


def test_the_database_refuses_that_a_machine_turns_into_a_person(asked: Store) -> None:
    changes = (update(actors).where(actors.c.name == "smollm2").values(kind="person"),
               insert(actors).values(name="smollm2", kind="person"),
               update(suggestions).values(kind="person"),
               insert(actors).values(name="both", kind="anything"))
    for change in changes:
        with pytest.raises(ValueError, match="refused"), asked._write() as connection:
            connection.execute(change)
    with asked._read() as connection:
        kinds = dict(connection.execute(text("SELECT name, kind FROM actors")).tuples().all())
    assert kinds == {"ana": "person", "smollm2": "machine"}


def test_a_person_and_a_machine_that_take_one_name_at_once(url: str) -> None:
    with open_store(url) as one, open_store(url) as other, ThreadPoolExecutor() as threads:
        with one._write() as connection:
            connection.execute(insert(actors).values(name="sam", kind="machine"))
            waits = threads.submit(other.add_person, "sam")
            with pytest.raises(TimeoutError):
                waits.result(0.3)
        with pytest.raises(UserError, match="'sam' is the name of a machine"):
            waits.result(30)
