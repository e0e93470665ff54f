"""The forms in which people keep texts that a model shall learn to write, all turned into turns of a conversation."""

from __future__ import annotations

import ast
import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .formats.source import readable, word

Turn = dict[str, Any]
"""One message as chat templates take it: `role`, `content`, and for tools `tool_calls`, `name`, `tool_call_id`; where
there is one, `reasoning_content`; and `weight`, 0 for a turn of the assistant that is not to be learned."""

ROLES = {"system": "system", "developer": "system", "user": "user", "human": "user", "assistant": "assistant",
         "gpt": "assistant", "chatgpt": "assistant", "model": "assistant", "bot": "assistant", "ai": "assistant",
         "tool": "tool", "observation": "tool", "function": "tool", "ipython": "tool", "tool_response": "tool",
         "function_response": "tool", "function_call": "assistant", "tool_call": "assistant"}
CALLS = ("function_call", "tool_call")
"""Roles of ShareGPT whose words are a call of a tool, as JSON."""
TEXT_PARTS = ("text", "input_text", "output_text")
NOTHING = ("", "null", "none", "nan")
"""How tables write that a cell holds no list."""


class Unfit(ValueError):
    """A row that is no conversation; the text says why."""

    code = "no_conversation"


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
        said = list[str]()
        for one in self.messages:
            said += [one["content"]] if one["content"] else []
            said += [json.dumps(one["tool_calls"], ensure_ascii=False)] if one.get("tool_calls") else []
        return "\n".join(said) if self.messages else self.text

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
    return FORMS[form][1](row)


def form_of(columns: Iterable[str]) -> str | None:
    """The first form whose columns are all there; None if there is none."""
    there = set(columns)
    return next((name for name, (needed, _) in FORMS.items() if there.issuperset(needed)), None)


def pair(asked: Any, answered: Any, system: Any = None, before: Iterable[Turn] = (),
         tools: Any = None) -> Conversation:
    """A question and its answer as two turns; either may be a list of turns too, as TRL has them.

    Args:
        asked, answered: cells of a table. Numbers are written as text; an empty cell is no answer.
        system: what the system says.
        before: turns that stand between the system's and the question.
        tools: descriptions of tools.

    Raises:
        Unfit: one of them is empty, or no turns.
    """
    first, last = _turns(asked, "user"), _turns(answered, "assistant")
    if last[:len(first)] == first:  # an answer that is the whole conversation repeats what was asked
        first = []
    return _taught([*_system(system, first or last), *before, *first, *last], tools)


def _taught(turns: list[Turn], tools: Any) -> Conversation:
    learned = [one.get("weight", 1) for one in turns if one["role"] == "assistant"]
    if not learned:
        raise Unfit("no turn of the assistant")
    if not any(learned):
        raise Unfit("every turn of the assistant has the weight 0")
    if turns[0]["role"] == "assistant":
        raise Unfit("the assistant speaks first: nothing was asked")
    described = []
    for tool in map(parsed, _listed(tools, "tools")):
        if not isinstance(tool, dict) or not isinstance(function := tool.get("function", tool), dict) \
                or not function.get("name"):
            raise Unfit("a tool is not an object with a name")
        described.append(tool if "function" in tool else {"type": "function", "function": tool})
    return Conversation(tuple(turns), tuple(described))


def chat(column: str) -> Callable[[Mapping[str, Any]], Conversation]:
    """Reads a column of turns."""
    def read(row: Mapping[str, Any]) -> Conversation:
        given = parsed(row[column])
        if not isinstance(given, list) or not given:
            raise Unfit(f"{column} is not a list with something in it")
        turns = list(map(_message, given))
        return _taught([*_system(row.get("system"), turns), *turns], row.get("tools") or row.get("functions"))
    return read


def two_columns(asked: str, answered: str, *about: str) -> Callable[[Mapping[str, Any]], Conversation]:
    """Reads two columns, of which the first is followed by those that say what it is about."""
    def read(row: Mapping[str, Any]) -> Conversation:
        question = row[asked]
        if more := [text for text in (_text(row.get(name)) for name in about) if text.strip()]:
            question = "\n\n".join([text for text in (_text(question),) if text.strip()] + more)
        history = list[Turn]()
        for one in _listed(row.get("history"), "history"):
            if isinstance(one, list) and len(one) == 2:
                history += [_turn("user", one[0]), _turn("assistant", one[1])]
            elif isinstance(one, dict):
                history.append(_message(one))
            else:
                raise Unfit("history is not a list of questions with their answers")
        return pair(question, row[answered], row.get("system") or row.get("system_prompt"), history, row.get("tools"))
    return read


def _plain(row: Mapping[str, Any]) -> Conversation:
    if not isinstance(row["text"], str) or not row["text"].strip():
        raise Unfit("no text")
    return Conversation(text=row["text"])


FORMS: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any]], Conversation]]] = {
    "messages": (("messages",), chat("messages")),
    "sharegpt": (("conversations",), chat("conversations")),
    "conversation": (("conversation",), chat("conversation")),
    "alpaca": (("instruction", "output"), two_columns("instruction", "output", "input")),
    "instruction and response": (("instruction", "response"), two_columns(
        "instruction", "response", "input", "context")),
    **{f"{asked} and {answered}": ((asked, answered), two_columns(asked, answered)) for asked, answered in (
        ("prompt", "completion"), ("prompt", "response"), ("query", "response"), ("input", "output"))},
    **{f"question and {answered}": (("question", answered), two_columns("question", answered, "context"))
       for answered in ("answer", "response")},
    "text": (("text",), _plain)}
"""By name: the columns that it needs, and what reads a row of it. The first whose columns are there is taken."""

