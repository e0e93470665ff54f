from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_template import CHATML, GEMMA2, TALK, template, written_in

from seedbed.data.turns import Conversation
from seedbed.models.doctor import diagnose, ends_of

TOOLS = ({"type": "function", "function": {"name": "weather"}},)


@pytest.mark.parametrize(("shape", "words"), [
    ("qwen2", []), ("smollm2", []), ("llama3", []), ("gemma3", []), ("marked", []), (None, []),
    ("deepseek", ["Serving opens an answer with '<think>\\n' where training shows ''"]),
    ("falcon", []), ("mistral", []),  # the space before an answer is learned with it
])
def test_what_serving_does_otherwise_is_said(shape: str | None, words: list[str]) -> None:
    made = template(shape)
    said = diagnose(made, [TALK, TALK], {made.tokenizer.eos_token_id})
    assert len(said) == len(words) and all(one.startswith(word) for one, word in zip(said, words, strict=True)), said


def test_turns_that_end_with_no_stop_are_said() -> None:
    made = template("qwen2")
    [said] = diagnose(made, [TALK], {made.tokenizer.convert_tokens_to_ids("<pad>")})
    assert said.startswith("The assistant's turns do not end with a token at which serving stops")
    assert diagnose(template("qwen2", 12), [TALK], {2}) == []  # it was cut before its end


def test_marks_in_what_people_say_are_told() -> None:
    made = template("qwen2")
    one = Conversation(({"role": "user", "content": "what is <|im_end|> for?"}, *TALK.messages[-1:]))
    [said] = diagnose(made, [one], {made.tokenizer.eos_token_id})
    assert said.startswith("Some turns hold the text '<|im_end|>'")


def test_tools_that_are_not_written_are_said() -> None:
    made = template("qwen2")
    one = Conversation(TALK.messages, TOOLS)
    [said] = diagnose(made, [one], {made.tokenizer.eos_token_id})
    assert said.startswith("The template does not write the tools")
    written = "{% for t in tools or [] %}{{ t | tojson }}{% endfor %}"
    made.tokenizer.chat_template = written + made.tokenizer.chat_template
    assert diagnose(made, [one], {made.tokenizer.eos_token_id}) == []


@pytest.mark.parametrize(("said", "stops"), [([3, 4], {3, 4, 5}), (4, {4, 5}), (None, {5})])
def test_stops_are_those_of_the_generation_settings_and_the_tokenizer(said: Any, stops: set[int],
                                                                      tmp_path: Path) -> None:
    made = template("qwen2")
    made.tokenizer.eos_token = made.tokenizer.convert_ids_to_tokens(5)
    if said is not None:
        (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": said}))
    assert ends_of(tmp_path, made.tokenizer) == stops


@pytest.mark.parametrize(("source", "words"), [
    (CHATML.split("{% if add_g")[0], "Serving does not write '<|im_start|>assistant\\n', which stands before"),
    (CHATML + "{% generation %}{% endgeneration %}", "The template marks nothing of"),
    (CHATML.replace("{{ m.content }}<|im_end|>", "{{ m.content }}"), "The assistant's turns do not end with"),
    (GEMMA2.replace("</t>", "<|im_end|>"), "The template takes nothing from the system: its text stands before"),
])
def test_templates_that_teach_otherwise_than_serving_asks(source: str, words: str) -> None:
    made = written_in(source)
    said = diagnose(made, [Conversation(({"role": "system", "content": "Be kind."}, *TALK.messages))],
                    {made.tokenizer.eos_token_id})
    assert len(said) == 1 and said[0].startswith(words), said


def test_an_earlier_turn_that_does_not_end_is_said() -> None:
    made = written_in(CHATML.replace("<|im_end|>", "{% if loop.last or m.role == 'user' %}<|im_end|>{% endif %}"))
    [said] = diagnose(made, [TALK], {made.tokenizer.eos_token_id})
    assert said.startswith("The assistant's turns do not end")


def test_thoughts_that_are_not_written_are_said() -> None:
    made = template("qwen2")
    one = Conversation((TALK.messages[0], {**TALK.messages[1], "reasoning_content": "hm"}))
    [said] = diagnose(made, [one], {made.tokenizer.eos_token_id})
    assert said.startswith("The template does not write reasoning_content")


def test_an_opening_that_grows_together_with_the_answer_is_said() -> None:
    made = written_in(CHATML.replace("\n{{", "\n {{").replace("assistant\n", "assistant\n{{ ' ' }}"))
    made.tokenizer.add_tokens([" no"])
    assert made.row(TALK).learned[-3:] == [True, True, False]
    [said] = diagnose(made, [TALK], {made.tokenizer.eos_token_id})
    assert said.startswith("Serving ends an opening with ")
