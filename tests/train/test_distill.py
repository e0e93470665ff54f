from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from test_generate import QUICK, lesson, rows, steps, straight
from torch.nn import functional as F

from seedbed.data.turns import Conversation, pair
from seedbed.errors import NoResources, UserError
from seedbed.models.template import Row, Template, open_template, rows_of
from seedbed.train import opinions
from seedbed.train.boundary import Boundary
from seedbed.train.config import TextConfig
from seedbed.train.distill import FromTeacher, agree, answered, distill
from seedbed.train.generate import write

CONFIG = dataclasses.replace(QUICK, teacher_share=1.0, teacher_words=16)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher: the tiny model after it has learned."""
    with pytest.MonkeyPatch.context() as patch:
        tiny.exactly.__wrapped__(patch)  # type: ignore[attr-defined]
        tuned = write(lesson("llama", dataclasses.replace(QUICK, epochs=12, patience=12)))
    folder = tmp_path_factory.mktemp("teacher")
    tuned.backbone.save(folder)
    return folder


def pupil(taught: Path, config: TextConfig = CONFIG, **more: Any) -> FromTeacher:
    one = lesson("llama", config)
    return FromTeacher(one.rows, one.held, one.judged, config=config, model=one.model, teacher=taught, **more)


def apart(teacher: Path, student: Path, some: list[Row]) -> np.ndarray[Any, Any]:
    """KL(teacher || student) summed over the learned tokens, by the models' own forward passes, a row at a time."""
    from transformers import AutoModelForCausalLM
    q, p = (AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32) for folder in (teacher, student))
    out = []
    with torch.no_grad():
        for row in some:
            ids = torch.tensor(row.ids)[None]
            logs = [model(ids).logits[0, :-1].log_softmax(-1) for model in (p, q)]
            each = F.kl_div(*logs, reduction="none", log_target=True).sum(-1)
            out.append(float(each[torch.tensor(row.learned[1:])].sum()))
    return np.array(out)


@pytest.mark.parametrize("config", [
    CONFIG, dataclasses.replace(CONFIG, temperature=2.0, teacher_share=0.5),
    dataclasses.replace(CONFIG, divergence="reverse", temperature=1.5)])
def test_it_comes_nearer_to_the_teacher(config: TextConfig, taught: Path, tmp_path: Path) -> None:
    one = pupil(taught, dataclasses.replace(config, teacher_words=320))
    done = distill(one)
    done.tuned.backbone.save(tmp_path / "student")
    before, after = done.tuned.more["divergence"]
    assert np.allclose(before, apart(taught, tiny.model("llama"), one.judged), rtol=2e-2, atol=2e-2)
    assert np.allclose(after, apart(taught, tmp_path / "student", one.judged), rtol=2e-2, atol=2e-2)
    assert after.sum() < 0.3 * before.sum()
    assert np.allclose(done.nats, straight(taught, one.judged), rtol=1e-3)
    assert done.tuned.after.mean < done.tuned.before.mean - 0.5


def test_a_teacher_tells_what_wrong_answers_do_not(taught: Path) -> None:
    """The rows teach other answers, the share of the teacher is whole: what they say is not learned."""
    one = pupil(taught)
    turned = [Row(row.ids[:-4] + other.ids[-4:], row.learned) for row, other in zip(
        one.rows, one.rows[1:] + one.rows[:1], strict=True)]
    wrong = dataclasses.replace(one, rows=turned, held=[])
    with_teacher, alone = (distill(dataclasses.replace(
        wrong, config=dataclasses.replace(CONFIG, teacher_share=share))).tuned for share in (1.0, 0.0))
    assert with_teacher.after.mean < alone.after.mean - 0.3


