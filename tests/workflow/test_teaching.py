from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_tables import QUICK, Table

from seedbed.errors import DataError, NotFound, UserError
from seedbed.train import classify
from seedbed.train.lesson import Lesson
from seedbed.workflow import RunConfig, run

CONFIG = RunConfig(candidates=("lora", "tfidf"), learning_curve=False)


def test_a_larger_classifier_teaches_a_smaller_one(tiny_ladder: Path, make_table: Table, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    rows = make_table(240)
    teacher = run(rows, replace(CONFIG, candidates=("tfidf",)), QUICK, out=tmp_path / "teacher")
    seen = list[Lesson]()

    def watched(lesson: Lesson) -> object:
        seen.append(lesson)
        return classify._finetune(lesson, classify.Adapted, "lora")
    monkeypatch.setattr(classify, "lora", watched)
    more = make_table(60, "more.csv", seed=3)
    done = run(rows, replace(CONFIG, teacher=tmp_path / "teacher", unlabeled=more), QUICK, out=tmp_path / "out")
    (one,) = seen
    assert one.soft is not None and one.unlabelled
    assert one.soft.shape == (len(one.texts) + len(one.unlabelled), 2)
    assert not set(one.unlabelled) & {*one.texts, *one.held_texts}
    assert {c.status for c in done.result.candidates if c.name in CONFIG.candidates} == {"trained"}
    assert teacher.result.data_hash == done.result.data_hash
    assert done.result.config["teacher"] == str(tmp_path / "teacher")


def test_a_teacher_that_does_not_fit_is_refused(tiny_ladder: Path, make_table: Table, tmp_path: Path) -> None:
    run(make_table(90, kinds=3), replace(CONFIG, candidates=("majority",)), QUICK, out=tmp_path / "three")
    rows, out = make_table(90, "two.csv"), tmp_path / "out"
    with pytest.raises(DataError, match="The teacher knows other labels: bad, good, mixed; the rows have bad, good"):
        run(rows, replace(CONFIG, teacher=tmp_path / "three"), QUICK, out=out)
    with pytest.raises(NotFound):
        run(rows, replace(CONFIG, teacher=tmp_path / "none"), QUICK, out=out)
    with pytest.raises(UserError, match="--unlabeled was given without a teacher"):
        run(rows, replace(CONFIG, unlabeled=rows), QUICK, out=out)
    assert not out.exists()
