"""Which of a teacher's answers are worth learning: those that are whole, and that it would give again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .language import UNKNOWN, guess

Faults = Callable[[Sequence[str], Sequence[str]], list[str]]
GRAM, MOST_TIMES = 4, 4
"""An answer that says the same so many words so many times has lost its way."""


@dataclass(frozen=True)
class Given:
    """An answer of a teacher.

    Args:
        text: what it wrote; None where it refused the request.
        cut: it ended at the limit of tokens.
    """

    text: str | None
    cut: bool = False


def fault(one: Given) -> str:
    """Why an answer is not learned from, as a word to count by; empty when nothing is wrong with it.

    A refusal in words is not guessed: whether "I cannot" is one only a person can tell.
    """
    if one.text is None:
        return "refused_by_server"
    if not one.text.strip():
        return "empty"
    if one.cut:
        return "cut"
    return "repeats_itself" if repeats(one.text) else ""


def repeats(text: str) -> bool:
    """The same words stand in it again and again, or the same character."""
    words = text.lower().split()
    grams = Counter(zip(*(words[at:] for at in range(GRAM)), strict=False))
    return max(grams.values(), default=0) >= MOST_TIMES or re.search(r"(\S)\1{29}", text) is not None


def alike(first: str, second: str) -> float:
    """Share of words that two texts have in common, as often as both have them: token F1 (Rajpurkar et al. 2016,
    "SQuAD", section 6.1), 0 to 1."""
    one, other = (Counter(re.findall(r"\w+|[^\w\s]", text.lower())) for text in (first, second))
    whole = one.total() + other.total()
    return 2 * (one & other).total() / whole if whole else 1.0


def central(answers: Sequence[str]) -> tuple[int, float]:
    """The answer that is most alike to all others, and how much it is to them on average.

    The consensus of several draws is right more often than any one of them (self-consistency, Wang et al. 2022).
    """
    if len(answers) < 2:
        return 0, 1.0
    mean = [sum(alike(one, other) for j, other in enumerate(answers) if j != i) / (len(answers) - 1)
            for i, one in enumerate(answers)]
    best = max(range(len(answers)), key=mean.__getitem__)
    return best, mean[best]


def sift(asked: Sequence[str], given: Sequence[Sequence[Given]],
         agreement: float, faults: Faults | None = None) -> tuple[dict[int, str], dict[str, int]]:
    """The answer to learn for each question that has one.

    An answer in another language than its question is left out, unless more than half of them are: the task crosses
    languages then (a translation).

    Args:
        asked: the questions.
        given: [questions][draws] answers.
        faults: what else is wrong with answers, by the task: given questions and answers, a word for each or nothing.
        agreement: least mean `alike` of an answer to the other draws; with one draw there is nothing to compare.

    Returns:
        Answers by the question's position; and how many draws were left out, by reason. Each draw that is not learned
        is counted once; `not_the_central` are those beside one that is.
    """
    flat = [(place, one.text or "", fault(one)) for place, draws in enumerate(given) for one in draws]
    if faults:
        more = faults([asked[place] for place, _, _ in flat], [text for _, text, _ in flat])
        flat = [(place, text, wrong or other) for (place, text, wrong), other in zip(flat, more, strict=True)]
    languages = guess([*asked, *(text for _, text, _ in flat)])
    pairs = [(languages[place], own) for (place, _, _), own in zip(flat, languages[len(asked):], strict=True)]
    known = [one != other for (one, other), (_, _, wrong) in zip(pairs, flat, strict=True)
             if UNKNOWN not in (one, other) and not wrong]
    crossing = sum(known) > len(known) / 2
    dropped, kept, whole = Counter[str](), dict[int, str](), dict[int, list[str]]()
    for (place, text, wrong), (one, other) in zip(flat, pairs, strict=True):
        if not wrong and not crossing and UNKNOWN not in (one, other) and one != other:
            wrong = "wrong_language"
        if wrong:
            dropped[wrong] += 1
        else:
            whole.setdefault(place, []).append(text)
    for place, texts in whole.items():
        best, mean = central(texts)
        # of several draws, one that is whole beside others that are not agrees with nothing
        if len(given[place]) > 1 and (len(texts) < 2 or mean < agreement):
            dropped["no_agreement"] += len(texts)
        else:
            dropped["not_the_central"] += len(texts) - 1
            kept[place] = texts[best].strip()
    return kept, {reason: count for reason, count in sorted(dropped.items()) if count}
