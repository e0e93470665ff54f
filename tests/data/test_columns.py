"""Which column is the text and which the label: named, or guessed and said."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from test_read import checked, table

from seedbed.data.read import read
from seedbed.errors import DataError
from seedbed.progress import Silent


def file(folder: Path, name: str, content: str) -> Path:
    (folder / name).write_text(content, encoding="utf-8")
    return folder / name


def test_columns_are_guessed_among_many(tmp_path: Path) -> None:
    chance = random.Random(1)
    rows = [{"id": i, "url": f"https://example.org/{'x' * 80}/{i}", "Customer Name": f"Name {i}",
             "created_at": f"2024-01-{i % 28 + 1:02}",
             "comment_text": " ".join(chance.choices(["good", "bad", "fine", "thing"], k=9)) + f" {i}",
             "verified": bool(i % 2), "productCategory": chance.choice(["shoes", "hats", "ties"])}
            for i in range(200)]
    reading = checked(read(file(tmp_path, "a.json", json.dumps(rows))))
    assert (reading.detected["text column"], reading.detected["label column"]) == ("comment_text", "productCategory")
    assert set(reading.dataset.meta) == {"id_", "url", "Customer Name", "created_at", "verified"}
    assert reading.dataset.column("verified")[:2] == [False, True] and reading.dataset.column("id_")[0] == 0


def test_label_names_of_other_languages_are_known_and_other_columns_named(tmp_path: Path) -> None:
    rows = "\n".join(f"Das ist Text Nummer {i} von vielen;{'' if i % 9 == 0 else 'gut' if i % 2 else 'schlecht'};"
                     f"{'web' if i % 3 else 'app'}" for i in range(60))
    reading = checked(read(file(tmp_path, "a.csv", f"Text;Urteil;Quelle\n{rows}\n")))
    assert reading.detected["label column"] == "Urteil"
    said: list[str] = []
    listener = type("Listener", (Silent,), {"note": lambda self, text: said.append(text)})()
    read(file(tmp_path, "b.csv", f"Text;X;Quelle\n{rows}\n"), progress=listener)
    assert said[1] == "The label column is 'Quelle': guessed ('X' might be); name it to be sure."


def test_named_columns_forgive_case_only(tmp_path: Path) -> None:
    path = file(tmp_path, "a.csv", "Review ,STARS,text\nfine thing,5,a\nbad thing,1,b\n")
    reading = checked(read(path, text="review", label="stars"))
    assert reading.dataset.texts == ["fine thing", "bad thing"] and reading.dataset.targets == ["5", "1"]
    assert reading.dataset.meta == ("text_",)  # its own name is taken by the input
    with pytest.raises(DataError) as error:
        read(path, text="reviw")
    assert "it has Review, STARS, text" in error.value.message and error.value.hint == "Did you mean 'Review'?"


def test_notes_say_what_was_guessed(tmp_path: Path) -> None:
    said: list[str] = []

    class Listener:
        rows = 0.0

        def start(self, work: str, total: float | None = None, unit: str = "") -> None: ...
        def advance(self, work: str, amount: float = 1) -> None:
            self.rows += amount
        def metric(self, work: str, **values: float) -> None: ...
        def note(self, text: str) -> None:
            said.append(text)
        def done(self, work: str) -> None: ...

    listener = Listener()
    read(file(tmp_path, "a.csv", table()), label="label", progress=listener)
    assert len(said) == 1 and "'text': guessed" in said[0] and listener.rows == 4
