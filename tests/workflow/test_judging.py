"""`seedbed train --judge` and `seedbed judge`: whole, stopped, failed, refused; and people's choices."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chat_server import Reply, serving
from test_workflow_answering import QUICK, table

from seedbed.cli import main
from seedbed.engines import remote
from seedbed.errors import DataError, Interrupted, NotFound, Offline, UserError
from seedbed.evaluate.judge import said
from seedbed.settings import settings
from seedbed.store import open_store
from seedbed.workflow import TuneConfig, finetune
from seedbed.workflow.answering import TESTED
from seedbed.workflow.judging import REPLIES, SHEET, judge
from seedbed.workflow.tune import resume

CONFIG = TuneConfig(task="summarize", model="tiny-llama", method="full", ask="doc", answer="out", answered=8)
KEY = "sk-secret-0815"
Answer = Callable[[dict[str, Any], int], Reply]


def answers(body: dict[str, Any]) -> dict[str, str]:
    """The texts of a ballot, by the names of their marks."""
    return {name: text for name, _, text in re.findall(
        r"\[(request|reference|answer A|answer B) (\w{12})\]\n(.*?)\n\[end of \1 \2\]",
        body["messages"][0]["content"], re.DOTALL)}


def by_reference(body: dict[str, Any], count: int) -> Reply:
    """Prefers the answer that shares more words with the reference."""
    texts = answers(body)
    right = set(texts["reference"].split())
    one, other = (len(right & set(texts[name].split())) for name in ("answer A", "answer B"))
    return "A" if one > other else "B" if other > one else "TIE"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "WAIT", 0.001)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Path:
    """A finished run that no judge was asked about."""
    folder = tmp_path_factory.mktemp("judged")
    with pytest.MonkeyPatch.context() as patch:
        from made_tables import use_tiny
        use_tiny(patch, folder / "home", tiny_models)
        finetune(table(folder / "rows.jsonl"), CONFIG, QUICK, out=folder / "run")
    settings.cache_clear()
    return folder / "run"


@pytest.fixture
def run(trained: Path, tiny_ladder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "run")


def asked(run: Path, url: str, **more: Any) -> Any:
    return judge(run, replace(TuneConfig(), judge=url, **more)).result


def test_training_with_a_judge_and_a_person_from_end_to_end(tiny_ladder: Path, tmp_path: Path,
                                                           monkeypatch: pytest.MonkeyPatch,
                                                           capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SEEDBED_JUDGE_KEY", KEY)
    settings.cache_clear()
    out = tmp_path / "out"
    with serving(by_reference) as server:
        result = finetune(table(tmp_path / "rows.jsonl"), replace(CONFIG, judge=server.url), QUICK, out=out).result
        assert set(server.keys) == {f"Bearer {KEY}"} and {one["temperature"] for one in server.bodies} == {0}
        assert len(server.bodies) == 2 * sum(n for name, n in result.judging.rows.items() if name != "same")
        texts = answers(server.bodies[0])
        assert texts["request"].startswith("Summarize this text in about 5 words.\n\nthe ")
        before = len(server.bodies)
        again = resume(out).result
        assert (again.figures, again.judging) == (result.figures, result.judging) and len(server.bodies) == before
    wins = result.figure("judge_wins")
    assert wins.after.n == 8 and wins.gain and wins.gain.low > 0 and "(not people)" in wins.title
    assert result.judging.model == "big" and result.judging.agreement is None
    assert result.judging.steady.value == 1 and result.figures[0].name == "rouge_l"
    rows = list(csv.DictReader((out / SHEET).open(encoding="utf-8-sig", newline="")))
    assert len(rows) == 8 and not any(one["person"] for one in rows)
    tested = {one["id"]: one for one in map(json.loads, (out / TESTED).read_text().splitlines())}
    assert {one["answer_1"] == tested[one["id"]]["after"] for one in rows} == {True, False}  # a blind order
    for one in rows[:6]:  # a person who likes what training made, save once
        one["person"] = "1" if (one["answer_1"].strip() == tested[one["id"]]["after"].strip()) else "2"
    rows[5]["person"] = "Tie"
    with (out / SHEET).open("w", encoding="utf-8", newline="") as file:  # as a spreadsheet may save it
        sheet = csv.DictWriter(file, list(rows[0]), delimiter=";")
        sheet.writeheader()
        sheet.writerows(rows)
    capsys.readouterr()
    assert main(["judge", str(out)]) == 0  # the server is gone, and not needed
    told = capsys.readouterr().out
    result = json.loads((out / "result.json").read_text())
    assert result["judging"]["agreement"]["equal"]["n"] == 6
    assert result["judging"]["agreement"]["equal"]["value"] == pytest.approx(5 / 6)
    assert result["figures"][-1]["name"] == "people_wins"
    assert result["figures"][-1]["after"]["value"] == pytest.approx(5.5 / 6)
    for text in (told, (out / "report.html").read_text(), (out / "bundle" / "README.md").read_text()):
        assert "agrees with people in 83% (44% to 97%, n 6)" in text and "few rows" in text
        assert "The judge big (a model, not people)" in text
    with open_store() as store:
        assert {one.metric for one in store.run(str(out)).scores} >= {"judge_wins", "people_wins", "rouge_l"}
    for file in out.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file


@pytest.mark.parametrize(("answer", "rows", "value"), [
    (lambda body, count: "A", {"first": 8}, 0.5), (lambda body, count: "The first.", {"unread": 8}, None),
    (lambda body, count: 400, {"refused": 8}, None), (lambda body, count: "TIE", {"tie": 8}, 0.5)])
def test_judges_that_are_of_no_use_are_told(run: Path, answer: Answer, rows: dict[str, int],
                                            value: float | None) -> None:
    with serving(answer) as server:
        result = asked(run, server.url)
        assert len(server.bodies) == 16
    assert result.judging.rows == rows and result.judging.steady.value == (1 if "tie" in rows else 0)
    found = {one.name: one.after for one in result.figures}.get("judge_wins")
    assert (found and found.value) == value
    if value is None:
        assert "gave no opinion that can be counted. Left out: 8 " in said(result, "x")[0]


def test_longer_is_better_to_some(run: Path) -> None:
    file = run / TESTED
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for number, row in enumerate(rows):
        row |= {"before": "=" + "b" * 9, "after": "a" * 20 if number < 5 else "aa" if number < 7 else "=bbbbbbbbb"}
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with serving(lambda body, count: "A" if len(answers(body)["answer A"]) > len(
            answers(body)["answer B"]) else "B") as server:
        result = asked(run, server.url)
        assert len(server.bodies) == 14  # two equal answers are not asked about
    assert result.judging.rows == {"after": 5, "before": 2, "same": 1}
    assert result.figure("judge_wins").after.value == pytest.approx(5.5 / 8)
    assert "5 of 8 rows, the one before in 2, 1 ties" in said(result, "x")[0]
    sheet = (run / SHEET).read_text()
    assert sheet.count("Summarize") == 7 and " =bbb" in sheet and ",=b" not in sheet  # no formulas


def test_a_stop_loses_no_reply_and_a_cut_line_is_asked_again(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(by_reference) as server:
        take = remote.Remote.answers

        def stopped(self: Any, wanted: Any) -> Any:
            for count, one in enumerate(take(self, wanted)):
                if count == 5:
                    raise KeyboardInterrupt
                yield one
        with monkeypatch.context() as patch, pytest.raises(Interrupted, match="what the judge said is kept"):
            patch.setattr(remote.Remote, "answers", stopped)
            asked(run, server.url)
        kept = (run / REPLIES).read_text()
        assert kept.count("\n") == 5 and json.loads((run / "result.json").read_text())["judging"] is None
        (run / REPLIES).write_text(kept[:-9])  # as a kill leaves it
        server.bodies.clear()
        result = asked(run, server.url)
        assert len(server.bodies) == 12 and sum(result.judging.rows.values()) == 8
        assert len({json.loads(one)["key"] for one in (run / REPLIES).read_text().splitlines()}) == 16
        asked(run, server.url, judge_model="other")  # another model is asked anew, and has the last word
        assert len(server.bodies) == 12 + 16


def test_a_judge_that_vanishes_costs_no_model(tiny_ladder: Path, tmp_path: Path,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    with serving(lambda body, count: "TIE" if count < 3 else 503) as server:
        words = ["train", str(table(tmp_path / "rows.jsonl", 60)), "--task", "summarize", "--model", "tiny-llama",
                 "--ask", "doc", "--answer", "out", "--answered", "4", "--judge", server.url, "--epochs", "1",
                 "--train-layers", "1", "--max-tokens", "112", "--out", str(out)]
        assert main(words) == 0
    told = capsys.readouterr()
    assert (out / "bundle" / "model" / "config.json").is_file() and "HTTP 503" in told.err
    again = f"seedbed judge {out} --judge {server.url}"
    assert "The judge was not heard" in told.out and again in told.out
    assert "The judge was not heard" in (out / "report.html").read_text()
    with serving(by_reference) as other:
        assert main(["judge", str(out), "--judge", other.url, "--json"]) == 0
        assert len(other.bodies) <= 8 - 3
    assert sum(json.loads(capsys.readouterr().out)["judging"]["rows"].values()) == 4


def test_what_cannot_be_is_told_in_two_lines(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(kind: type[UserError], match: str, call: Callable[[], object]) -> None:
        with pytest.raises(kind, match=match):
            call()
    for match, more in (("with --task embed", {"task": "embed"}), ("with --answered 0", {"answered": 0})):
        refused(UserError, match, lambda more=more: finetune(  # type: ignore[misc]
            tmp_path / "none", replace(CONFIG, judge="http://localhost/v1", **more), out=tmp_path / "out"))
    refused(UserError, "The judge's URL carries", lambda: asked(run, "http://a:secret@localhost/v1"))
    refused(UserError, "No judge was named", lambda: judge(run))
    monkeypatch.setenv("SEEDBED_OFFLINE", "1")
    settings.cache_clear()
    refused(Offline, "The judge is at example.org", lambda: finetune(
        tmp_path / "none", replace(CONFIG, judge="http://example.org/v1"), out=tmp_path / "out"))
    with serving(by_reference) as server:
        asked(run, server.url)
    text = (run / SHEET).read_text()
    (run / SHEET).write_text(text.rstrip() + "left\n")
    refused(DataError, "person is 'left'", lambda: judge(run))
    (run / TESTED).unlink()
    refused(NotFound, "keeps no answers to judge", lambda: judge(run))