COLUMNS = {"tools", "functions", "system", "system_prompt", "history", "input", "context",
           *(column for needed, _ in FORMS.values() for column in needed)}
"""All that any form looks at."""


OPEN = "\ue000seedbed-open\ue000"
"""Stands for an answer that is not there."""


def question(row: Mapping[str, Any], form: str) -> Conversation:
    """What one row asks: a conversation whose answer may be missing; it ends with the question then.

    Raises:
        Unfit: it is not in that form, or a plain text, of which nothing is asked.
    """
    needed = FORMS[form][0]
    if form == "text":
        raise Unfit("a plain text asks nothing")
    if len(needed) == 2:
        empty = _text(row[needed[1]]).strip().lower() in NOTHING
        return _closed(conversation({**row, needed[1]: OPEN} if empty else row, form))
    given = parsed(row[needed[0]])
    if isinstance(given, list) and given and _message(given[-1])["role"] != "assistant":
        row = {**row, needed[0]: [*given, {"role": "assistant", "content": OPEN}]}
    return _closed(conversation(row, form))


def _closed(one: Conversation) -> Conversation:
    turns = one.messages[:-1] if one.messages[-1]["content"] == OPEN else one.messages
    return Conversation(turns, one.tools)


def _turns(cell: Any, role: str) -> list[Turn]:
    """A cell that holds a list of turns, or what one turn says."""
    given = [one] if isinstance(one := parsed(cell), dict) else one
    if isinstance(given, list) and given and all(isinstance(o, dict) and ("role" in o or "from" in o) for o in given):
        return list(map(_message, given))
    return [_turn(role, _text(cell))]


def _system(said: Any, turns: list[Turn]) -> list[Turn]:
    text = _text(said)
    return [_turn("system", text)] if text.strip() and turns[0]["role"] != "system" else []


def _message(one: Any) -> Turn:
    """A turn, named as OpenAI does it (`role`, `content`) or as ShareGPT (`from`, `value`)."""
    if not isinstance(one, dict):
        raise Unfit("a message is not an object")
    if not (said := str(one.get("role") or one.get("from") or "").strip().lower()):
        raise Unfit("a message does not say whose it is (role)")
    content = one.get("content")
    content = one.get("value") if content is None else content
    calls = _listed(one.get("tool_calls") or one.get("function_call"), "tool_calls")
    if said in CALLS:
        calls, content = _listed(content, "a tool call"), ""
    turn = _turn(said, content, bool(calls))
    turn |= {name: one[name] for name in ("name", "tool_call_id") if one.get(name)}
    if turn["role"] == "assistant":
        thoughts = (one.get(name) for name in ("reasoning_content", "reasoning", "thinking"))  # the older names too
        if thought := next((text for text in thoughts if isinstance(text, str) and text.strip()), ""):
            turn["reasoning_content"] = thought
        if calls:
            turn["tool_calls"] = list(map(_call, calls))
        if one.get("weight") == 0:
            turn["weight"] = 0
    return turn


def _turn(role: str, content: Any, may_be_empty: bool = False) -> Turn:
    known = ROLES.get(role)
    if known is None:
        raise Unfit(f"the role {readable(role)[:30]!r} is not known")
    parts = isinstance(content, list) and all(
        isinstance(part, str) or (isinstance(part, dict) and part.get("type") in TEXT_PARTS) for part in content)
    if parts:
        content = "".join(part if isinstance(part, str) else part.get("text") or "" for part in content)
    elif isinstance(content, list | dict) and known != "tool":  # a tool may give any JSON; of others text is read
        raise Unfit("a message holds more than text")
    text = _text(content)
    if not (text.strip() or may_be_empty or known == "tool"):
        raise Unfit(f"a turn of the {known} is empty")
    return {"role": known, "content": text}


def _text(cell: Any) -> str:
    """What a cell says, as tables write it: 3.0 is `3`, an object is JSON."""
    return "" if cell is None or cell != cell else cell if isinstance(cell, str) else word(cell)


def _call(call: Any) -> dict[str, Any]:
    """A tool call whose arguments are an object: some programs write them as a string."""
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        raise Unfit("a tool call is broken: it is not an object with a name")
    arguments = parsed(function.get("arguments", function.get("parameters")))
    if arguments is None or arguments == "":
        arguments = {}  # of a tool that takes none
    if not isinstance(arguments, dict):
        raise Unfit("a tool call is broken: its arguments are not an object")
    named = {"id": call["id"]} if isinstance(call.get("id"), str) else {}  # Mistral's templates ask for it
    return {**named, "type": "function", "function": {"name": function["name"], "arguments": arguments}}


def _listed(given: Any, name: str) -> list[Any]:
    """A list; one object is a list of itself, and nothing is an empty one."""
    value = parsed(given)
    if value is None or value != value or (isinstance(value, str) and value.strip().lower() in NOTHING):
        return []
    if not isinstance(value, list | dict):
        raise Unfit(f"{name} is not a list")
    return value if isinstance(value, list) else [value]


def parsed(value: Any) -> Any:
    """JSON inside a text, as tables hold it, or what Python shows of a list; anything else as it is."""
    if isinstance(value, str) and (text := value.strip())[:1] in ("[", "{"):
        try:
            made = json.loads(text)
            # half of a surrogate pair can be written as \ud83d there, and nothing can write it again
            return json.loads(readable(json.dumps(made, ensure_ascii=False))) if "\\ud" in text.lower() else made
        except (ValueError, RecursionError):
            with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError):
                return ast.literal_eval(text) if text[:2] in ("[{", "{'") else value  # as pandas writes lists to CSV
    return value
