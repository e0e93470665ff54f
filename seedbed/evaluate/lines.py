"""How well a model completes lines of source files that it has not seen, before and after training."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..tasks.complete import line_of, similarity
from .cases import figure, means
from .figures import Figure

KINDS = {"line": ("next_line", "next line"), "rest": ("rest_of_line", "rest of the line"),
         "gap": ("infill", "rest of the line, file after it known")}
"""By kind of a cut: the beginning of its figures' names, and what people read."""
EACH = 8
"""Cuts of a file, at most."""
ABOVE, SHORTEST, LONGEST = 3, 4, 160
"""Lines above the first that is asked for, and characters of such a line without its indent."""


@dataclass(frozen=True)
class Cut:
    """A place in a file where a model is asked to go on.

    Args:
        file: the position of the file.
        kind: `line` asks for the next line, `rest` for the rest of one, `gap` for the same with what follows known.
        before, after: the file up to the place, and from the end of the line on.
        reference: what stands there.
    """

    file: int
    kind: str
    before: str
    after: str
    reference: str

    def said(self, answer: str) -> str:
        """The part of an answer that is judged, as it would stand in the file."""
        if self.kind == "line":
            return line_of(answer).rstrip()
        return (answer.partition("\n")[0] if self.kind == "rest" else answer).rstrip()

    def whole(self, answer: str) -> str:
        """The file with the answer in it."""
        return f"{self.before}{chr(10) if self.kind == 'line' else ''}{self.said(answer)}{self.after}"


def cuts(texts: Sequence[str], most: int, seed: int, kinds: Sequence[str]) -> list[Cut]:
    """Places drawn from files, about `most` in all, as many from each as it has lines for, up to `EACH`.

    A place before a line is the end of the line above: a line's end and the indent after it are one token for most
    models, which a cut between them would hide from it.
    """
    rng = np.random.default_rng(seed)
    files = sorted(int(i) for i in rng.permutation(len(texts))[:max(2, most)])
    each, found = max(1, min(EACH, round(most / max(1, len(files))))), list[Cut]()
    for file in files:
        text, starts, at = texts[file], list[tuple[int, str]](), 0
        for line in text.splitlines(keepends=True):
            starts.append((at, line.rstrip()))
            at += len(line)
        fit = [i for i, (_, line) in enumerate(starts)
               if i >= ABOVE and SHORTEST <= len(line.strip()) <= LONGEST and any(map(str.isalnum, line))]
        for i in sorted(int(i) for i in rng.permutation(fit)[:each]):
            (begin, line), kind = starts[i], kinds[len(found) % len(kinds)]
            end, indent = begin + len(line), len(line) - len(line.lstrip())
            cut = begin + int(rng.integers(indent + 1, len(line) - 1))
            before = text[:begin].rstrip() if kind == "line" else text[:cut]
            found.append(Cut(file, kind, before, text[end:], line.strip() if kind == "line" else text[cut:end]))
    return found


def figures(places: Sequence[Cut], before: Sequence[str], after: Sequence[str], sound: Sequence[bool], *,
            seed: int = 0) -> list[Figure]:
    """Lines that are equal and how alike they are, for each kind of cut, and files that still parse.

    Cuts of one file are alike: files are the cases that intervals are over. Spaces around a line do not count.

    Args:
        before, after: [cuts] answers of the model as it was, and as it is.
        sound: [files] whether each is Python that parses as it is (`parses`).
    """
    found = list[Figure]()
    for kind, (name, title) in KINDS.items():
        if mine := [i for i, cut in enumerate(places) if cut.kind == kind]:
            files, references = [places[i].file for i in mine], [places[i].reference.strip() for i in mine]
            said = [[places[i].said(answers[i]).strip() for i in mine] for answers in (before, after)]
            for what, how, score in (("exact", "equal", _equal), ("similarity", "edit similarity", similarity)):
                found.append(figure(f"{name}_{what}", f"{title}, {how}", *(
                    means(list(map(score, answers, references)), files) for answers in said), seed=seed))
    if mine := [i for i, cut in enumerate(places) if sound[cut.file]]:
        found.append(figure("parses", "Python files that still parse", *(
            means([parses(places[i].whole(answers[i])) for i in mine], [places[i].file for i in mine])
            for answers in (before, after)), seed=seed))
    return found


def parses(text: str) -> bool:
    """It is a whole Python program, by its grammar."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _equal(one: str, other: str) -> float:
    return float(one == other)
