"""`seedbed compress RUN --floor`: what is taken is proven, and what is not leaves the bundle alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_tables import QUICK, Table, table, use_tiny

import seedbed
from seedbed.cli import main
from seedbed.errors import DataError
from seedbed.evaluate.result import Result
from seedbed.export.bundle import open_bundle
from seedbed.settings import settings
from seedbed.workflow import Finished, RunConfig, run
from seedbed.workflow.smaller import FloorConfig, smaller

pytest.importorskip("openvino", reason="needs the extra: pip install seedbed[openvino]")


@pytest.fixture(scope="module")
def encoder_run(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Finished:
    """A run whose winner is the tiny encoder, tuned."""
    place = tmp_path_factory.mktemp("smaller")
    data = table(place / "tickets.csv", 600, noise=0.0)
    with pytest.MonkeyPatch.context() as patch:
        use_tiny(patch, place / "home", tiny_models)
        config = RunConfig(text="text", label="label", candidates=("embedding",), learning_curve=False)
        done = run(data, config, QUICK, out=place / "out")
    settings.cache_clear()
    return done


def test_the_smallest_proven_form_joins_the_bundle(encoder_run: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    folder = encoder_run.folder.path
    words = ["compress", str(folder), "--floor", "0.05", "--to", "openvino", "--quiet"]
    words += ["--prefer", "memory"]  # of the three the one in which it is surely smaller, whatever else runs
    assert main(words) == 0
    said = capsys.readouterr().out
    found = Result.model_validate_json(encoder_run.folder.result.read_text()).frontier
    assert found is not None and found.chosen is not None and found.chosen.startswith("openvino-")
    forms = [f"openvino-{bits}" for bits in ("fp32", "bf16", "int8", "int4")]
    assert [one.name for one in found.points] == ["original", *forms]
    best = found.point(found.chosen)
    measured = [one for one in found.points if one.status == "measured"]
    assert all(one.size and one.memory and one.speed and one.score for one in measured)
    taken = {one.name: one.memory for one in measured if one.memory}
    assert taken[best.name] == min(taken[one.name] for one in found.points if one.passed) < taken["original"]
    assert best.bound is not None and best.bound <= 0.05 and best.level == 0.95  # one sequence has it alone
    entry = next(one for one in open_bundle(encoder_run.bundle).manifest.engines if one.name == found.chosen)
    assert entry.size == best.size and entry.certificate is not None and not entry.certificate.failed
    assert entry.certificate.loss is not None and entry.certificate.loss.floor == 0.05
    assert entry.certificate.loss.bound == pytest.approx(best.bound)
    assert "*" in said and found.chosen in said and f"--engine {found.chosen}" in said
    page = encoder_run.report.read_text()
    assert "What size costs" in page and "frontier-size" in page
    assert not list(encoder_run.bundle.glob(".*")), "nothing half-made is left"
    [answer] = seedbed.load(encoder_run.bundle, engine=found.chosen).predict(["a great parcel"])
    assert answer.label in ("good", "bad")


@pytest.mark.slow
def test_where_nothing_is_proven_nothing_is_added(encoder_run: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    before = (encoder_run.bundle / "bundle.json").read_bytes()
    assert main(["compress", str(encoder_run.folder.path), "--floor", "0.001", "--to", "openvino", "--json"]) == 3
    out = capsys.readouterr()
    found = json.loads(out.out)
    assert found["chosen"] is None and found["floor"] == 0.001 and len(found["points"]) == 5
    assert "No smaller form is proven" in out.err and "The closest is openvino-" in out.err
    assert (encoder_run.bundle / "bundle.json").read_bytes() == before


@pytest.mark.slow
def test_a_form_that_is_no_smaller_is_not_taken(encoder_run: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    """The tiny model has fewer bytes of weights than OpenVINO's file of words."""
    assert main(["compress", str(encoder_run.folder.path), "--floor", "0.05", "--to", "openvino", "--quiet"]) == 3
    assert "takes less room than the original" in capsys.readouterr().err


def test_a_bundle_without_its_rows_is_refused(encoder_run: Finished, tmp_path: Path) -> None:
    import shutil
    shutil.copytree(encoder_run.bundle, tmp_path / "alone")
    with pytest.raises(DataError, match="Nothing tells what a smaller form loses"):
        smaller(tmp_path / "alone", FloorConfig(to=("openvino",)))


def test_a_linear_winner_needs_no_smaller_form(tiny_ladder: Path, make_table: Table, tmp_path: Path,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    run(make_table(300), RunConfig(candidates=("tfidf",), learning_curve=False), QUICK, out=tmp_path / "out")
    assert main(["compress", str(tmp_path / "out")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 2
