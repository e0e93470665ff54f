from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_template import TALK, template

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
