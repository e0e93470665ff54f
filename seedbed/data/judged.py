"""Rows whose answers are judged: one is better than another to the same prompt, or one alone is good or bad."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from ..errors import DataError
from .turns import Conversation, Turn, Unfit, chat, pair, parsed, two_columns

ASKED = ("prompt", "question", "instruction", "messages", "conversations")
"""Columns that hold what both answers answer."""
YES, NO = ("true", "1", "yes"), ("false", "0", "no")


class Same(Unfit):
    """Both answers of a row are the same."""

    code = "same_answers"


class JudgedAnswers(DataError):
    """A source whose answers are judged was to be learned from as it is."""


@dataclass(frozen=True)
class Judged:
    """What one row says of answers; at least one of the two is there.

    Args:
        good, bad: the conversation with the answer that is liked, and with the one that is not. Turns of the
            assistant before the answer have the weight 0.
    """

    good: Conversation | None
    bad: Conversation | None

    @property
    def sides(self) -> dict[str, Conversation]:
        """The answers that are there, by how they are judged."""
        return {name: one for name, one in (("good", self.good), ("bad", self.bad)) if one is not None}

    @property
    def plain(self) -> str:
        """All words, of both answers."""
        return "\n".join(one.plain for one in self.sides.values())

    @property
    def asked(self) -> str:
        """The words before the answers; rows that share them belong into one split."""
        turns = next(iter(self.sides.values())).messages
        end = next(at for at, turn in enumerate(turns) if turn["role"] == "assistant" and turn.get("weight") != 0)
        return Conversation(turns[:end]).plain

    def to_json(self) -> str:
        return json.dumps({name: json.loads(one.to_json()) for name, one in self.sides.items()}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Judged:
        """What `to_json` wrote."""
        values = {name: Conversation.from_json(json.dumps(one)) for name, one in json.loads(text).items()}
        return cls(values.get("good"), values.get("bad"))


Reader = Callable[[Mapping[str, Any]], Conversation]


def _compared(good: Reader, bad: Reader) -> Callable[[Mapping[str, Any]], Judged]:
    def read(row: Mapping[str, Any]) -> Judged:
        both = good(row), bad(row)
        first, second = ([_trimmed(turn) for turn in one.messages] for one in both)
        if first == second:
            raise Same("the chosen answer is the rejected one")
        begin = next((at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b),
                     min(len(first), len(second)))
        return Judged(*(_answer(one, begin) for one in both))
    return read


def _trimmed(turn: Turn) -> Turn:
    return {**turn, "content": turn["content"].strip()}  # templates trim, so spaces make no other answer


def _answer(one: Conversation, begin: int) -> Conversation:
    """The conversation, its turns from `begin` on the answer."""
    answer = one.messages[begin:]
    if not answer:
        raise Unfit("an answer is empty, or the beginning of the other")
    if begin == 0 or answer[0]["role"] != "assistant":
        raise Unfit("the two answers follow different prompts")
    if all(turn.get("weight") == 0 for turn in answer if turn["role"] == "assistant"):
        raise Unfit("every turn of an answer has the weight 0")
    before = ({**turn, "weight": 0} if turn["role"] == "assistant" else turn for turn in one.messages[:begin])
    return Conversation((*before, *answer), one.tools)


def _rated(row: Mapping[str, Any]) -> Judged:
    """An answer alone: what follows the last question."""
    label = str(row["label"]).strip().lower().removesuffix(".0")
    if label not in YES + NO:
        raise Unfit("no label says whether the answer is good")
    one = two_columns("prompt", "completion")(row)
    made = _answer(one, 1 + max(at for at, turn in enumerate(one.messages) if turn["role"] in ("user", "system")))
    return Judged(made, None) if label in YES else Judged(None, made)


def _of_openai(side: str) -> Reader:
    def read(row: Mapping[str, Any]) -> Conversation:
        given = parsed(row["input"])
        if not isinstance(given, dict):
            raise Unfit("input is not an object with messages")
        return pair(given.get("messages"), row[side], tools=given.get("tools"))
    return read


JUDGED: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any]], Judged]]] = {
    **{f"{asked}, chosen and rejected": ((asked, "chosen", "rejected"), _compared(
        two_columns(asked, "chosen", "input", "context"), two_columns(asked, "rejected", "input", "context")))
       for asked in ASKED},
    "chosen and rejected": (("chosen", "rejected"), _compared(chat("chosen"), chat("rejected"))),
    "preferred_output and non_preferred_output": (("input", "preferred_output", "non_preferred_output"), _compared(
        _of_openai("preferred_output"), _of_openai("non_preferred_output"))),
    "prompt, completion and label": (("prompt", "completion", "label"), _rated)}
"""By name: the columns that it needs, and what reads a row of it. The first whose columns are there is taken."""

COLUMNS = {column for needed, _ in JUDGED.values() for column in needed}


def judged_answers(row: Mapping[str, Any], form: str) -> Judged:
    """One row, in a form that `judged_form` named.

    Raises:
        Unfit: it is not in that form, or it says nothing of what is better.
    """
    return JUDGED[form][1](row)


def judged_form(columns: Set[str], labels: Callable[[], Set[str]]) -> str | None:
    """The form of judged answers that a source has; None if they are not judged.

    Args:
        columns: those in which the source has anything.
        labels: the different values of the column `label`. Only a yes or no judges; others are just labels.
    """
    for name, (needed, _) in JUDGED.items():
        if columns >= set(needed) and ("label" not in needed or labels() <= {*YES, *NO, ""}):
            return name
    return None
