"""`seedbed run` as a user calls it: what it prints, where things are, that flags reach the run."""

from __future__ import annotations

import io
import json
import shlex
from contextlib import redirect_stdout
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from seedbed.cli import load, main
from seedbed.options import flag_of
from seedbed.settings import settings
from seedbed.train.config import TrainConfig
from seedbed.workflow import RunConfig

THINGS = ("battery", "screen", "keyboard", "charger", "speaker", "camera", "case", "cable")
ROWS = [f"the {thing} is {word} after {n} days,{label}" for n in range(2, 5) for thing in THINGS
        for word, label in (("superb", "good"), ("broken", "bad"))]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One run of the two cheapest candidates: its folder, and what was printed."""
    place = tmp_path_factory.mktemp("run")
    (place / "data.csv").write_text("words,verdict\n" + "\n".join(ROWS) + "\n")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as said:
        patch.chdir(place)
        patch.setenv("SEEDBED_HOME", str(place / "home"))
        settings.cache_clear()
        assert main(["run", "data.csv", "--text", "words", "--label", "verdict", "--candidates", "majority,tfidf",
                     "--no-learning-curve", "--seed", "5", "--rank", "4", "--out", "my out"]) == 0
    settings.cache_clear()
    return place / "my out", said.getvalue()


def test_a_run_prints_the_verdict_every_candidate_and_where_things_are(ran: tuple[Path, str]) -> None:
    folder, said = ran
    result = json.loads((folder / "result.json").read_text())
    assert result["verdict"]["headline"] in said
    assert result["verdict"]["rule"] in said
    rows = {line.strip("* ").split("  ")[0]: line for line in said.splitlines()}
    for one in result["candidates"]:
        assert (one["title"] in rows) == (one["name"] in ("majority", "tfidf"))
        if one["title"] not in rows:
            continue
        assert rows[one["title"]].startswith("*") == (one["name"] == result["verdict"]["candidate"])
    for name in ("report.html", "result.json", "bundle"):
        assert str(Path("my out") / name) in said
        assert (folder / name).exists()


def test_flags_reach_the_run(ran: tuple[Path, str]) -> None:
    written = yaml.safe_load((ran[0] / "config.yaml").read_text())
    assert written["run"]["text"] == "words"
    assert written["run"]["candidates"] == ["majority", "tfidf"]
    assert written["run"]["learning_curve"] is False
    assert written["run"]["seed"] == 5
    assert written["training"]["rank"] == 4


def test_the_printed_command_answers(ran: tuple[Path, str], capsys: pytest.CaptureFixture[str],
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ran[0].parent)
    [line] = [line for line in ran[1].splitlines() if line.startswith("answer: seedbed ")]
    words = shlex.split(line.removeprefix("answer: seedbed "))
    assert main([*words[:-1], "--json", "the tripod is superb after 9 days"]) == 0
    [answer] = json.loads(capsys.readouterr().out)
    assert answer["label"] == "good"


def test_every_field_is_a_flag() -> None:
    flags = {flag for param in load("run").params for flag in param.opts}
    assert {flag_of(one) for kind in (RunConfig, TrainConfig) for one in fields(kind)} <= flags
