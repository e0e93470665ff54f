"""Tasks whose answer is written: how a row is asked, what answers score, what needs no model, what data is odd."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np

from ..data.health import Finding
from ..data.notes import Notes, percent, plural
from ..data.turns import Conversation, Turn
from ..errors import UserError
from ..plugins import Registry
from .metrics import Array, Metric
from .metrics.words import tidy

NEIGHBOURS = 10_000
"""Training rows among which `nearest` looks."""
SAME = 0.5
"""From this share of equal answers on, a data check says so."""


@dataclass(frozen=True)
class Write(ABC):
    """A task whose answer is text. The fields of a subclass are its options; each has a default.

    `inputs` are what was asked (a document, a question), without the task's instruction.
    """

    name: ClassVar[str]
    better: ClassVar[str] = "The better answer is correct and does what was asked, in full and in few words."
    """What makes an answer the better one, as a judge is told."""

    @classmethod
    def of(cls, inputs: Sequence[str], answers: Sequence[str], **given: str) -> Write:
        """The task with these options; what is not given is told by the training rows, where it can be.

        Raises:
            UserError: an option that the task does not have.
        """
        known = [one.name for one in fields(cls)]
        given = {name: value for name, value in given.items() if value}
        if unknown := next((name for name in given if name not in known), None):
            raise UserError(f"The task {cls.name} takes no {unknown}.",
                            f"It takes: {', '.join(known)}." if known else "It takes no option.")
        return cls(**given)

    @property
    @abstractmethod
    def metrics(self) -> tuple[Metric, ...]:
        """The first one leads."""

    @property
    def form(self) -> str:
        """A JSON schema, as text, that every answer keeps to; empty where answers are free words."""
        return ""

    @property
    def metric(self) -> str:
        """Name of the leading figure."""
        return self.metrics[0].name

    def prompt(self, text: str) -> list[Turn]:
        """The turns that ask for the answer to a text, in training as in use."""
        return [{"role": "user", "content": text}]

    def instruct(self, one: Conversation) -> Conversation:
        """A bare question with its answer, asked as the task asks; any other conversation as it is."""
        if [turn["role"] for turn in one.messages] != ["user", "assistant"]:
            return one
        return replace(one, messages=(*self.prompt(one.messages[0]["content"]), one.messages[1]))

    def scores(self, answers: Sequence[str], references: Sequence[str], inputs: Sequence[str]) -> dict[str, Array]:
        """Counts of each row by metric, [rows, parts] each; `Metric.of` of them or of their sum is the figure."""
        return {one.name: one.count(answers, references) for one in self.metrics}

    def baseline(self, inputs: Sequence[str], asked: Sequence[str], answered: Sequence[str]) -> list[str]:
        """Answers that need no model, made from the training rows (`asked`, `answered`).

        Here: the answer of the training row whose question is most like the input.
        """
        return nearest(inputs, asked, answered)

    def findings(self, inputs: Sequence[str], answers: Sequence[str], notes: Notes) -> list[Finding]:
        """What is odd in rows that are to be learned.

        Args:
            notes: of the same rows, to point at them.
        """
        counts = Counter(map(tidy, answers))
        commonest, times = counts.most_common(1)[0] if counts else ("", 0)
        rows = [i for i, text in enumerate(answers) if tidy(text) == commonest] if times > 1 else []
        return [
            *notes.make("empty_answer", "error", [i for i, text in enumerate(answers) if not text.strip()],
                        f"{plural(sum(not a.strip() for a in answers), 'answer is', 'answers are')} empty.",
                        "Fill them in, or delete the rows."),
            *notes.make("same_answer", "warning", rows if times >= SAME * len(answers) else [],
                        f"{percent(times, len(answers))} of the answers are the same.",
                        "Add rows with other answers: a model learns to give this one always.")]

    def faults(self, inputs: Sequence[str], answers: Sequence[str]) -> list[str]:
        """Why each answer should not be learned from, as a word to count by; empty where nothing is wrong."""
        return [""] * len(answers)

    def to_dict(self) -> dict[str, Any]:
        return {"task": self.name, **asdict(self)}


def of_dict(values: dict[str, Any]) -> Write:
    """What `to_dict` wrote."""
    return WRITING.get(values["task"])(**{name: value for name, value in values.items() if name != "task"})


def question_and_answer(one: Conversation) -> tuple[str, str]:
    """The last answer of the assistant, and what the user said before it; of a plain text: nothing, and the text."""
    last = max((i for i, turn in enumerate(one.messages) if turn["role"] == "assistant"), default=0)
    asked = [turn["content"] for turn in one.messages[:last] if turn["role"] == "user"]
    return (asked[-1] if asked else ""), (one.messages[last]["content"] if one.messages else one.text)


def rows_where(check: Callable[[str, str], bool], inputs: Sequence[str], answers: Sequence[str]) -> list[int]:
    """Positions of the rows that pass."""
    return [i for i, (asked, answer) in enumerate(zip(inputs, answers, strict=True)) if check(asked, answer)]


def nearest(inputs: Sequence[str], asked: Sequence[str], answered: Sequence[str]) -> list[str]:
    """The answer of the training row most like each input, by TF-IDF of letter groups (any script, and code)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    asked, answered = asked[:NEIGHBOURS], answered[:NEIGHBOURS]
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, max_features=100_000)
    try:
        known = vectorizer.fit_transform(asked).T.tocsc()
    except ValueError:  # not one question holds a character
        return [answered[0]] * len(inputs)
    found = list[int]()
    for at in range(0, len(inputs), 64):
        alike = vectorizer.transform(inputs[at:at + 64]) @ known  # [inputs, rows]
        found += np.asarray(alike.toarray().argmax(axis=1)).tolist()
    return [answered[i] for i in found]


def _chat() -> type[Write]:
    from .chat import Chat
    return Chat


def _summarize() -> type[Write]:
    from .summarize import Summarize
    return Summarize


def _translate() -> type[Write]:
    from .translate import Translate
    return Translate


def _extract() -> type[Write]:
    from .extract import Extract
    return Extract


def _complete() -> type[Write]:
    from .complete import Complete
    return Complete


WRITING: Registry[type[Write]] = Registry("tasks", {
    "chat": _chat, "summarize": _summarize, "translate": _translate, "extract": _extract, "complete": _complete})
"""Tasks that write, by name; other packages add theirs in the entry-point group `seedbed.tasks`."""
