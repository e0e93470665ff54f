"""`seedbed train --search` for tasks that do not answer: each is judged by what its own training is stopped by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import test_workflow_embed as embed
import test_workflow_marking as marking
import test_workflow_prefer as prefer
import test_workflow_pretraining as pretraining

from seedbed.errors import DataError, UserError
from seedbed.train.config import TextConfig
from seedbed.workflow import TuneConfig, finetune
from seedbed.workflow.config import check
from seedbed.workflow.marking import MarkingCourse

pytest.importorskip("optuna")
QUICK = TextConfig(epochs=2, train_layers=2, rank=4, batch_texts=16, batch_pairs=8, learning_rate=1e-2, max_tokens=48)
SEARCH = TuneConfig(model="tiny-llama", search="2 trials", answered=0)


def source(task: str, folder: Path) -> tuple[Path, TuneConfig]:
    """Few rows of a task."""
    if task == "entities":
        return marking.write(folder / "a.jsonl", 40), replace(SEARCH, task=task)
    if task == "embed":
        return embed.write(folder / "a.jsonl", 60), replace(SEARCH, task=task, model="tiny-bert", method="full")
    if task == "pretrain":
        return pretraining.sources(folder / "src", 20), replace(SEARCH, task=task)
    rows = prefer.alone(60) if task == "kto" else prefer.pairs(60)
    return prefer.write(folder / "a.jsonl", rows), replace(SEARCH, prefer=task)


@pytest.mark.parametrize("task", ["entities", "embed", "pretrain", "dpo", "orpo", "kto"])
def test_the_number_is_the_loss_that_training_is_stopped_by(task: str, tiny_ladder: Path, tmp_path: Path) -> None:
    rows, config = source(task, tmp_path)
    result = finetune(rows, config, QUICK, out=tmp_path / "out").result
    found = result.search
    assert found and len(found.trials) == 2 and all(one.state == "finished" for one in found.trials)
    for one in found.trials:
        assert one.loss == pytest.approx(min(one.curve), rel=2e-2)  # bf16, where the machine has it
    first, best = found.trials[0], found.leaders[0]
    assert first.loss is not None and best.loss is not None and best.number == found.best
    assert found.gain.value == pytest.approx(first.loss - best.loss)
    assert 2 <= found.gain.n <= result.rows["validation"]
    names = {"learning_rate", "train_layers"} | ({"batch_pairs"} if task == "embed" else {"rank", "alpha"})
    assert set(first.options) == names
    kept = result.config["training"]
    assert {name: kept[name] for name in names} == best.options
    assert min(one["validation_loss"] for one in result.history) == min(best.curve)  # its weights were kept


def test_a_trial_that_runs_out_of_memory_ends_alone(tiny_ladder: Path, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    real = MarkingCourse.trial

    def trial(self: MarkingCourse, job: Any, dataset: Any, lesson: Any) -> Any:
        if lesson.folder.name == "trial-1":
            raise MemoryError
        return real(self, job, dataset, lesson)
    monkeypatch.setattr(MarkingCourse, "trial", trial)
    rows, config = source("entities", tmp_path)
    found = finetune(rows, config, QUICK, out=tmp_path / "out").result.search
    assert found and [one.state for one in found.trials] == ["finished", "failed"] and found.best == 0
    assert found.trials[1].note == "the memory did not suffice"


def test_what_cannot_be_searched_is_refused(tiny_ladder: Path, tmp_path: Path) -> None:
    rows, config = source("entities", tmp_path)
    with pytest.raises(DataError, match="too few validation rows to search by"):
        finetune(rows, replace(config, validation=marking.write(tmp_path / "one.jsonl", 1)), QUICK,
                 out=tmp_path / "out")
    for wrong, message in ((replace(config, teacher="tiny-llama"), "--search was given together with --teacher"),
                           (replace(config, method="qlora"), "--task entities is not trained on weights at 4 bits"),
                           (replace(config, task="pretrain", ask="a"), "--task pretrain takes no --ask"),
                           (replace(config, language="de"), "--task entities takes no --language")):
        with pytest.raises(UserError, match=message):
            check(wrong, QUICK)
