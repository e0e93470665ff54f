"""Fields of JSON answers: which are there, which are right, and whether it is JSON of the schema at all."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import Array, Metric, f1, mean, mean_of
from .words import tidy, token_f1

Field = tuple[str, Any]
"""(path, value): `("buyer.name", "Ann")`, `("lines[].price", 3)`."""
DEEPEST = 64
"""Objects and lists inside each other; an answer with more is a model that lost itself, and no JSON here."""
FENCE = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*", re.DOTALL | re.IGNORECASE)


class NoJson(ValueError):
    """A text that is no JSON; it says why."""


def strict(text: str) -> Any:
    """The JSON that a text is.

    Raises:
        NoJson: it is none. NaN and Infinity are none either.
    """
    def refuse(word: str) -> None:
        raise NoJson(f"{word} is no JSON")

    try:
        return _bounded(json.loads(text, parse_constant=refuse))
    except (ValueError, RecursionError) as problem:
        raise NoJson(str(problem) or "nested too deeply") from None


def read(text: str) -> Any:
    """The JSON that a text is, or that is its first object: programs look past ``` and words around it.

    Raises:
        NoJson: there is none.
    """
    fenced = FENCE.fullmatch(text)
    text = fenced[1] if fenced else text
    try:
        return strict(text)
    except NoJson:
        begin = text.find("{")
        if begin < 0:
            raise
        try:
            return _bounded(json.JSONDecoder().raw_decode(text, begin)[0])
        except (ValueError, RecursionError) as problem:
            raise NoJson(str(problem) or "nested too deeply") from None


def _bounded(value: Any, room: int = DEEPEST) -> Any:
    if not room:
        raise NoJson("nested too deeply")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _bounded(part, room - 1)
    return value


def fields(value: Any, path: str = "") -> list[Field]:
    """The leaves of a value with their paths. What is null or empty is no field; items of a list share one path."""
    if isinstance(value, dict):
        return [one for name, part in value.items() for one in fields(part, f"{path}.{name}" if path else name)]
    if isinstance(value, list):
        return [one for part in value for one in fields(part, f"{path}[]")]
    return [] if value is None or value == "" else [(path, value)]


def same(value: Any) -> tuple[str, Any]:
    """What two values must share to be equal: texts but for spaces, numbers by value, never a text and a number."""
    if isinstance(value, str):
        return "text", tidy(value)
    return ("bool", value) if isinstance(value, bool) else ("number", value)


def _of(text: str) -> list[Field]:
    try:
        return fields(read(text))
    except NoJson:
        return []


def exact_hits(given: list[Field], has: list[Field]) -> float:
    """How many fields have the same path and the same value, each once."""
    one, other = (Counter((path, same(value)) for path, value in side) for side in (given, has))
    return (one & other).total()


def partial_hits(given: list[Field], has: list[Field]) -> float:
    """The same where texts count by the words that they share. Of a list, the likest items are matched first."""
    mine, theirs = (defaultdict[str, list[Any]](list) for _ in range(2))
    for side, found in ((mine, given), (theirs, has)):
        for path, value in found:
            side[path].append(value)
    total = 0.0
    for path in mine.keys() & theirs.keys():
        pairs = sorted(((_alike(a, b), i, j) for i, a in enumerate(mine[path]) for j, b in enumerate(theirs[path])),
                       key=lambda pair: (-pair[0], pair[1:]))
        used, matched = set[int](), set[int]()
        for score, i, j in pairs:
            if i not in used and j not in matched:
                total += score
                used.add(i)
                matched.add(j)
    return total


def _alike(one: Any, other: Any) -> float:
    if same(one) == same(other):
        return 1.0
    return token_f1(str(one), str(other)) if isinstance(one, str) or isinstance(other, str) else 0.0


def _count(hits: Callable[[list[Field], list[Field]], float]) -> Callable[[Sequence[str], Sequence[str]], Array]:
    def count(answers: Sequence[str], references: Sequence[str]) -> Array:
        """[rows, 3]: fields that hit, fields given, fields there are."""
        rows = []
        for answer, reference in zip(answers, references, strict=True):
            given, has = _of(answer), _of(reference)
            rows.append((hits(given, has), len(given), len(has)))
        return np.array(rows, np.float64).reshape(-1, 3)
    return count


def _equal(answer: str, reference: str) -> float:
    """Every field is right, and none is made up."""
    try:
        given, has = fields(read(answer)), fields(read(reference))
    except NoJson:
        return 0.0
    return float(Counter((p, same(v)) for p, v in given) == Counter((p, same(v)) for p, v in has))


def valid(check: Callable[[Any], bool]) -> Callable[[str, str], float]:
    """1 where the answer, nothing around it, is JSON that passes the check."""
    def score(answer: str, _: str) -> float:
        try:
            return float(check(strict(answer)))
        except NoJson:
            return 0.0
    return score


def _hit_share(part: int) -> Callable[[Array], Array]:
    return lambda sums: np.asarray(sums[..., 0] / np.maximum(sums[..., part], 1e-12))


FIELD_F1 = Metric("field_f1", "F1 of fields", _count(exact_hits), lambda s: f1(s[..., 0], s[..., 1], s[..., 2]))
FIELD_PRECISION = Metric("field_precision", "precision of fields: given ones that are right", _count(exact_hits),
                         _hit_share(1))
FIELD_RECALL = Metric("field_recall", "recall of fields: those in the reference that were found", _count(exact_hits),
                      _hit_share(2))
PARTIAL_F1 = Metric("partial_field_f1", "F1 of fields, texts by the words that they share", _count(partial_hits),
                    lambda s: f1(s[..., 0], s[..., 1], s[..., 2]))
EXACT_FIELDS = Metric("exact", "rows with every field right", mean_of(_equal), mean)
VALID_JSON = Metric("valid_json", "answers that are JSON", mean_of(valid(lambda _: True)), mean)


def valid_schema(check: Callable[[Any], bool]) -> Metric:
    """Answers that are JSON of the schema that `check` holds."""
    return Metric("valid_schema", "answers that keep to the schema", mean_of(valid(check)), mean)
