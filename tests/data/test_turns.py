from __future__ import annotations

from typing import Any

import pytest

from seedbed.data.turns import Conversation, Unfit, conversation, form_of, pair

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
    ({"prompt": [ASKED], "completion": "hello"}, [ASKED, SAID]),
    ({"prompt": "hi", "completion": [ASKED, SAID]}, [ASKED, SAID]),  # the answer repeats the question
    ({"prompt": "[3, 1]", "completion": "[1, 3]"},  # lists, and not of turns
     [{"role": "user", "content": "[3, 1]"}, {"role": "assistant", "content": "[1, 3]"}]),
    ({"prompt": "hi", "response": "hello", "system_prompt": "Be kind."},
     [{"role": "system", "content": "Be kind."}, ASKED, SAID]),
    ({"question": "2+2?", "answer": 4.0, "context": None},
     [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]),
    ({"instruction": "Sum up:", "context": "hi", "response": "hello"},
     [{"role": "user", "content": "Sum up:\n\nhi"}, SAID]),
    ({"input": "hi", "output": "hello"}, [ASKED, SAID]),
    ({"instruction": "hi", "output": "hello", "input": None, "system": " ", "history": "null"}, [ASKED, SAID]),
    ({"instruction": "hi", "output": "hello", "history": [ASKED, SAID]}, [ASKED, SAID, ASKED, SAID]),
    ({"conversations": [{"from": "system", "value": "Be kind."}, {"from": "Human", "value": "hi"},
                        {"from": "gpt", "value": "hello"}], "system": "Another."},
     [{"role": "system", "content": "Be kind."}, ASKED, SAID]),
    ({"conversation": [{"from": "user", "value": "hi"}, {"role": "ai", "content": "hello"}]}, [ASKED, SAID]),
    ({"messages": [ASKED, {**SAID, "weight": 0}, ASKED, {**SAID, "weight": 1}]},
     [ASKED, {**SAID, "weight": 0}, ASKED, SAID]),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": None}, "hi"]},
                   {**SAID, "thinking": "hm", "reasoning": None}]}, [ASKED, {**SAID, "reasoning_content": "hm"}]),
    ({"messages": "[{'role': 'user', 'content': 'hi'}, {'role': 'assistant', 'content': 'hello'}]"}, [ASKED, SAID]),
    ({"messages": r'[{"role": "user", "content": "\ud83d"}, {"role": "assistant", "content": "\ud83d\ude00"}]'},
     [{"role": "user", "content": "\ufffd"}, {"role": "assistant", "content": "\U0001f600"}]),
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
    assert made.messages[1] == {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", **CALL}]}
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
    ({"prompt": "hi", "completion": float("nan")}, "a turn of the assistant is empty"),
    ({"messages": [ASKED, {**SAID, "weight": 0}]}, "every turn of the assistant has the weight 0"),
    ({"messages": [ASKED, {**SAID, "tool_calls": [{"function": "f"}]}]}, "it is not an object with a name"),
    ({"messages": [ASKED, {**SAID, "tool_calls": 3}]}, "tool_calls is not a list"),
    ({"messages": [{"content": "hi"}, SAID]}, "does not say whose it is"),
    ({"messages": [ASKED, SAID], "tools": ["x"]}, "a tool is not an object with a name"),
    ({"messages": "[" * 100_000}, "messages is not a list"),
    ({"conversations": ["hi"]}, "a message is not an object"),
    ({"instruction": "hi", "output": "x", "history": [["a"]]}, "history is not a list of questions"),
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


@pytest.mark.parametrize(("message", "calls"), [
    ({"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": '{"city": "Rome"}'}},
     [CALL]),  # OpenAI's older form
    ({"role": "assistant", "tool_calls": [CALL, CALL]}, [CALL, CALL]),  # in parallel
    ({"from": "function_call", "value": '[{"name": "weather", "arguments": {"city": "Rome"}}]'}, [CALL]),
    ({"role": "assistant", "tool_calls": [{"function": {"name": "now", "arguments": ""}}]},
     [{"type": "function", "function": {"name": "now", "arguments": {}}}]),
])
def test_calls_are_written_in_several_ways(message: dict[str, Any], calls: list[Any]) -> None:
    result = {"role": "tool", "content": {"sky": "blue"}}
    made = conversation({"messages": [ASKED, message, result, {"role": "tool", "content": ""}, SAID]}, "messages")
    assert made.messages[1]["tool_calls"] == calls
    assert [turn["content"] for turn in made.messages[2:4]] == ['{"sky": "blue"}', ""]
    assert made != conversation({"messages": [ASKED, SAID]}, "messages") and "function" in made.plain


@pytest.mark.parametrize("tools", [[], "[]", "", "null", None])
def test_rows_without_tools_stay(tools: Any) -> None:
    assert conversation({"messages": [ASKED, SAID], "tools": tools}, "messages").tools == ()


@pytest.mark.parametrize("tools", [{"name": "f"}, ['{"name": "f"}'],
                                   '[{"type": "function", "function": {"name": "f"}}]'])
def test_tools_are_as_openai_describes_them(tools: Any) -> None:
    made = conversation({"messages": [ASKED, SAID], "tools": tools}, "messages")
    assert made.tools == ({"type": "function", "function": {"name": "f"}},)


def test_words_beside_a_call_and_the_call_both_tell_rows_apart() -> None:
    assert pair("hi", [{**SAID, "tool_calls": [CALL]}]).plain.startswith("hi\nhello\n[{")
