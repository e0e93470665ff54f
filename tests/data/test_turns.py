from __future__ import annotations

from typing import Any

import pytest

from seedbed.data.turns import Conversation, Unfit, conversation, form_of

ASKED, SAID = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}
CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Rome"}}}


@pytest.mark.parametrize(("row", "turns"), [
    ({"messages": [{"role": "developer", "content": "Be kind."}, ASKED, SAID]},
     [{"role": "system", "content": "Be kind."}, ASKED, SAID]),
    ({"messages": '[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]'}, [ASKED, SAID]),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": part} for part in "hi"]}, SAID]},
     [ASKED, SAID]),
    ({"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}], "system": "Be kind."},
     [{"role": "system", "content": "Be kind."}, ASKED, SAID]),
    ({"instruction": "hi", "input": "", "output": "hello"}, [ASKED, SAID]),
    ({"instruction": "Sum up:", "input": "hi", "output": "hello", "history": '[["a", "b"]]'},
     [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
      {"role": "user", "content": "Sum up:\n\nhi"}, SAID]),
    ({"prompt": "hi", "completion": "hello"}, [ASKED, SAID]),
    ({"prompt": [ASKED], "completion": [SAID]}, [ASKED, SAID]),
])
def test_every_form_becomes_turns(row: dict[str, Any], turns: list[dict[str, Any]]) -> None:
    form = form_of(list(row))
    assert form is not None
    made = conversation(row, form)
    assert list(made.messages) == turns
    assert Conversation.from_json(made.to_json()) == made
    assert made.plain == "\n".join(turn["content"] for turn in turns)


@pytest.mark.parametrize("arguments", [{"city": "Rome"}, '{"city": "Rome"}'])
def test_tool_calls_have_their_arguments_as_objects(arguments: Any) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": arguments}}
    tool = {"role": "tool", "content": "sunny", "tool_call_id": "c1", "name": "weather"}
    row = {"messages": [ASKED, {"role": "assistant", "content": None, "tool_calls": [call]}, tool, SAID],
           "tools": '[{"type": "function", "function": {"name": "weather"}}]'}
    made = conversation(row, "messages")
    assert made.messages[1] == {"role": "assistant", "content": "", "tool_calls": [CALL]}
    assert made.messages[2] == tool
    assert made.tools[0]["function"]["name"] == "weather"
    assert "weather" in made.plain
    shared = conversation({"conversations": [
        {"from": "human", "value": "hi"}, {"from": "function_call", "value": '{"name": "weather", "arguments": '
                                                                             '{"city": "Rome"}}'},
        {"from": "observation", "value": "sunny"}, {"from": "gpt", "value": "hello"}]}, "sharegpt")
    assert [turn["role"] for turn in shared.messages] == ["user", "assistant", "tool", "assistant"]
    assert shared.messages[1]["tool_calls"] == [CALL]


@pytest.mark.parametrize(("row", "why"), [
    ({"messages": [ASKED]}, "no turn of the assistant"),
    ({"messages": [SAID, ASKED, SAID]}, "the assistant speaks first"),
    ({"messages": []}, "messages is not a list with something in it"),
    ({"messages": None}, "messages is not a list"),
    ({"messages": ["hi"]}, "a message is not an object"),
    ({"messages": [{"role": "alien", "content": "x"}, SAID]}, "the role 'alien' is not known"),
    ({"messages": [{"role": "user", "content": " "}, SAID]}, "a turn of the user is empty"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}, SAID]}, "more than text"),
    ({"messages": [ASKED, {**SAID, "tool_calls": [{"function": {"name": "f", "arguments": "not json"}}]}]},
     "its arguments are not an object"),
    ({"prompt": "hi", "completion": None}, "a turn of the assistant is empty"),
    ({"prompt": 3, "completion": "x"}, "a turn of the user is empty"),
    ({"text": "  "}, "no text"),
])
def test_what_is_no_conversation_says_why(row: dict[str, Any], why: str) -> None:
    form = form_of(list(row))
    assert form is not None
    with pytest.raises(Unfit, match=why):
        conversation(row, form)


def test_a_plain_text_is_learned_whole() -> None:
    made = conversation({"text": "Once.", "more": 1}, "text")
    assert (made.messages, made.text, made.plain) == ((), "Once.", "Once.")
    assert form_of(["label", "review"]) is None