def test_the_teacher_is_asked_once_and_not_believed_when_something_changed(
        taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, real = [], opinions.ask

    def counted(model: Any, made: Any, *more: Any) -> None:
        asked.append(len(made.spans))
        real(model, made, *more)
    monkeypatch.setattr(opinions, "ask", counted)
    one, many = rows("llama", 12), {"k": 8, "temperature": 2.0, "words": 320, "max_tokens": 32, "home": tmp_path}
    first = opinions.kept(taught, one, range(12), **many)
    again = opinions.kept(taught, one, range(12), **many)
    assert asked == [12]
    assert (first.table == again.table).all() and first.nats == again.nats
    tokens = sum(row.count for row in one)
    assert (tmp_path / opinions.ROWS).stat().st_size == tokens * (8 * 6 + 4)
    memory = opinions.kept(taught, one, range(12), **{**many, "home": None})
    assert (memory.table == first.table).all()
    for change in ({"k": 4}, {"temperature": 1.0}):
        opinions.kept(taught, one, range(12), **{**many, **change})
    opinions.kept(taught, rows("llama", 12, 1), range(12), **many)
    opinions.kept(tiny.model("llama"), one, range(12), **many)
    assert asked == [12] * 6
    opinions.kept(taught, one, range(12), **many)
    with (tmp_path / opinions.ROWS).open("r+b") as file:
        file.write(b"damage")
    assert (opinions.kept(taught, one, range(12), **many).table == first.table).all()
    assert asked == [12] * 8


def test_opinions_have_a_bound(taught: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = rows("llama", 12)
    tokens = sum(row.count for row in one)
    monkeypatch.setattr(opinions, "MOST_BYTES", tokens * 40)
    made = opinions.kept(taught, one, range(12), k=64, temperature=1.0, words=320, max_tokens=32)
    assert made.table["words"].shape == (tokens, 6) and made.table.nbytes <= tokens * 40
    soft = made.soft([3, 0], 1.0, 0.5, False)
    assert torch.allclose(soft.logs.exp().sum(1), torch.ones(len(soft.logs)), atol=1e-5)
    monkeypatch.setattr(opinions, "MOST_BYTES", tokens * 20)
    with pytest.raises(NoResources, match="does not fit"):
        opinions.kept(taught, one, range(12), k=64, temperature=1.0, words=320, max_tokens=32)


def asking(count: int) -> tuple[list[Row], list[list[dict[str, Any]]]]:
    template = open_template(tiny.model("llama"), 32)
    talks = [pair(f"the {thing} was", colour) for thing, colour in (
        (("box", "blue"), ("paper", "slow"), ("label", "great"))[i % 3] for i in range(count))]
    return rows_of(template, talks, ["x"] * count), [list(talk.messages[:-1]) for talk in talks]


def own(taught: Path, **more: Any) -> FromTeacher:
    one, (made, asked) = pupil(taught), asking(12)
    return dataclasses.replace(one, rows=made, asked=asked, policy=True, answer_tokens=6, **more)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_it_learns_from_its_own_answers(method: str, taught: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, learning_rate=1e-2 if method == "lora" else 3e-3, epochs=4)
    tuned = distill(own(taught, config=config, folder=tmp_path, method=method)).tuned
    before, after = tuned.more["divergence"]
    assert after.sum() < 0.9 * before.sum()
    written = [json.loads((tmp_path / f"written-{epoch}.json").read_text()) for epoch in range(4)]
    assert [len(texts) for texts in written] == [12] * 4
    assert written[0] != written[1] != written[2]  # other weights, other seeds


def test_a_stopped_training_on_own_answers_goes_on_as_an_undisturbed_one(
        taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(CONFIG, epochs=3, learning_rate=3e-3)
    undisturbed = distill(own(taught, config=config, folder=tmp_path / "a")).tuned
    calls, real = [0], Boundary.pass_through

    def stopping(self: Boundary, places: Any, *more: Any, **named: Any) -> Any:
        calls[0] += torch.is_grad_enabled()
        if torch.is_grad_enabled() and calls[0] == 8:  # four steps of the forecast, then the fourth: two an epoch
            raise KeyboardInterrupt
        return real(self, places, *more, **named)
    monkeypatch.setattr(Boundary, "pass_through", stopping)
    with pytest.raises(KeyboardInterrupt):
        distill(own(taught, config=config, folder=tmp_path / "b"))
    resumed = distill(own(taught, config=config, folder=tmp_path / "b")).tuned
    assert steps(resumed) == steps(undisturbed)
    assert np.array_equal(resumed.after.nats, undisturbed.after.nats)
    first, second = ((tmp_path / one / "written-2.json").read_text() for one in "ab")
    assert first == second


def test_another_vocabulary_is_refused_and_another_template_is_told(taught: Path) -> None:
    talks = [pair("the box was", "blue"), Conversation(text="the paper was slow")]
    student = open_template(tiny.model("llama"), 32)
    made = rows_of(student, talks, ["a", "b"])
    assert agree(student, taught, talks, made, ["a", "b"]) == []
    with pytest.raises(UserError, match=r"other vocabularies: .* words differ") as caught:
        agree(student, tiny.model("bert"), talks, made, ["a", "b"])
    assert "--distill text" in caught.value.hint
    chatting = Template(open_template(tiny.model("llama"), 32).tokenizer, 32)
    chatting.tokenizer.chat_template = "{% for m in messages %}{{ m.content + eos_token }}{% endfor %}"
    formed = rows_of(chatting, talks[:1], ["a"])
    assert "reads them as the student does" in agree(chatting, taught, talks[:1], formed, ["a"])[0]
    with pytest.raises(UserError, match=r"^a: teacher and student read other tokens"):  # it begins with <bos>
        agree(student, tiny.model("gemma3"), talks, made, ["a", "b"])


def test_only_the_answer_is_learned() -> None:
    asked = [{"role": role, "content": role} for role in ("user", "assistant", "user")]
    assert [one.get("weight", 1) for one in answered(asked, "d").messages] == [1, 0, 1, 1]
