"""How a model writes a conversation down, and which tokens of it are the assistant's own, to be learned."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.turns import Conversation, Turn
from ..errors import DataError, UserError

MARKS = ("\ue000seedbed-a\ue000", "\ue000seedbed-b\ue000")
"""Two texts that no template and no data hold, to see where a turn lands."""
GENERATION = "generation %}"
"""The statement with which a template marks the assistant's words itself."""


@dataclass(frozen=True)
class Row:
    """A text as the model reads it.

    Args:
        ids: its tokens.
        learned: whether each token is trained on: the assistant's words and the mark that ends them.
        cut: tokens that were left out at the end, because the text was too long.
    """

    ids: list[int]
    learned: list[bool]
    cut: int = 0

    @property
    def count(self) -> int:
        """Tokens that are trained on; the first of a text is predicted by nothing."""
        return sum(self.learned[1:])


class Template:
    """A tokenizer with its chat template.

    Args:
        tokenizer: of transformers, a fast one.
        max_tokens: longer texts are cut at the end.
    """

    def __init__(self, tokenizer: Any, max_tokens: int) -> None:
        self.tokenizer, self.max_tokens = tokenizer, max_tokens

    @property
    def chats(self) -> bool:
        """The model has a chat template."""
        return bool(self.tokenizer.chat_template)

    def prompt(self, messages: Sequence[Turn], tools: Sequence[dict[str, Any]] = ()) -> str:
        """The text before the assistant's next turn, as training and serving both render it."""
        if not self.chats:
            return "".join(f"{turn['content']}\n" for turn in messages)
        return self._render(messages, tools, True)

    def row(self, one: Conversation) -> Row:
        """Tokens of a conversation or text, and which are learned.

        Raises:
            DataError: the template refuses the conversation, or leaves out what the assistant said.
        """
        if not one.messages:
            text, spans = one.text, [(0, len(one.text))]
        elif self.chats:
            text, spans = self.written(one)
        else:  # a base model has no form of conversation: the turns follow each other
            text, spans = "", []
            for turn in one.messages:
                text += ("\n" if text else "") + turn["content"]
                if turn["role"] == "assistant":
                    spans.append((len(text) - len(turn["content"]), len(text)))
        made = self.tokenizer(text, add_special_tokens=not (one.messages and self.chats),
                              return_offsets_mapping=True, return_attention_mask=False)
        ids, offsets = list(made["input_ids"]), made["offset_mapping"]
        if not (one.messages and self.chats):
            ids, offsets = self._ended(ids, offsets, len(text))
            spans = [*spans[:-1], (spans[-1][0], spans[-1][1] + 1)]
        starts = [a for a, _ in spans]
        learned = []
        for begin, end in offsets:
            place = bisect.bisect_right(starts, begin) - 1
            learned.append(place >= 0 and begin < spans[place][1] and end > begin)
        if len(ids) > 1 and learned[0]:
            learned[0] = False  # nothing stands before it that could predict it
        cut = max(0, len(ids) - self.max_tokens)
        return Row(ids[: self.max_tokens], learned[: self.max_tokens], cut)

    def _ended(self, ids: list[int], offsets: list[Any], length: int) -> tuple[list[int], list[Any]]:
        """With the token that ends a text, so that the model learns to stop."""
        end = self.tokenizer.eos_token_id
        if end is None or (ids and ids[-1] == end):
            return ids, offsets
        return [*ids, end], [*offsets, (length, length + 1)]

    def written(self, one: Conversation) -> tuple[str, list[tuple[int, int]]]:
        """The rendered conversation, and from where to where the assistant speaks, the mark of its end included.

        A template that marks the assistant's words itself is believed. Else the text before each turn is rendered
        with the opening of an answer, and with the turn: what is between is the assistant's. Where a template changes
        earlier turns (those that leave out old reasoning do), the turn is found by putting marks in its place.

        Raises:
            DataError: the template refuses the conversation, or a turn of the assistant is not in the text.
        """
        whole = self._render(one.messages, one.tools, False)
        if GENERATION in str(self.tokenizer.chat_template):
            return whole, self._marked(one)
        spans = list[tuple[int, int]]()
        for place, turn in enumerate(one.messages):
            if turn["role"] != "assistant":
                continue
            before = self._render(one.messages[:place], one.tools, True) if place else ""
            after = self._render(one.messages[:place + 1], one.tools, False)
            if place and after.startswith(before) and whole.startswith(after) and len(after) > len(before):
                span = (len(before), len(before) + len(after[len(before):].rstrip()))
            else:
                span = self._found(one, place, whole)
            if spans and span[0] < spans[-1][1]:
                raise DataError(f"The template writes turn {place + 1} of the assistant over an earlier one.",
                                "Report this template: its mask cannot be made.")
            for call in turn.get("tool_calls", ()):
                if call["function"]["name"] not in whole[span[0]:span[1]]:
                    raise DataError(f"The model's chat template does not write the tool call of turn {place + 1}.",
                                    "Take a model that calls tools, or leave these conversations out.")
            spans.append(span)
        return whole, spans

    def _found(self, one: Conversation, place: int, whole: str) -> tuple[int, int]:
        """Where a turn stands: the texts with two marks in its place are alike before it and after it."""
        first, second = (self._render([*one.messages[:place], {**one.messages[place], "content": mark},
                                       *one.messages[place + 1:]], one.tools, False) for mark in MARKS)
        begin = first.find(MARKS[0])
        if begin < 0 or second[:begin] != first[:begin] or not whole.startswith(first[:begin]):
            raise DataError(f"The template leaves out turn {place + 1}, which the assistant says.",
                            "Train on conversations that end there, or take a model whose template keeps it.")
        tail = first[begin + len(MARKS[0]):]
        if not whole.endswith(tail) or len(whole) - len(tail) <= begin:
            raise DataError(f"The template changes turn {place + 1} of the assistant; it cannot be followed.",
                            "Report this template: its mask cannot be made.")
        end, mark = len(whole) - len(tail), self.tokenizer.eos_token or ""
        return begin, end + (len(mark) if mark and tail.startswith(mark) else 0)

    def _marked(self, one: Conversation) -> list[tuple[int, int]]:
        from transformers.utils.chat_template_utils import render_jinja_template
        _, spans = render_jinja_template(
            [list(one.messages)], tools=list(one.tools) or None, chat_template=self.tokenizer.chat_template,
            return_assistant_tokens_mask=True, **self.tokenizer.special_tokens_map)
        return [(int(a), int(b)) for a, b in spans[0]]

    def _render(self, messages: Sequence[Turn], tools: Sequence[dict[str, Any]], opening: bool) -> str:
        try:
            return str(self.tokenizer.apply_chat_template(
                list(messages), tools=list(tools) or None, tokenize=False, add_generation_prompt=opening))
        except Exception as problem:  # Jinja's errors, and what templates raise themselves
            raise DataError(f"The model's chat template refuses the conversation: {str(problem).splitlines()[0]}.",
                            "Mend the turns (roles must alternate for many models), or take another model.") from None


def open_template(folder: Path, max_tokens: int) -> Template:
    """The template of a model folder as transformers writes it."""
    from transformers import AutoTokenizer
    return Template(AutoTokenizer.from_pretrained(folder, local_files_only=True), max_tokens)


def rows_of(template: Template, conversations: Sequence[Conversation], names: Sequence[str]) -> list[Row]:
    """The rows of many conversations.

    Args:
        names: where each stands, such as `train.jsonl line 12`, for errors.

    Raises:
        DataError: one cannot be written down, or nothing of it would be learned; the message names it.
    """
    made = []
    for one, name in zip(conversations, names, strict=True):
        try:
            row = template.row(one)
        except UserError as problem:
            raise DataError(f"{name}: {problem.message}", problem.hint) from None
        if not row.count:
            raise DataError(
                f"{name}: not one token would be learned: " + (
                    f"the answer begins after token {template.max_tokens}, where the text is cut." if row.cut else
                    "the assistant's words are empty once they are rendered."),
                "Raise --max-tokens, or leave the row out." if row.cut else "Leave the row out.")
        made.append(row)
    return made
