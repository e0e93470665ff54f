"""A Modelfile for Ollama: the chat template in its own language, the marks that stop, how it wants to be asked."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..models.doctor import ends_of
from ..models.template import MARKS, Template, open_template

TRIED: list[list[dict[str, Any]]] = [
    [{"role": "user", "content": "One?"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "One?"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "One?"},
     {"role": "assistant", "content": "Two."}, {"role": "user", "content": "And three?"}]]
"""Conversations by which the pieces are held against the template that they were taken from."""


@dataclass(frozen=True)
class Pieces:
    """What a chat template puts around each turn.

    Args:
        around: by role, before and after what is said.
        opening: opens the answer.
        begin: before all turns.
        system: what the system says where nobody says it.
        folded: what the system says opens the first question (Gemma): the question then has no opening of its own.
    """

    around: dict[str, tuple[str, str]]
    opening: str
    begin: str = ""
    system: str = ""
    folded: bool = False

    def text(self, messages: list[dict[str, Any]]) -> str:
        """A conversation, rendered by the pieces."""
        said = messages if messages[0]["role"] == "system" or not self.system else [
            {"role": "system", "content": self.system}, *messages]
        text = self.begin
        for place, one in enumerate(said):
            before, after = self.around[one["role"]]
            opened = self.folded and place > 0 and said[place - 1]["role"] == "system"
            text += ("" if opened else before) + one["content"] + after
        return text + self.opening

    @property
    def sayable(self) -> bool:
        """Nothing in it means something else to Go."""
        return not any("{{" in text for pair in self.around.values() for text in pair)

    def go(self) -> str:
        """The same as a template of Go, in which Ollama's are written."""
        cases, begin = [], self.begin
        for role, (before, after) in self.around.items():
            if self.folded and role == "system":
                after += "{{ $opened = true }}"
            if self.folded and role == "user":
                before = f"{{{{ if not $opened }}}}{before}{{{{ end }}}}{{{{ $opened = false }}}}"
            cases.append(f'eq .Role "{role}" }}}}{before}{{{{ .Content }}}}{after}')
        if self.folded:
            begin += "{{ $opened := false }}"
        turns = "{{ else if ".join(cases)
        return f"{begin}{{{{ range .Messages }}}}{{{{ if {turns}{{{{ end }}}}{{{{ end }}}}{self.opening}"


def pieces(template: Template) -> Pieces | None:
    """What the model's chat template is made of; None where it cannot be said by pieces."""
    if not template.chats or template.start is not None:
        return None
    one, other = MARKS
    system, asked, answer = ({"role": role, "content": text} for role, text in (
        ("system", one), ("user", other), ("assistant", one)))
    try:
        whole, plain, more = (template.prompt(some, opened=False) for some in (
            [system, asked], [asked], [system | {"content": "S"}, asked | {"content": "U"}, answer, asked]))
        opening = template.prompt([system, asked]).removeprefix(whole)
    except UserError:
        return None
    head, between, after = _cut(whole, one, other)
    closed = more.partition(one)[2].partition(other)[0]              # after an answer, and before a question
    lead = plain.partition(other)[0]
    before = _tail(_tail(between, closed), lead)
    said, begin = "", ""
    if lead.startswith(head) and lead.endswith(between) and len(lead) > len(head + between):
        said = lead[len(head):len(lead) - len(between)]
    else:
        begin = lead.removesuffix(before)
    found = [Pieces({"system": (head.removeprefix(begin), between.removesuffix(before)), "user": (before, after),
                     "assistant": (opening, closed.removesuffix(before))}, opening, begin, said)]
    if lead == head:
        before = _tail(closed, lead)
        found.insert(0, Pieces({"system": (before, between), "user": (before, after), "assistant": (
            opening, closed.removesuffix(before))}, opening, lead.removesuffix(before), folded=True))
    return next((one for one in found if one.sayable and all(one.text(some) == template.prompt(some)
                                                             for some in TRIED)), None)


def modelfile(model: Path, file: str, adapter: str = "") -> str:
    """The text of a Modelfile.

    Args:
        model: folder of the reference, with its tokenizer and perhaps `task.json`.
        file: the GGUF file beside it.
        adapter: the file of an adapter beside it, where there is one.
    """
    template = open_template(model, 1 << 30)
    found = pieces(template)
    lines = [f"FROM ./{file}", *([f"ADAPTER ./{adapter}"] if adapter else [])]
    if found:
        if template.tokenizer("a")["input_ids"][:1] == [template.tokenizer.bos_token_id]:
            # llama.cpp puts it before each text itself
            found = replace(found, begin=found.begin.removeprefix(template.tokenizer.bos_token))
        lines.append(f'TEMPLATE """{found.go()}"""')
        if found.system:
            lines.append(f'SYSTEM """{found.system}"""')
    else:
        lines.append("# The chat template could not be said in Ollama's language: it guesses by the one in the file.")
    words = template.tokenizer.convert_ids_to_tokens(sorted(ends_of(model, template.tokenizer)))
    lines += [f"PARAMETER stop {json.dumps(word)}" for word in words]
    lines.append("PARAMETER temperature 0")
    task = model / "task.json"
    if task.is_file():
        from ..tasks.write import of_dict

        asked = of_dict(json.loads(task.read_text(encoding="utf-8"))).prompt("...")
        lines.append("# It was trained on questions in this form, with your text in the place of the dots:")
        lines += [f"#   {line}" for turn in asked for line in turn["content"].splitlines()]
    return "\n".join(lines) + "\n"


def _cut(text: str, one: str, other: str) -> tuple[str, str, str]:
    """What stands before, between and after two marks."""
    before, _, rest = text.partition(one)
    between, _, after = rest.partition(other)
    return before, between, after


def _tail(one: str, other: str) -> str:
    """The end that two texts share."""
    count = next((i for i, (a, b) in enumerate(zip(one[::-1], other[::-1], strict=False)) if a != b),
                 min(len(one), len(other)))
    return one[len(one) - count:]
