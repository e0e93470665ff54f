"""A search for better options, with tiny models: judged on validation, ended early, killed and gone on with."""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from children import Children
from made_tables import use_tiny
from test_workflow_tune import QUICK, write

from seedbed.errors import MissingExtra, UserError
from seedbed.evaluate.report import drawing
from seedbed.evaluate.report.trials import trials as chart
from seedbed.evaluate.search import Search, Trial, search
from seedbed.progress import SILENT
from seedbed.workflow.config import TuneConfig
from seedbed.workflow.search import Ended, Limit, Watch, limit
from seedbed.workflow.tune import FineTuned, finetune, resume

CONFIG = TuneConfig(model="tiny-llama", search="5 trials")


@pytest.fixture(scope="module")
def optuna() -> None:
    pytest.importorskip("optuna")


def lasting(found: Search) -> list[dict[str, object]]:
    return [{**one.model_dump(), "seconds": 0} for one in found.trials]


@pytest.fixture(scope="module")
def done(optuna: None, tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> FineTuned:
    """One search that several tests look at."""
    folder = tmp_path_factory.mktemp("search")
    with pytest.MonkeyPatch.context() as patch:
        use_tiny(patch, folder / "home", tiny_models)
        return finetune(write(folder / "asked.jsonl"), CONFIG, QUICK, out=folder / "out")


def test_the_defaults_come_first_and_nothing_worse_comes_out(done: FineTuned) -> None:
    found = done.result.search
    assert found and len(found.trials) == 5
    first, best = found.trials[0], found.leaders[0]
    names = ("learning_rate", "rank", "train_layers", "alpha")
    assert first.options == {name: getattr(QUICK, name) for name in names}
    assert best.number == found.best and first.loss is not None and best.loss is not None
    assert found.gain.value == pytest.approx(first.loss - best.loss)
    assert found.gain.n == done.result.rows["validation"]
    assert len({json.dumps(one.options) for one in found.trials}) == 5
    assert len({one.options["alpha"] / one.options["rank"] for one in found.trials}) == 1
    assert min(one["validation_loss"] for one in done.result.history) == pytest.approx(best.loss)
    assert found.seconds == pytest.approx(sum(one.seconds for one in found.trials))


def test_a_pruned_trial_costs_less(done: FineTuned) -> None:
    found = done.result.search
    assert found
    pruned = [one for one in found.trials if one.state == "pruned"]
    whole = [one for one in found.trials if one.state == "finished"]
    assert pruned and len(pruned) + len(whole) == 5
    assert all(one.loss is None and len(one.curve) < QUICK.epochs for one in pruned)
    assert max(len(one.curve) for one in pruned) < np.mean([len(one.curve) for one in whole])  # passes, not seconds


def test_the_weights_of_the_best_trial_are_kept_and_judged_on_test(done: FineTuned, tmp_path: Path,
                                                                   tiny_ladder: Path) -> None:
    """The same options without a search give the same figures: so these are of the trial's weights."""
    found = done.result.search
    assert found
    options = found.leaders[0].options
    whole = {name: int(options[name]) for name in ("rank", "train_layers")}
    training = replace(QUICK, **{**options, **whole})  # type: ignore[arg-type]
    alone = finetune(done.folder.path.parent / "asked.jsonl", TuneConfig(model="tiny-llama"), training,
                     out=tmp_path / "alone")
    assert alone.result.figures == done.result.figures and alone.result.search is None
    assert (alone.folder.model / "model.safetensors").read_bytes() == (
        done.folder.model / "model.safetensors").read_bytes()
    assert not (done.folder.path / "training").exists() and (done.folder.path / "search.log").is_file()


def test_the_chart_is_one_file_for_light_and_dark(done: FineTuned) -> None:
    found = done.result.search
    assert found
    root = ElementTree.parse(done.folder.path / "search.svg").getroot()
    assert root.tag == f"{{{drawing.SVG}}}svg" and "prefers-color-scheme: dark" in "".join(root.itertext())
    words = ["".join(one.itertext()) for one in root.iter() if one.tag.endswith("text")]
    assert "defaults" in words or found.best == 0
    shown = chart(found)
    assert len(re.findall(r"trial \d+:", shown.text)) == sum(bool(one.curve) for one in found.trials)
    assert float(ElementTree.fromstring(drawing.svg(shown.wide)).get("width", "0")) <= drawing.HALF + 1


def rounded(values: Any) -> Any:
    """Numbers to five digits."""
    if isinstance(values, dict):
        return {name: rounded(one) for name, one in values.items()}
    if isinstance(values, list | tuple):
        return [rounded(one) for one in values]
    return float(f"{values:.5g}") if isinstance(values, float) else values


@pytest.mark.slow
def test_killed_it_goes_on_with_the_trial_that_it_was_at(done: FineTuned, tiny_ladder: Path, tmp_path: Path,
                                                         tiny_models: Path) -> None:
    """It ends as the search that was not disturbed."""
    children = Children(tmp_path, tiny_models, alone=False)
    write(tmp_path / "asked.jsonl")
    words = ["train", "asked.jsonl", "--quiet", "--out", "killed", "--model", CONFIG.model, "--search",
             str(CONFIG.search)]
    for name in ("epochs", "train-layers", "rank", "batch-texts", "learning-rate", "max-tokens",
                 "checkpoint-seconds"):
        words += [f"--{name}", str(getattr(QUICK, name.replace("-", "_")))]
    children.stop(words, children.past("killed/training/trial-1/checkpoint"))
    resumed = resume(tmp_path / "killed").result
    assert done.result.search and resumed.search
    # the undisturbed one ran in this process, whose threads other tests may have set: sums differ in the eighth digit
    assert rounded(lasting(resumed.search)) == rounded(lasting(done.result.search))
    assert rounded([one.model_dump() for one in resumed.figures]) == rounded(
        [one.model_dump() for one in done.result.figures])


def test_time_ends_a_search_but_never_the_defaults(optuna: None, tiny_ladder: Path, tmp_path: Path) -> None:
    short = finetune(write(tmp_path / "asked.jsonl"), replace(CONFIG, search="0.01s"), replace(QUICK, epochs=1),
                     out=tmp_path / "short").result.search
    assert short and len(short.trials) == 1 and short.best == 0 and short.trials[0].state == "finished"
    assert short.verdict.startswith("Nothing was better than the defaults")
    Watch(None, 0, time.monotonic() + 60, SILENT).advance("train")
    ended = Watch(None, 0, time.monotonic() - 1, SILENT)
    ended.told = True
    ended.done("train")
    ended.advance("judge")  # what has learned to its end is judged
    with pytest.raises(Ended, match="late"):
        Watch(None, 0, time.monotonic() - 1, SILENT).advance("train")


def test_what_cannot_be_meant(tiny_ladder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (limit("30m"), limit("12 trials"), limit("1trial")) == (Limit(1800.0), Limit(trials=12), Limit(trials=1))
    file = write(tmp_path / "asked.jsonl")
    for config, message in ((TuneConfig(model="tiny-llama", search="long"), "--search is 'long'"),
                            (TuneConfig(model="tiny-llama", search="0 trials"), "no trial at all"),
                            (TuneConfig(model="tiny-llama", search="9s", budget="9s"), "together with --budget")):
        with pytest.raises(UserError, match=message):
            finetune(file, config, QUICK, out=tmp_path / "out")
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtra) as told:
        finetune(file, CONFIG, QUICK, out=tmp_path / "out")
    assert told.value.hint == "Install it with: pip install 'seedbed[search]'"
    assert not (tmp_path / "out").exists()


def made(number: int, loss: float | None) -> Trial:
    return Trial(number=number, options={"learning_rate": 1e-4 * (number + 1)}, loss=loss, curve=[loss or 3.0],
                 seconds=1.0, state="finished" if loss else "pruned")


def test_a_gain_that_could_be_chance_is_called_so() -> None:
    trials, whole = [made(0, 2.0), made(1, 1.9), made(2, None)], np.full(30, 10)
    first = np.full(30, 20.0)
    sure = search(trials, first, first - 1 + 0.1 * np.sin(np.arange(30)), whole)
    assert sure.best == 1 and sure.gain.low > 0 and sure.verdict.startswith("Trial 1 beats the defaults")
    unsure = search(trials, first, first - 1 + 9 * np.sin(np.arange(30)), whole)
    assert unsure.gain.low < 0 and "could be chance (3 tried, 1 of them ended early)" in unsure.verdict
    assert [one.number for one in sure.leaders] == [1, 0]
