"""The run's data of every kind: few rows, several labels, groups, given splits; and what cannot be learned."""

from __future__ import annotations

import csv
import random
import re
import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import tiny
from made_tables import QUICK, Table

from seedbed.data.formats import sql
from seedbed.data.freeze import open_splits
from seedbed.errors import DataError, UserError
from seedbed.store import open_store
from seedbed.workflow import Finished, RunConfig, run

CHEAP = ("majority", "tfidf")
Rows = list[tuple[Any, ...]]


def go(source: Path | str, out: Path, **config: Any) -> Finished:
    """A run of the two cheapest candidates without the learning curve, unless said otherwise."""
    return run(source, RunConfig(**{"candidates": CHEAP, "learning_curve": False, **config}), QUICK, out=out)


def write(path: Path, columns: str, rows: Rows) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns.split(","), *rows])
    return path


@pytest.mark.slow
def test_twenty_four_rows_are_cross_validated(tiny_ladder: Path, make_table: Table, tmp_path: Path) -> None:
    done = go(make_table(24, noise=0), tmp_path / "out", candidates=(), learning_curve=True)
    result = done.result
    assert (result.protocol, result.rows, result.abstention) == ("cross-validation", {"train": 24}, None)
    by_name = {one.name: one for one in result.candidates}
    trained = {n for n, one in by_name.items() if one.status == "trained"}
    assert trained == {"majority", "tfidf", "embedding", "contrast"}
    assert all("are needed" in by_name[n].reason for n in ("encoder", "lora"))
    for name in trained:
        selection = by_name[name].selection
        assert selection is not None and selection.split == "cross-validation"
        assert by_name[name].test is None
        assert selection.n == 24 == sum(map(sum, selection.confusion))
    assert any("24" in one and "cross-validation" in one for one in result.verdict.cautions)
    assert len(result.verdict.headline) <= 90
    assert result.curve is not None and result.curve.points[-1].rows == 24
    with open_store() as store:
        assert {s.split for s in store.run(str(done.folder.path)).scores} == {"cross-validation"}
    assert done.report.is_file() and (done.bundle / "bundle.json").is_file()


def test_several_labels_a_text(make_table: Table, tmp_path: Path) -> None:
    pick = random.Random(1)
    texts, _ = tiny.sentences(260)
    rows = []
    for text in texts:
        labels = [n for n, words in (("praise", tiny.GOOD), ("blame", tiny.BAD)) if set(words) & set(text.split())]
        labels += ["parcel"] if pick.random() < 0.3 else []
        rows.append((text + (" parcel" if "parcel" in labels else ""), "|".join(labels)))
    done = go(write(tmp_path / "m.csv", "text,labels", rows), tmp_path / "out", multi_label=True)
    assert done.result.task["multi_label"] and done.result.task["labels"] == ["blame", "parcel", "praise"]
    best = done.result.winner.test
    assert best is not None and done.result.verdict.candidate == "tfidf"
    assert best.macro_f1.value > 0.9 and [c.label for c in best.per_class] == ["blame", "parcel", "praise"]
    [answer] = __import__("seedbed").load(done.bundle).predict(["a great parcel, parcel"])
    assert answer.label == ["parcel", "praise"]


@pytest.mark.parametrize("rows", [120, 400])
def test_a_group_is_never_separated(make_table: Table, tmp_path: Path, rows: int) -> None:
    people = [f"p{i // 5}" for i in range(rows)]
    done = go(make_table(rows, more={"person": people}), tmp_path / "out", group="person")
    where = defaultdict(set)
    frozen = open_splits(done.folder.path)
    for group, split in zip(frozen.column("group"), frozen.column("split"), strict=True):
        where[group].add(split)
    assert len(where) == rows // 5 and all(len(splits) == 1 for splits in where.values())
    assert done.result.protocol == ("cross-validation" if rows < 200 else "holdout")


