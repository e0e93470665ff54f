"""The forms in which people keep texts that a model shall learn to write, all turned into turns of a conversation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Turn = dict[str, Any]
"""One message as chat templates take it: `role`, `content`, and for tools `tool_calls`, `name`, `tool_call_id`."""

ROLES = {"system": "system", "developer": "system", "user": "user", "human": "user", "assistant": "assistant",
         "gpt": "assistant", "chatgpt": "assistant", "model": "assistant", "bot": "assistant", "tool": "tool",
         "observation": "tool", "function": "tool", "function_call": "assistant"}


class Unfit(ValueError):
    """A row that is no conversation; the text says why."""


@dataclass(frozen=True)
class Conversation:
    """What one row teaches.

    Args:
        messages: the turns, the system's first where there is one; empty for a plain text.
        tools: descriptions of the tools that may be called, as JSON schemas.
        text: a plain text, all of which is learned; empty for a conversation.
    """

    messages: tuple[Turn, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    text: str = ""

    @property
    def plain(self) -> str:
        """The words alone, one turn after the other, by which repeats are found."""
        said = [one["content"] or json.dumps(one.get("tool_calls", ""), ensure_ascii=False) for one in self.messages]
        return "\n".join(said) if said else self.text

    def to_json(self) -> str:
        values = {"messages": self.messages, "tools": self.tools, "text": self.text}
        return json.dumps({name: value for name, value in values.items() if value}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Conversation:
        """What `to_json` wrote."""
        values = json.loads(text)
        return cls(tuple(values.get("messages", ())), tuple(values.get("tools", ())), values.get("text", ""))


def conversation(row: Mapping[str, Any], form: str) -> Conversation:
    """One row, in a form that `form_of` named.

    Raises:
        Unfit: it is not in that form, or nothing in it is to be learned.
    """
    made = FORMS[form][1](row)
    if form != "text":
        if not any(one["role"] == "assistant" for one in made.messages):
            raise Unfit("no turn of the assistant")
        if made.messages[0]["role"] == "assistant":
            raise Unfit("the assistant speaks first: nothing was asked")
    return made


def form_of(columns: list[str]) -> str | None:
    """The first form whose columns are all there; None if there is none."""
    return next((name for name, (needed, _) in FORMS.items() if set(needed) <= set(columns)), None)


def pair(asked: Any, answered: Any) -> Conversation:
    """A question and its answer as two turns."""
    return Conversation((_turn("user", asked), _turn("assistant", answered)))


def _openai(row: Mapping[str, Any]) -> Conversation:
    return Conversation(tuple(map(_message, _listed(row["messages"], "messages"))), _tools(row.get("tools")))


def _sharegpt(row: Mapping[str, Any]) -> Conversation:
    turns = []
    for one in _listed(row["conversations"], "conversations"):
        said = one.get("from", one.get("role"))
        content = one.get("value", one.get("content"))
        if said == "function_call":
            called = _parsed(content)
            turns.append({"role": "assistant", "content": "",
                          "tool_calls": [_call(c) for c in (called if isinstance(called, list) else [called])]})
        else:
            turns.append(_turn(said, content))
    if row.get("system"):
        turns.insert(0, _turn("system", row["system"]))
    return Conversation(tuple(turns), _tools(row.get("tools")))


def _alpaca(row: Mapping[str, Any]) -> Conversation:
    turns = [_turn("system", row["system"])] if row.get("system") else []
    for asked, answered in _parsed(row.get("history")) or []:
        turns += [_turn("user", asked), _turn("assistant", answered)]
    asked = "\n\n".join(part for part in (row["instruction"], row.get("input")) if part)
    return Conversation((*turns, *pair(asked, row["output"]).messages))


def _prompt(row: Mapping[str, Any]) -> Conversation:
    asked, answered = _parsed(row["prompt"]), _parsed(row["completion"])
    if isinstance(asked, list) and isinstance(answered, list):  # both may be lists of turns, as TRL has them
        return Conversation(tuple(map(_message, [*asked, *answered])), _tools(row.get("tools")))
    return pair(row["prompt"], row["completion"])


def _text(row: Mapping[str, Any]) -> Conversation:
    if not isinstance(row["text"], str) or not row["text"].strip():
        raise Unfit("no text")
    return Conversation(text=row["text"])


FORMS: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any]], Conversation]]] = {
    "messages": (("messages",), _openai), "sharegpt": (("conversations",), _sharegpt),
    "alpaca": (("instruction", "output"), _alpaca), "prompt and completion": (("prompt", "completion"), _prompt),
    "text": (("text",), _text)}
"""By name: the columns that it needs, and what reads a row of it."""


def _message(one: Any) -> Turn:
    if not isinstance(one, dict):
        raise Unfit("a message is not an object")
    turn = _turn(one.get("role"), one.get("content"), bool(one.get("tool_calls")))
    turn |= {name: one[name] for name in ("name", "tool_call_id") if one.get(name)}
    if one.get("tool_calls"):
        turn["tool_calls"] = [_call(call) for call in _listed(one["tool_calls"], "tool_calls")]
    return turn


def _turn(role: Any, content: Any, may_be_empty: bool = False) -> Turn:
    known = ROLES.get(str(role).lower())
    if known is None:
        raise Unfit(f"the role {str(role)[:30]!r} is not known")
    if isinstance(content, list):  # OpenAI's parts; only text can be read
        if any(not isinstance(part, dict) or part.get("type") != "text" for part in content):
            raise Unfit("a message holds more than text")
        content = "".join(str(part.get("text", "")) for part in content)
    if not isinstance(content, str) or not (content.strip() or may_be_empty):
        if may_be_empty and content is None:
            content = ""
        else:
            raise Unfit(f"a turn of the {known} is empty")
    return {"role": known, "content": content}


def _call(call: Any) -> dict[str, Any]:
    """A tool call whose arguments are an object: some programs write them as a string."""
    if not isinstance(call, dict):
        raise Unfit("a tool call is not an object")
    function = call.get("function", call)
    arguments = _parsed(function.get("arguments", function.get("parameters", {})))
    if not isinstance(function, dict) or not function.get("name") or not isinstance(arguments, dict):
        raise Unfit("a tool call has no name, or its arguments are not an object")
    return {"type": "function", "function": {"name": function["name"], "arguments": arguments}}


def _tools(given: Any) -> tuple[dict[str, Any], ...]:
    return tuple(_listed(given, "tools")) if given else ()


def _listed(given: Any, name: str) -> list[Any]:
    value = _parsed(given)
    if not isinstance(value, list) or not value:
        raise Unfit(f"{name} is not a list with something in it")
    return value


def _parsed(value: Any) -> Any:
    """JSON inside a text, as tables hold it; anything else as it is."""
    if isinstance(value, str) and value[:1] in "[{":
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
