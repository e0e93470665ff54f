"""One whole run over the tiny ladder: what every place says about it, and that it repeats itself."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_tables import QUICK, lasting, table, use_tiny

import seedbed
from seedbed.data.freeze import open_splits
from seedbed.settings import settings
from seedbed.store import open_store
from seedbed.workflow import Finished, RunConfig, resume, run
from seedbed.workflow.config import plain

ROWS, ADDRESS = 420, "jane.doe@example.com"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Iterator[Finished]:
    """A run of every candidate that 420 texts allow, in a home folder of its own."""
    place = tmp_path_factory.mktemp("whole")
    data = table(place / "tickets.csv", ROWS, noise=0.15)
    lines = data.read_text().splitlines()
    spoilt = [f"{line.rpartition(',')[0]} {ADDRESS},{line.rpartition(',')[2]}" for line in lines[1:]]
    data.write_text("\n".join([lines[0], *spoilt]) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        use_tiny(patch, place / "home", tiny_models)
        yield run(data, RunConfig(text="text", label="label", seed=3), QUICK, out=place / "out")
    settings.cache_clear()


@pytest.fixture
def at_home(whole: Finished, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The home folder of that run."""
    use_tiny(monkeypatch, whole.folder.path.parent / "home", tiny_models)


def test_every_rung_is_trained_or_says_why_not(whole: Finished) -> None:
    by_name = {one.name: one for one in whole.result.candidates}
    assert list(by_name) == ["majority", "tfidf", "embedding", "contrast", "encoder", "lora"]
    assert [n for n, one in by_name.items() if one.status != "trained"] == ["encoder"]
    assert by_name["encoder"].reason == "294 training texts are too few to tune every weight (500 are needed)"
    for one in by_name.values():
        if one.status == "trained":
            assert one.selection is not None and one.test is not None and one.calibration is not None
            assert one.seconds > 0 and one.peak_memory > 0 and one.size > 0
            assert (one.speed is None) == (one.name == "majority")  # the constant answer reads no text
    assert by_name["tfidf"].selection.score.value > by_name["majority"].selection.score.value  # type: ignore[union-attr]
    assert by_name["lora"].trained_parameters < by_name["lora"].parameters
    assert all(by_name[n].history for n in ("contrast", "lora"))
    assert all(by_name[n].predicted_memory for n in ("embedding", "contrast", "lora"))


def test_counts_add_up_and_the_data_is_frozen(whole: Finished) -> None:
    result, rows = whole.result, open_splits(whole.folder.path)
    assert result.protocol == "holdout"
    assert result.health.read == ROWS == result.health.kept + sum(result.health.skipped.values())
    assert result.rows == dict(Counter(rows.column("split"))) == {"train": 294, "validation": 63, "test": 63}
    assert result.data_hash == rows.hash
    for one in result.candidates:
        if one.test and one.selection:
            assert (one.selection.n, one.selection.split) == (63, "validation")
            assert (one.test.n, one.test.split) == (63, "test")
            assert sum(map(sum, one.test.confusion)) == 63
    assert sum(m.id in set(rows.part("test").column("id")) for m in result.mistakes) == len(result.mistakes) > 0


def test_the_folder_the_store_and_the_bundle_say_the_same(whole: Finished, at_home: None) -> None:
    result = whole.result
    written = json.loads(whole.folder.result.read_text())
    assert written == result.model_dump(mode="json")
    with open_store() as store:
        kept = store.run(result.run)
    assert (kept.state, kept.winner, kept.result) == ("finished", result.verdict.candidate, written)
    assert kept.dataset is not None and kept.dataset.hash == result.data_hash
    said = {(s.candidate, s.split): s.score for s in kept.scores}
    assert said == {(c.name, s.split): s.score for c in result.candidates for s in (c.selection, c.test) if s}
    manifest = json.loads((whole.bundle / "bundle.json").read_text())
    best = result.winner.test
    assert best is not None
    assert {n: manifest["scores"][n]["value"] for n in ("accuracy", "macro_f1", "micro_f1")} == {
        "accuracy": best.accuracy.value, "macro_f1": best.macro_f1.value, "micro_f1": best.micro_f1.value}
    assert kept.bundles[0].path == str(whole.bundle.absolute())
    assert result.verdict.headline in whole.report.read_text()


