"""How a model writes a conversation down, and which tokens of it are the assistant's own, to be learned."""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from ..data.turns import Conversation, Turn
from ..errors import DataError, UserError
from .literal import SIGN, Literal
from .paired import Paired, is_paired

MARKS = ("\ue000seedbed-a\ue000", "\ue000seedbed-b\ue000")
"""Two texts that no template and no data hold, to see where a turn lands."""
GENERATION = re.compile(r"\{%[-+]?\s*generation\s*[-+]?%\}")
"""The statement with which a template marks the assistant's words itself."""


@dataclass(frozen=True)
class Row:
    """A text as the model reads it.

    Args:
        ids: its tokens; `Paired` for an encoder-decoder.
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

    def within(self, context: int) -> Row:
        """What of it a model reads that takes so many tokens; an encoder-decoder takes as many of source and target
        each."""
        if not isinstance(self.ids, Paired):
            return Row(self.ids[:context], self.learned[:context])
        source, target = self.ids[:self.ids.source], self.ids[self.ids.source:]
        ids = Paired(source[:context], target[:context])
        return Row(ids, [*self.learned[:ids.source], *self.learned[len(source):len(source) + context]])


class Template:
    """A tokenizer with its chat template.

    Args:
        tokenizer: of transformers, a fast one.
        max_tokens: longer texts are cut at the end; of an encoder-decoder source and target each.
        start: the token that an encoder-decoder's decoder begins with; None for other models.
    """

    def __init__(self, tokenizer: Any, max_tokens: int, start: int | None = None) -> None:
        self.tokenizer, self.max_tokens, self.start = tokenizer, max_tokens, start

    @classmethod
    def of(cls, tokenizer: Any, config: Any, max_tokens: int) -> Self:
        """For a model with this config of transformers.

        Raises:
            UserError: it is an encoder-decoder and does not say how its decoder begins.
        """
        if not is_paired(config):
            return cls(tokenizer, max_tokens)
        start = next((one for one in (config.decoder_start_token_id, config.bos_token_id) if one is not None), None)
        if start is None:
            raise UserError("The model's config.json names no token that its decoder begins with.",
                            "Add decoder_start_token_id to it (T5's is that of <pad>), or take another model.")
        return cls(tokenizer, max_tokens, start)

    @property
    def chats(self) -> bool:
        """The model has a chat template."""
        return bool(self.tokenizer.chat_template)

    @cached_property
    def literal(self) -> Literal:
        """Keeps apart the marks that the template writes and those that somebody says."""
        return Literal(self.tokenizer)

    @cached_property
    def folds(self) -> bool:
        """The template refuses or leaves out what the system says: it is put before the first question then."""
        system, asked = {"role": "system", "content": MARKS[0]}, {"role": "user", "content": MARKS[1]}
        try:
            if MARKS[0] in self._as_is([system, asked], (), True):
                return False
        except DataError:
            pass
        try:
            return MARKS[1] in self._as_is([asked], (), True)
        except DataError:
            return False

    def prompt(self, messages: Sequence[Turn], tools: Sequence[dict[str, Any]] = (), *, opened: bool = True) -> str:
        """The text before the assistant's next turn, as training and serving both render it.

        Args:
            opened: with what the template opens the turn with.
        """
        if not self.chats and self.start is not None:
            return "\n".join(turn["content"] for turn in messages)
        if not self.chats:
            return "".join(f"{turn['content']}\n" for turn in messages)
        return self._render(messages, tools, opened).replace(SIGN, "")

    def ids(self, messages: Sequence[Turn], tools: Sequence[dict[str, Any]] = ()) -> list[int]:
        """Tokens of `prompt`, as training and serving both read them. What is said never gives a special token."""
        if self.chats:
            return self._read(self._render(messages, tools, True))[0]
        return list(self.tokenizer(self.prompt(messages), split_special_tokens=True, verbose=False)["input_ids"])

    def _read(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Tokens of a rendered text and where they stand in it, `SIGN` aside."""
        if SIGN in text:
            return self.literal.read(text)
        fast = bool(getattr(self.tokenizer, "is_fast", False))  # a slow one cannot say
        made = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=fast, verbose=False)
        return list(made["input_ids"]), list(made["offset_mapping"] if fast else ())

    def row(self, one: Conversation) -> Row:
        """Tokens of a conversation or text, and which are learned.

        An encoder-decoder learns the last turn that is to be learned, and reads all before it.

        Raises:
            DataError: the template refuses the conversation, or leaves out what the assistant said; or it is a plain
                text, and the model an encoder-decoder.
            UserError: the tokenizer does not say where its tokens stand.
        """
        if self.start is not None:
            return self._paired(one, self.start)
        if not getattr(self.tokenizer, "is_fast", False):
            raise UserError("The model's tokenizer is a slow one: it does not say where in a text its tokens stand, "
                            "so the assistant's cannot be told.", "Take a model whose folder has a tokenizer.json.")
        if one.messages and self.chats:
            text, spans = self._written(one)
            (ids, offsets), spans = self._read(text), _without_signs(text, spans)
        else:
            text, spans = self._unformed(one)  # a plain text may be a conversation that was rendered before
            made = self.tokenizer(text, split_special_tokens=bool(one.messages), return_offsets_mapping=True)
            ids, offsets = list(made["input_ids"]), list(made["offset_mapping"])
            twice = ids[:2] == [self.tokenizer.bos_token_id] * 2  # the text itself began with it
            ids, offsets = ids[twice:], offsets[twice:]
            ids, offsets = self._ended(ids, offsets, len(text))
            spans = [*spans[:-1], (spans[-1][0], spans[-1][1] + 1)]
        starts, learned, read = [a for a, _ in spans], list[bool](), 0
        for begin, end in offsets:  # a token that begins before the words and holds some of them is learned too
            begin = min(begin, read) if begin == end else begin  # spaces that the tokenizer trimmed, down to nothing
            read = max(read, end)
            place = bisect.bisect_left(starts, end) - 1
            learned.append(place >= 0 and begin < min(spans[place][1], end))
        if len(ids) > 1 and learned[0]:
            learned[0] = False  # nothing stands before it that could predict it
        cut = max(0, len(ids) - self.max_tokens)
        return Row(ids[: self.max_tokens], learned[: self.max_tokens], cut)

    def _paired(self, one: Conversation, start: int) -> Row:
        """What the encoder reads, closed as its tokenizer does, and what the decoder says, to the mark of its end."""
        last = max((at for at, turn in enumerate(one.messages) if taught(turn)), default=None)
        if last is None:
            raise DataError("A plain text was given, and this model learns to answer: it reads one text and writes "
                            "another.", "Give questions or documents with their answers (--ask, --answer), or take a "
                            "causal model.")
        source = self.ids(one.messages[:last], one.tools)
        target = [start, *self.tokenizer(text_target=one.messages[last]["content"], split_special_tokens=True,
                                         verbose=False)["input_ids"]]
        end = [] if self.tokenizer.eos_token_id is None else [self.tokenizer.eos_token_id]
        closed = end if source[-1:] == end else []  # the encoder sees the end of a text that is cut too
        kept = [*source[:len(source) - len(closed)][:self.max_tokens - len(closed)], *closed]
        target += end if target[-1:] != end or len(target) == 1 else []
        ids = Paired(kept, target[:self.max_tokens])
        return Row(ids, [at > len(kept) for at in range(len(ids))], len(source) + len(target) - len(ids))

    def _unformed(self, one: Conversation) -> tuple[str, list[tuple[int, int]]]:
        """A plain text, or turns that follow each other up to the last that is learned: a base model has no form."""
        if not one.messages:
            return one.text, [(0, len(one.text))]
        text, spans, whole = "", list[tuple[int, int]](), ""
        for turn in one.messages:
            text += ("\n" if text else "") + turn["content"]
            if taught(turn):
                spans.append((len(text) - len(turn["content"]), len(text)))
                whole = text
        return whole, spans

    def _ended(self, ids: list[int], offsets: list[Any], length: int) -> tuple[list[int], list[Any]]:
        """With the token that ends a text, so that the model learns to stop."""
        end = self.tokenizer.eos_token_id
        if end is None:
            return ids, offsets
        if ids and ids[-1] == end:  # some tokenizers add it themselves, at no place in the text
            ids, offsets = ids[:-1], offsets[:-1]
        return [*ids, end], [*offsets, (length, length + 1)]

    def written(self, one: Conversation) -> tuple[str, list[tuple[int, int]]]:
        """The rendered conversation, and from where to where the assistant speaks, the mark of its end included.

        A template that marks the assistant's words itself is believed. Else the text before each turn is rendered
        with the opening of an answer, and with the turn: what is between is the assistant's. Where a template opens
        answers otherwise than it shows them (with a thought), the turn begins after what both have in common. Where
        it changes earlier turns (those that leave out old reasoning do), the turn is found by marks in its place.

        Raises:
            DataError: the template refuses the conversation, or a turn of the assistant is not in the text.
        """
        text, spans = self._written(one)
        return text.replace(SIGN, ""), _without_signs(text, spans)

    def _written(self, one: Conversation) -> tuple[str, list[tuple[int, int]]]:
        """The same with `SIGN` in what is said."""
        if GENERATION.search(self._source(one.tools)):
            return self._marked(one)
        whole = self._render(one.messages, one.tools, False)
        spans = list[tuple[int, int]]()
        for place, turn in enumerate(one.messages):
            if not taught(turn):
                continue
            span = self._followed(one, place, whole) or self._found(one, place, whole)
            if spans and span[0] < spans[-1][1]:
                raise DataError(f"The template writes turn {place + 1} of the assistant over an earlier one.",
                                "Report this template: its mask cannot be made.")
            for call in turn.get("tool_calls", ()):
                if call["function"]["name"] not in whole[span[0]:span[1]].replace(SIGN, ""):
                    raise DataError(f"The model's chat template does not write the tool call of turn {place + 1}.",
                                    "Take a model that calls tools, or leave these conversations out.")
            spans.append(span)
        return whole, spans

    def _followed(self, one: Conversation, place: int, whole: str) -> tuple[int, int] | None:
        """Where a turn stands, if the text up to it and with it are beginnings of the whole."""
        try:
            before = self._render(one.messages[:place], one.tools, True)
            after = self._render(one.messages[:place + 1], one.tools, False)
            if not whole.startswith(after):
                return None
            begin = len(before)
            if not after.startswith(before):
                closed = self._render(one.messages[:place], one.tools, False)
                if not (after.startswith(closed) and before.startswith(closed)):
                    return None
                begin = alike(before, after)
        except DataError:  # some templates take the whole and refuse its beginning
            return None
        end = len(after.rstrip())
        return (begin, end) if begin < end else None

    def _found(self, one: Conversation, place: int, whole: str) -> tuple[int, int]:
        """Where a turn stands: the texts with two marks in its place are alike before it and after it."""
        first, second = (self._render([*one.messages[:place], {**one.messages[place], "content": mark},
                                       *one.messages[place + 1:]], one.tools, False) for mark in MARKS)
        begin = first.find(MARKS[0])
        if begin < 0 or second[:begin] != first[:begin] or not whole.startswith(first[:begin]):
            raise DataError(f"The template leaves out turn {place + 1}, which the assistant says.",
                            "Train on conversations that end there, or take a model whose template keeps it.")
        tail, silent = first[begin + len(MARKS[0]):], not one.messages[place]["content"].strip()
        if silent:  # calls alone: templates write a line end between words and calls, not before calls alone
            tail = tail.lstrip()
        if not whole.endswith(tail) or (whole[begin:].lstrip() != tail if silent else
                                        len(whole) - len(tail) <= begin):
            raise DataError(f"The template changes turn {place + 1} of the assistant; it cannot be followed.",
                            "Report this template: its mask cannot be made.")
        return begin, len(whole) - len(tail) + self._closing(one, place, tail)

    def _closing(self, one: Conversation, place: int, tail: str) -> int:
        """How much of the text after a turn's words is its own: what stands there too when the turn is the last."""
        closings = [self.tokenizer.eos_token or ""]
        try:
            last = {**one.messages[place], "content": MARKS[0]}
            alone = self._render([*one.messages[:place], last], one.tools, False)
            closings.insert(0, alone.partition(MARKS[0])[2].strip())
        except DataError:  # it may not end there
            pass
        lead = len(tail) - len(tail.lstrip())
        return next((lead + len(mark) for mark in closings if mark and tail.startswith(mark, lead)), 0)

    def _source(self, tools: Sequence[dict[str, Any]]) -> str:
        """The template that is used: some models have a second one for tools."""
        given = self.tokenizer.chat_template
        return str(self.tokenizer.get_chat_template(tools=list(tools) or None) if isinstance(given, dict) else given)

    def _marked(self, one: Conversation) -> tuple[str, list[tuple[int, int]]]:
        from transformers.utils.chat_template_utils import render_jinja_template

        self._render(one.messages, one.tools, False)  # says it in two lines if the template refuses
        texts, found = render_jinja_template(
            [self._given(one.messages)], tools=self.literal.said(list(one.tools)) or None,
            chat_template=self._source(one.tools), return_assistant_tokens_mask=True,
            **self.tokenizer.special_tokens_map)
        spans, said = [(int(a), int(b)) for a, b in found[0]], [m for m in one.messages if m["role"] == "assistant"]
        if not all(map(taught, said)):
            if len(spans) != len(said):
                raise DataError("The template marks other parts than turns, so that of weight 0 is not found.",
                                "Leave out the weights, or the conversation.")
            spans = [span for span, turn in zip(spans, said, strict=True) if taught(turn)]
        return str(texts[0]), spans

    def _given(self, messages: Sequence[Turn]) -> list[Turn]:
        """The turns as the template gets them."""
        turns = [self.literal.said({name: value for name, value in turn.items() if name != "weight"})
                 for turn in messages]
        if not turns or turns[0]["role"] != "system" or not self.folds:
            return turns
        count = next((at for at, turn in enumerate(turns) if turn["role"] != "system"), len(turns))
        said, rest = [turn["content"] for turn in turns[:count]], turns[count:]
        if rest and rest[0]["role"] == "user":
            said.append(rest.pop(0)["content"])
        return [{"role": "user", "content": "\n\n".join(said)}, *rest]

    def _render(self, messages: Sequence[Turn], tools: Sequence[dict[str, Any]], opening: bool) -> str:
        return self._as_is(self._given(messages), tools, opening)

    def _as_is(self, turns: list[Turn], tools: Sequence[dict[str, Any]], opening: bool) -> str:
        try:
            return str(self.tokenizer.apply_chat_template(
                turns, tools=self.literal.said(list(tools)) or None, tokenize=False, add_generation_prompt=opening))
        except Exception as problem:  # Jinja's errors, and what templates raise themselves
            said = (str(problem) or type(problem).__name__).splitlines()[0].rstrip(".")
            raise DataError(f"The model's chat template refuses the conversation: {said}.",
                            "Mend the turns (roles must alternate for many models), or take another model.") from None


def _without_signs(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Where the same pieces stand in the text without `SIGN`."""
    return [(begin - text.count(SIGN, 0, begin), end - text.count(SIGN, 0, end)) for begin, end in spans]


def alike(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def taught(turn: Turn) -> bool:
    """The turn is the assistant's, and is to be learned."""
    return turn["role"] == "assistant" and turn.get("weight") != 0


def open_template(folder: Path, max_tokens: int) -> Template:
    """The template of a model folder as transformers writes it."""
    from transformers import AutoConfig, AutoTokenizer
    return Template.of(AutoTokenizer.from_pretrained(folder, local_files_only=True),
                       AutoConfig.from_pretrained(folder, local_files_only=True), max_tokens)


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
