"""`seedbed train --teacher`: whole, stopped and refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chat_server import Reply, serving
from children import Children
from test_workflow_tune import CONFIG, QUICK, THINGS, write

from seedbed.cli import main
from seedbed.engines import remote
from seedbed.errors import DataError, NotFound, Offline, UserError
from seedbed.settings import settings
from seedbed.workflow import finetune
from seedbed.workflow.distilling import ANSWERS
from seedbed.workflow.tune import resume

SHORT = replace(QUICK, epochs=2)


def asks(path: Path, rows: int = 60) -> Path:
    lines = [{"prompt": f"the {THINGS[i % 8]} and the {THINGS[i // 8 % 8]} came {i}"} for i in range(rows)]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return path


def tell(body: dict[str, Any], count: int) -> Reply:
    """As the rows of `write` do."""
    return f"the {body['messages'][-1]['content'].split()[1]} it was"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "WAIT", 0.01)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Path:
    """The folder of a run."""
    folder = tmp_path_factory.mktemp("teacher")
    with pytest.MonkeyPatch.context() as patch:
        from made_tables import use_tiny
        use_tiny(patch, folder / "home", tiny_models)
        finetune(write(folder / "asked.jsonl"), CONFIG, replace(QUICK, epochs=12), out=folder / "run")
    settings.cache_clear()
    return folder / "run"


@pytest.mark.parametrize("distill", ["logits", "policy"])
def test_figures_say_how_near_it_came_to_its_teacher(distill: str, teacher: Path, tiny_ladder: Path,
                                                     tmp_path: Path) -> None:
    config = replace(CONFIG, teacher=str(teacher), distill=distill, answer_tokens=6)
    done = finetune(write(tmp_path / "asked.jsonl"), config, replace(QUICK, teacher_words=32), out=tmp_path / "out")
    figures = {one.name: one for one in done.result.figures}
    assert list(figures)[:5] == ["loss", "divergence", "bits_per_byte", "perplexity", "word_perplexity"]
    apart, loss = figures["divergence"], figures["loss"]
    assert apart.gain and apart.gain.low > 0 and apart.after.n == loss.after.n == 12
    was = json.loads((teacher / "result.json").read_text())["figures"][0]["after"]
    assert loss.baseline and loss.baseline.value == pytest.approx(was["value"], rel=0.02)  # the same test rows
    assert apart.baseline is None
    assert not (done.folder.path / "training").exists()


@pytest.mark.parametrize("draws", [1, 3])
def test_a_url_answers_questions_that_have_no_answers(draws: int, tiny_ladder: Path, tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDBED_TEACHER_KEY", "sk-secret-0815")
    settings.cache_clear()

    def answer(body: dict[str, Any], count: int) -> Reply:
        asked = body["messages"][-1]["content"]
        cut = {"message": {"content": "and so on"}, "finish_reason": "length"}
        return 429 if count == 5 else {"7": 400, "8": "", "9": cut}.get(asked.split()[-1], tell(body, 0))
    with serving(answer) as server:
        config = replace(CONFIG, teacher=server.url, distill="text", draws=draws)
        done = finetune(asks(tmp_path / "asked.jsonl"), config, SHORT, out=tmp_path / "out")
        assert len(server.bodies) == 60 * draws + 1
        assert {body["seed"] for body in server.bodies} == set(range(draws))
        assert {body["temperature"] for body in server.bodies} == {0.0 if draws == 1 else 0.8}
        before = done.folder.result.read_bytes()
        resume(done.folder.path)
        assert len(server.bodies) == 60 * draws + 1  # nothing is asked again
    result = done.result
    assert result.answers == {"asked": 60 * draws, "learned": 57, "refused_by_server": draws, "empty": draws,
                              "cut": draws, **({"not_the_central": 57 * 2} if draws > 1 else {})}
    assert result.answers["asked"] == sum(count for name, count in result.answers.items() if name != "asked")
    assert "Judged by the teacher's own answers" in result.verdict
    assert result.figures[0].gain and result.figures[0].gain.low > 0
    assert done.folder.result.read_bytes() == before
    kept = [json.loads(line) for line in (done.folder.path / ANSWERS).read_text().splitlines()]
    assert len(kept) == len({(one["id"], one["draw"]) for one in kept}) == 60 * draws
    for file in done.folder.path.rglob("*"):
        assert not file.is_file() or b"sk-secret-0815" not in file.read_bytes(), file


def test_true_answers_of_the_test_rows_judge(teacher: Path, tiny_ladder: Path, tmp_path: Path) -> None:
    """Those of the file, which no teacher is asked for."""
    with serving(lambda body, count: "lovely " + "fast happy works"[count % 10:]) as server:
        config = replace(CONFIG, teacher=server.url, distill="text")
        done = finetune(write(tmp_path / "asked.jsonl", 120), config, SHORT, out=tmp_path / "out")
        assert len(server.bodies) == 108  # the test rows are not asked
    assert done.result.answers["asked"] == 108 and "Judged by" not in done.result.verdict
    assert done.result.figures[0].after.n == done.result.rows["test"] == 12


@pytest.mark.slow
def test_a_model_on_this_machine_answers(teacher: Path, tiny_ladder: Path, tmp_path: Path,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", str(asks(tmp_path / "asked.jsonl", 200)), "--teacher", str(teacher), "--distill", "text",
             "--model", "tiny-llama", "--draws", "2", "--agreement", "0", "--answer-tokens", "24", "--epochs", "1",
             "--train-layers", "2", "--max-tokens", "48", "--out", str(tmp_path / "out"), "--json"]
    assert main(words) == 0
    result = json.loads(capsys.readouterr().out)
    answers = result["answers"]
    assert answers["asked"] == 400 and answers["learned"] >= 20
    assert answers["asked"] == sum(count for name, count in answers.items() if name != "asked")
    file = tmp_path / "out" / ANSWERS
    whole = file.read_bytes()
    lines = whole.splitlines(keepends=True)
    (tmp_path / "out" / "result.json").unlink()
    file.write_bytes(b"".join(lines[:21]) + lines[21][:9])  # as a kill leaves it
    resume(tmp_path / "out")
    assert file.read_bytes() == whole


@pytest.mark.slow
def test_a_kill_loses_what_was_under_way(tiny_models: Path, tmp_path: Path) -> None:
    children = Children(tmp_path, tiny_models)
    asks(tmp_path / "asked.jsonl")
    with serving(lambda body, count: 30.0 if count == 25 else tell(body, count)) as server:
        words = ["train", "asked.jsonl", "--teacher", server.url, "--distill", "text", "--model", "tiny-llama",
                 "--epochs", "1", "--out", "out", "--quiet"]
        children.stop(words, lambda: len(server.bodies) >= 60 and len(kept(tmp_path)) >= 59)
        assert len(kept(tmp_path)) == 59
        first = len(server.bodies)
        children.run("train", "--resume", "out", "--quiet")
        assert len(server.bodies) == first + 1


def kept(folder: Path) -> list[str]:
    """What the teacher wrote so far."""
    file = folder / "out" / ANSWERS
    return file.read_text().splitlines() if file.exists() else []


def test_what_cannot_be_is_told_in_two_lines(teacher: Path, tiny_ladder: Path, tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    file, out = asks(tmp_path / "asked.jsonl"), tmp_path / "out"

    def refused(kind: type[UserError], match: str, source: Path = file, **more: Any) -> str:
        with pytest.raises(kind, match=match) as caught:
            finetune(source, replace(CONFIG, **more), SHORT, out=out)
        return caught.value.hint
    refused(UserError, "--distill text was given without a teacher", distill="text")
    refused(UserError, "--draws 3 was given without a teacher", draws=3)
    assert "--distill text" in refused(UserError, "A teacher behind a URL gives text", teacher="http://localhost/v1")
    refused(NotFound, "nor a folder of that name", teacher="no-such", source=write(tmp_path / "whole.jsonl"))
    refused(UserError, "carries a name, a key", teacher="http://a:secret@localhost/v1", distill="text")
    refused(DataError, "no turn of the assistant|can be learned from|no form", teacher=str(teacher))
    monkeypatch.setenv("SEEDBED_OFFLINE", "1")
    settings.cache_clear()
    refused(Offline, "may not leave the machine", teacher="http://example.org/v1", distill="text")
    (tmp_path / "text.jsonl").write_text("\n".join(json.dumps({"text": f"the box came {i}"}) for i in range(40)))
    refused(DataError, "is a plain text, and --distill policy", source=tmp_path / "text.jsonl", teacher=str(teacher),
            distill="policy")
    assert not out.exists()
    with serving(lambda body, count: "" if count else 500) as server:
        refused(DataError, "Of the teacher's answers too few are left: 0 rows", teacher=server.url, distill="text")
    with serving(lambda body, count: tell(body, count) if count < 9 else 503) as server:
        out = tmp_path / "failed"
        hint = refused(Offline, "gave no answer in 6 tries: HTTP 503", teacher=server.url, distill="text")
        assert f"seedbed train --resume {out}" in hint
        assert len((out / ANSWERS).read_text().splitlines()) == 9