def test_every_figure_is_a_number(whole: Finished) -> None:
    def walk(values: Any) -> Iterator[Any]:
        if isinstance(values, dict | list):
            for one in values.values() if isinstance(values, dict) else values:
                yield from walk(one)
        else:
            yield values
    figures = [v for v in walk(whole.result.model_dump()) if isinstance(v, float)]
    assert len(figures) > 100
    assert all(map(math.isfinite, figures))


def test_evaluations_are_written_as_they_happen(whole: Finished) -> None:
    lines = [json.loads(line) for line in whole.folder.metrics.read_text().splitlines()]
    trained = [c for c in whole.result.candidates if c.status == "trained"]
    last = {line["candidate"]: line for line in lines if "split" in line}
    assert {n: line["macro_f1"] for n, line in last.items()} == {
        c.name: c.selection.score.value for c in trained if c.selection}
    lora = [line for line in lines if line["candidate"] == "lora" and "validation" in line]
    history = next(c.history for c in trained if c.name == "lora")
    assert [(line["step"], line["validation"]) for line in lora] == [
        (one["step"], one["validation_loss"]) for one in history]


def test_no_personal_data_is_shown(whole: Finished) -> None:
    assert whole.result.mistakes
    assert all("[EMAIL]" in mistake.text for mistake in whole.result.mistakes)
    for path in (whole.folder.result, whole.report, whole.folder.metrics, whole.bundle / "README.md"):
        assert ADDRESS not in path.read_text()


def test_the_bundle_answers_in_a_process_of_its_own(whole: Finished) -> None:
    code = ("import sys, json, seedbed; b = seedbed.load(sys.argv[1]); "
            "print(json.dumps([p.label for p in b.predict(sys.argv[2:])]))")
    words = [sys.executable, "-c", code, str(whole.bundle), "great lovely happy", "broken awful refund"]
    done = subprocess.run(words, capture_output=True, text=True, check=True,
                          env={**os.environ, "SEEDBED_OFFLINE": "1"})
    assert json.loads(done.stdout) == ["good", "bad"]


def test_the_configuration_is_written_whole(whole: Finished) -> None:
    written = yaml.safe_load(whole.folder.config.read_text())
    assert written["source"] == str(whole.folder.path.parent / "tickets.csv")
    assert written["run"] == plain(RunConfig(text="text", label="label", seed=3))
    assert written["training"] == plain(QUICK)
    words = whole.result.command.split()
    assert words[:3] == ["seedbed", "run", written["source"]]
    assert "--seed 3" in whole.result.command and "--train-layers 2" in whole.result.command


def test_the_words_are_short_and_complete(whole: Finished) -> None:
    assert len(whole.result.verdict.headline) <= 90
    assert whole.result.baseline_note.startswith("Always giving the commonest label")
    assert whole.result.curve is not None and len(whole.result.curve.points) == 3


def test_a_finished_run_is_not_run_again(whole: Finished, at_home: None) -> None:
    before = {path: path.read_bytes() for path in whole.folder.path.rglob("*")
              if path.is_file() and path.name not in (".lock", "report.html")}
    assert resume(whole.folder.path).result.model_dump(mode="json") == whole.result.model_dump(mode="json")
    after = {path: path.read_bytes() for path in before}
    assert after == before


@pytest.mark.slow
def test_the_same_seed_gives_the_same_result(whole: Finished, at_home: None, tmp_path: Path) -> None:
    again = run(whole.folder.path.parent / "tickets.csv", RunConfig(text="text", label="label", seed=3), QUICK,
                out=tmp_path / "again")
    assert lasting(again.result.model_dump(mode="json")) == lasting(whole.result.model_dump(mode="json"))


def test_a_damaged_result_is_made_again_without_training(whole: Finished, at_home: None, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(whole.folder.path, copy)
    (copy / "result.json").write_text('{"format": 1')
    metrics = (copy / "metrics.jsonl").read_text()
    done = resume(copy)
    assert (copy / "metrics.jsonl").read_text() == metrics
    assert lasting(done.result.model_dump(mode="json")) == lasting(whole.result.model_dump(mode="json"))


def test_it_works_from_python_as_the_docs_say(whole: Finished) -> None:
    assert seedbed.run is run and seedbed.resume is resume
    [answer] = seedbed.load(whole.bundle).predict(["it was great and solid"])
    assert answer.label == "good"