def test_groups_that_err_together_are_said_to_be_fewer_witnesses(tmp_path: Path) -> None:
    """Three in ten people call good bad and bad good: whoever reads the words is wrong on all that they wrote."""
    texts, labels = tiny.sentences(600)
    turned = {"good": "bad", "bad": "good"}
    odd = random.Random(2).sample(range(60), 18)
    rows = [(text, turned.get(label, label) if i // 10 in odd else label, f"p{i // 10}")
            for i, (text, label) in enumerate(zip(texts, labels, strict=True))]
    for group, count in (("person", 1), (None, 0)):
        done = go(write(tmp_path / "turned.csv", "text,label,person", rows), tmp_path / str(group), group=group)
        told = [one for one in done.result.verdict.cautions if "times as wide" in one]
        assert len(told) == count, done.result.verdict.cautions


def test_three_groups_make_three_folds(make_table: Table, tmp_path: Path) -> None:
    done = go(make_table(60, more={"person": [f"p{i % 3}" for i in range(60)]}), tmp_path / "out", group="person")
    assert done.result.winner.selection is not None and done.result.winner.selection.n == 60


@pytest.mark.parametrize(("rows", "groups", "told"), [
    (60, lambda i: "one", "1 rows that can be told apart do not fill 2 folds"),
    (300, lambda i: "one", "1 rows that can be told apart do not fill 3 splits"),
    (60, lambda i: f"p{i % 2}", "Without the rows of one fold of the cross-validation, those that are left all have"),
    (400, lambda i: f"p{i % 2}", "2 rows that can be told apart do not fill 3 splits"),
])
def test_groups_that_leave_nothing_to_learn_are_refused(make_table: Table, tmp_path: Path, rows: int, groups: Any,
                                                        told: str) -> None:
    data = make_table(rows, noise=0, more={"person": [groups(i) for i in range(rows)]})
    with pytest.raises(DataError) as caught:
        go(data, tmp_path / "out", group="person")
    assert told in caught.value.message
    assert not (tmp_path / "out").exists()


def test_given_files_are_the_splits(make_table: Table, tmp_path: Path) -> None:
    train, test = make_table(300, "train.csv"), make_table(80, "test.csv", seed=1)
    validation = make_table(50, "validation.csv", seed=2)
    both = go(train, tmp_path / "both", test=test, validation=validation).result
    assert (both.protocol, both.rows) == ("holdout", {"train": 300, "validation": 50, "test": 80})
    tested = go(train, tmp_path / "tested", test=test).result
    assert tested.rows["test"] == 80 and tested.rows["train"] + tested.rows["validation"] == 300
    assert {tested.winner.test.n} == {80}  # type: ignore[union-attr]
    words = both.command.split()
    assert words[words.index("--test") + 1] == str(test)


def test_no_test_rows_is_said(make_table: Table, tmp_path: Path) -> None:
    rows = 300
    column = ["validation" if i % 5 == 0 else "train" for i in range(rows)]
    data = make_table(rows, more={"part": column})
    done = go(data, tmp_path / "out", split="part")
    result = done.result
    if "test" in result.rows:  # a split that lacks is taken out of the training rows
        assert result.rows == {"train": result.rows["train"], "validation": 60, "test": result.rows["test"]}
        assert sum(result.rows.values()) == rows
    else:
        assert any("also chose the winner" in one for one in result.verdict.cautions)


def test_few_training_rows_with_a_test_file(make_table: Table, tmp_path: Path) -> None:
    result = go(make_table(90, "train.csv"), tmp_path / "out", test=make_table(60, "test.csv", seed=1)).result
    assert (result.protocol, result.rows) == ("cross-validation", {"train": 90, "test": 60})
    best = result.winner
    assert best.selection is not None and best.test is not None
    assert (best.selection.n, best.test.n) == (90, 60)
    assert not any("none were kept" in one for one in result.verdict.cautions)


def test_a_label_that_only_the_test_rows_have(make_table: Table, tmp_path: Path) -> None:
    train, test = make_table(300, "train.csv"), make_table(60, "test.csv", seed=1)
    with test.open("a") as file:
        file.write("the box was odd,strange\na strange box,strange\n")
    result = go(train, tmp_path / "out", test=test, learning_curve=True).result
    assert result.task["labels"] == ["bad", "good", "strange"]
    scores = result.winner.test
    assert scores is not None and scores.per_class[2].support == 2 and scores.per_class[2].recall.value == 0
    assert any("strange" in one for one in result.verdict.cautions)
    assert result.curve is not None and len(result.curve.points) == 3


def test_bad_rows_are_counted_and_the_run_goes_on(make_table: Table, tmp_path: Path) -> None:
    data = make_table(60, noise=0)
    with data.open("a") as file:
        file.write(f",good\nno label here,\n{'a' * 10_000_000},bad\n\"a quote that never ends,bad\n")
    health = go(data, tmp_path / "out").result.health
    assert (health.read, health.kept) == (64, 60)
    assert sum(health.skipped.values()) == 4
    lines = {f.code: f.lines for f in health.findings}
    assert lines["empty_text"] == [62] and lines["missing_label"] == [63] and lines["huge_cell"] == [64]
    [quote] = [f for f in health.findings if f.code in health.skipped and 65 in f.lines]
    assert "quot" in quote.message


@pytest.mark.parametrize(("content", "told"), [
    (f"text,label\n{'a' * 10_000_000},bad\n{'b' * 10_000_000},good\n", "Not one of the 2 rows"),
    ('text,label\n"a quote that never ends,bad\n"and another,good\n', "Not one of the"),
])
def test_nothing_left_is_an_error(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "data.csv").write_text(content)
    with pytest.raises(DataError) as caught:
        go(tmp_path / "data.csv", tmp_path / "out", text="text", label="label")
    assert told in caught.value.message and "line 2" in caught.value.message


def test_nothing_is_left_behind_by_data_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.csv").write_text("text,label\n" + "".join(f"text {i},good\n" for i in range(50)))
    for source in ("nope.csv", "one.csv"):
        with pytest.raises(UserError):
            run(source)
    assert [path.name for path in tmp_path.iterdir()] == ["one.csv"]


def test_encoding_and_delimiter_are_taken(tmp_path: Path) -> None:
    texts, labels = tiny.sentences(40)
    table = "\n".join(["text\tlabel", *(f"größe {t}\t{x}" for t, x in zip(texts, labels, strict=True))])
    (tmp_path / "data.txt").write_bytes(table.encode("cp1252"))
    done = go(tmp_path / "data.txt", tmp_path / "out", encoding="cp1252", delimiter="tab")
    assert open_splits(done.folder.path).texts[0].startswith("größe")
    assert "--encoding cp1252" in done.result.command and "--delimiter tab" in done.result.command


def test_a_secret_in_a_url_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite has no password; one of its arguments plays it here."""
    monkeypatch.setattr(sql, "SECRET", re.compile("timeout"))
    texts, labels = tiny.sentences(60)
    with closing(sqlite3.connect(tmp_path / "d.sqlite")) as made:
        made.execute("create table t (text, label)")
        made.executemany("insert into t values (?, ?)", list(zip(texts, labels, strict=True)))
        made.commit()
    done = go(f"sqlite:///{tmp_path / 'd.sqlite'}?timeout=77.2313&query=SELECT text, label FROM t", tmp_path / "out")
    assert "timeout=..." in done.result.command
    for path in done.folder.path.rglob("*"):
        assert not path.is_file() or b"77.2313" not in path.read_bytes()
    with open_store() as store:
        assert "77.2313" not in store.run(str(done.folder.path)).model_dump_json()
