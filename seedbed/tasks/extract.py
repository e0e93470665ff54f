"""Pull the fields of a schema out of a text, as JSON."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..data.health import Finding
from ..data.notes import Notes, plural
from ..data.turns import Turn
from ..errors import DataError
from .metrics import Metric
from .metrics.fields import (
    EXACT_FIELDS,
    FIELD_F1,
    FIELD_PRECISION,
    FIELD_RECALL,
    PARTIAL_F1,
    VALID_JSON,
    NoJson,
    fields,
    same,
    strict,
    valid_schema,
)
from .metrics.words import tidy
from .schema import arranged, brief, broken, checked, derive
from .write import Write

MOST_VALUES = 2_000
"""Values of a field that are looked for in a text, the commonest."""
LAYOUTS = {"spaced": (", ", ": "), "compact": (",", ":")}
"""Between items, and after a key."""
Finder = Callable[[str], Any]


@dataclass(frozen=True)
class Extract(Write):
    """
    Args:
        schema: a JSON schema, as text.
        layout: what stands after keys and between items in all answers that were learned: one of `LAYOUTS`, or empty
            where they differ.
    """

    schema: str = ""
    layout: str = ""

    name = "extract"
    better = "The better answer has more fields right and invents none; how its JSON is laid out does not count."

    @classmethod
    def of(cls, inputs: Sequence[str], answers: Sequence[str], **given: str) -> Write:
        """A schema that is not given is derived from the training answers.

        Raises:
            UserError: the schema is none.
            DataError: none is given, and no answer is JSON from which it could be derived.
        """
        values = [value for value in map(_json, answers) if value is not None]
        given["layout"] = next((name for name, (between, after) in LAYOUTS.items() if values and all(
            value is None or answer.strip() in (json.dumps(value, separators=(between, after), ensure_ascii=ascii)
                                                for ascii in (False, True))
            for answer, value in zip(answers, map(_json, answers), strict=True))), "")
        if given.get("schema"):
            return super().of(inputs, answers, **given | {"schema": arranged(checked(given["schema"]), values)})
        if not values:
            raise DataError("Not one answer is a JSON object, so no schema can be derived.",
                            "Write answers as JSON objects, or train with --task chat.")
        return super().of(inputs, answers, **given | {"schema": json.dumps(derive(values), ensure_ascii=False)})

    @property
    def form(self) -> str:
        if self.layout not in LAYOUTS or not self.schema:
            return self.schema
        # The fewer ways there are to write an answer, the fewer of its words the model must be asked for.
        between, after = LAYOUTS[self.layout]
        return json.dumps({**json.loads(self.schema), "x-guidance": {
            "whitespace_flexible": False, "whitespace_pattern": None, "item_separator": between,
            "key_separator": after}}, ensure_ascii=False)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        schema = self.schema or "{}"
        return (FIELD_F1, PARTIAL_F1, FIELD_PRECISION, FIELD_RECALL, EXACT_FIELDS, VALID_JSON,
                valid_schema(lambda value: not broken(schema, value)))

    def prompt(self, text: str) -> list[Turn]:
        form = f" of this form:\n{brief(json.loads(self.schema))}" if self.schema else "."
        return [{"role": "user", "content": f"Extract from the text below. Answer with JSON{form}\n\n{text}"}]

    def baseline(self, inputs: Sequence[str], asked: Sequence[str], answered: Sequence[str]) -> list[str]:
        """Of each field what does best on training rows: a value known from them that the text holds, the first thing
        in the text that is written like most values, or the commonest value."""
        rows = [(text, value) for text, value in zip(asked, map(_json, answered), strict=True) if value is not None]
        find = _finder([text for text, _ in rows], [value for _, value in rows])
        return [json.dumps(find(text), ensure_ascii=False) for text in inputs]

    def faults(self, inputs: Sequence[str], answers: Sequence[str]) -> list[str]:
        found = []
        for answer in answers:
            try:
                found.append("broken_schema" if self.schema and broken(self.schema, strict(answer)) else "")
            except NoJson:
                found.append("not_json")
        return found

    def findings(self, inputs: Sequence[str], answers: Sequence[str], notes: Notes) -> list[Finding]:
        bad, wrong, invented = list[tuple[int, str]](), list[tuple[int, str]](), list[tuple[int, str]]()
        choices = set(re.findall(r'"((?:[^"\\]|\\.)*)"', brief(json.loads(self.schema)))) if self.schema else set()
        for i, (text, answer) in enumerate(zip(inputs, answers, strict=True)):
            try:
                value = strict(answer)
            except NoJson as problem:
                bad += [(i, str(problem))]
                continue
            if self.schema and (why := broken(self.schema, value)):
                wrong += [(i, why)]
            missing = [said for _, said in fields(value) if isinstance(said, str) and said not in choices
                       and tidy(said).lower() not in tidy(text).lower()]
            invented += [(i, missing[0])] if missing else []
        return [*super().findings(inputs, answers, notes), *(
            finding for code, severity, found, one, many, fix in (
                ("not_json", "error", bad, "answer is", "answers are",
                 "no JSON.|Mend them, or delete the rows: a program could not read them."),
                ("broken_schema", "warning", wrong, "answer breaks", "answers break",
                 "the schema.|Mend them, or the schema."),
                ("not_in_text", "info", invented, "answer holds", "answers hold",
                 "a text that its document does not.|Values that are rewritten are fine; those that cannot be known "
                 "from the text teach the model to make things up."))
            for finding in notes.make(
                code, severity, [i for i, _ in found],  # type: ignore[arg-type]
                f"{plural(len(found), one, many)} {fix.partition('|')[0]}", fix.partition("|")[2],
                examples=[f"{notes.where(i)}: {why[:120]}" for i, why in found[:5]]))]


def _json(answer: str) -> Any:
    """The value of an answer that is an object or a list of them; None for any other."""
    try:
        value = strict(answer)
    except NoJson:
        return None
    return value if isinstance(value, dict | list) else None


def _finder(texts: Sequence[str], values: Sequence[Any]) -> Finder:
    """What gives a value of this place in the answer for a text, learned from rows."""
    objects = [(text, value) for text, value in zip(texts, values, strict=True) if isinstance(value, dict)]
    if 2 * len(objects) > len(values):
        names = Counter(name for _, value in objects for name in value)
        parts = {name: _finder([text for text, _ in objects], [value.get(name) for _, value in objects])
                 for name, times in names.items() if 2 * times >= len(objects)}
        return lambda text: {name: find(text) for name, find in parts.items()}
    ways = (_commonest, _known, _shaped)
    # Each way learns from every second row and is tried on the others: of its own rows it knows the values.
    tried = [(sum(same_value(find(text), value) for text, value in zip(texts[1::2], values[1::2], strict=True)), -at)
             for at, find in enumerate(way(values[::2]) for way in ways)]
    return ways[-max(tried)[1]](values)


def same_value(one: Any, other: Any) -> bool:
    return Counter((p, same(v)) for p, v in fields(one)) == Counter((p, same(v)) for p, v in fields(other))


def _commonest(values: Sequence[Any]) -> Finder:
    counts = Counter(json.dumps(one, sort_keys=True) for one in values)
    common = json.loads(counts.most_common(1)[0][0]) if counts else None
    return lambda _: common


def _known(values: Sequence[Any]) -> Finder:
    """The longest known value that stands in the text as words; of lists all that do. Else the commonest."""
    lists = any(isinstance(one, list) for one in values)
    flat = [part for one in values for part in (one if isinstance(one, list) else [one])]
    counts = Counter(one for one in flat if isinstance(one, str | int | float) and not isinstance(one, bool))
    known = sorted((one for one, _ in counts.most_common(MOST_VALUES) if str(one).strip()),
                   key=lambda one: -len(str(one)))
    forms = [(one, str(one).lower(), re.compile(rf"(?<!\w){re.escape(str(one).lower())}(?!\w)")) for one in known]
    common = _commonest(values)

    def find(text: str) -> Any:
        small = text.lower()
        there = (one for one, said, form in forms if said in small and form.search(small))
        if lists:
            return list(there)
        found = next(there, None)
        return common(text) if found is None else found
    return find


def _shaped(values: Sequence[Any]) -> Finder:
    """The first thing in the text that is written like most values: `INV-0042` is two runs about a hyphen."""
    plain = [one for one in values if isinstance(one, str | int | float) and not isinstance(one, bool)]
    common = _commonest(values)
    if not plain:
        return common
    shape = Counter(_shape(str(one)) for one in plain).most_common(1)[0][0]
    form, text_like = re.compile(rf"(?<!\w)(?<!\w[-./]){shape}(?![-./]?\w)"), isinstance(plain[0], str)

    def find(text: str) -> Any:
        found = form.search(text)
        if not found or text_like:
            return found[0] if found else common(text)
        try:
            return int(found[0])
        except ValueError:
            return float(found[0]) if found[0].replace(".", "").isdecimal() else common(text)
    return find


def _shape(value: str) -> str:
    """A regular expression of values that are written like this one: runs of digits, of capitals, of letters."""
    shape = list[str]()
    for run in re.findall(r"\d+|[^\W\d_]+|\s+|.", value):
        kind = r"\d+" if run[0].isdigit() else r"\s+" if run.isspace() else re.escape(run)
        if run.isalpha():
            kind = r"[^\W\d_]+" if not run.isupper() else rf"[A-Z]{{{len(run)}}}" if run.isascii() else r"[^\W\d_]+"
        shape.append(kind)
    return "".join(shape)
