"""Spans in a text, and the forms in which programs write them: doccano, Prodigy, Label Studio, tokens with tags."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .formats.conll import TAG

LISTS = ("spans", "entities", "label", "labels", "ner")
"""Columns that may hold a row's spans, the first that is there."""
TAGS = ("tags", "ner_tags", "labels")
TEXTS = ("text", "content", "sentence", "document", "data")
LABELS = ("label", "labels", "type", "tag", "entity_group", "entity", "class")
"""Keys under which a span that is an object says its label."""


@dataclass(frozen=True, order=True)
class Span:
    """Characters `start` to `end` (not included) of a text, counted in Unicode code points from 0."""

    start: int
    end: int
    label: str


class Unmarked(ValueError):
    """A row without usable spans: the code in `tally.REASONS`, and what exactly is wrong (no piece of the data)."""

    def __init__(self, code: str, what: str = "") -> None:
        super().__init__(what)
        self.code, self.what = code, what


@dataclass(frozen=True)
class Marked:
    """A text with its spans in order, none over another.

    Args:
        form: how they were written.
        mended: how many spans were mended or left out, by code in `tally.REASONS`.
    """

    text: str
    spans: list[Span]
    form: str
    mended: dict[str, int] = field(default_factory=dict)


def dump(spans: Sequence[Span]) -> str:
    """As a dataset stores them."""
    return json.dumps([asdict(span) for span in spans], ensure_ascii=False)


def load(text: str) -> list[Span]:
    """What `dump` wrote."""
    return [Span(**values) for values in json.loads(text)]


def marked(row: dict[str, Any], text: str | None = None, label: str | None = None) -> Marked:
    """A row of any form.

    Args:
        row: by lower-case column; lists and objects may be JSON.
        text, label: columns that the user named.

    Raises:
        Unmarked: it has no text, was not accepted, or its spans cannot be trusted. A text without one of its spans
            would teach that there is none, so it is left out as a whole.
    """
    row = {name: value for name, value in row.items() if value is not None}
    tags = label or next((name for name in TAGS if name in row), None)
    if tags in row and "tokens" in row and text is None and not {"spans", "entities"} & set(row):
        return _tagged(_list(row["tokens"]), _list(row[tags]))
    answer = str(row.get("answer", "accept"))
    if answer in ("reject", "ignore"):
        raise Unmarked("not_accepted", f"its answer is {answer}")
    if ("annotations" in row or "completions" in row) and "data" in row:
        return _label_studio(row, text)
    words = row.get(text or next((name for name in TEXTS if name in row), ""))
    if not isinstance(words, str) or not words.strip():
        raise Unmarked("empty_text")
    name = label or next((name for name in LISTS if name in row), None)
    if name not in row and "answer" not in row:
        raise Unmarked("missing_label")
    raw = _list(row.get(name or "", []))
    objects = any(isinstance(one, dict) for one in raw)
    form = "Prodigy" if "answer" in row else "text with spans" if objects else "doccano"
    return _checked(words, [_span(one) for one in raw], form)


def _label_studio(row: dict[str, Any], text: str | None) -> Marked:
    data = _value(row["data"])
    found = _list(row.get("annotations", row.get("completions")))
    if not isinstance(data, dict) or not all(isinstance(one, dict) for one in found):
        raise Unmarked("bad_span", "its annotations are not as Label Studio writes them")
    strings = [key for key, value in data.items() if isinstance(value, str)]
    key = text or next((name for name in TEXTS if name in strings), None) or max(
        strings, key=lambda name: len(data[name]), default="")
    words = data.get(key)
    if not isinstance(words, str) or not words.strip():
        raise Unmarked("empty_text")
    given = [one for one in found if not one.get("was_cancelled")]
    if not given:
        raise Unmarked(*(("not_accepted", "it was skipped by its annotator") if found else ("missing_label",)))
    one = max(given, key=lambda one: bool(one.get("ground_truth")))  # the first of equals
    spans = []
    for result in one.get("result") or []:
        value = result.get("value") or {}
        if value.get("labels") or value.get("hypertextlabels"):  # relations and choices stand among them
            spans.append(_span({**(value.get("globalOffsets") or {}), **value, "label": value.get("labels")}))
    made = _checked(words, spans, "Label Studio")
    if len(given) > 1:
        made.mended["other_annotations"] = len(given) - 1
    return made


def _span(one: Any) -> tuple[Span, str | None]:
    """A span as it is written, with the words that it quotes."""
    quoted = None
    if isinstance(one, dict):
        quoted = one.get("text")
        start = one.get("start", one.get("start_offset"))
        end = one.get("end", one.get("end_offset"))
        label = next((one[name] for name in LABELS if one.get(name)), None)
        label = label[0] if isinstance(label, list) else label
    elif isinstance(one, list) and len(one) == 3:
        start, end, label = one
    else:
        raise Unmarked("bad_span", "a span is neither [start, end, label] nor an object with these")
    try:
        place = int(start), int(end)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise Unmarked("bad_span", "a span has no number for its start or end") from None
    if not isinstance(label, str) or not label.strip():
        raise Unmarked("bad_span", f"the span at {place[0]} has no label")
    return Span(*place, label.strip()), quoted if isinstance(quoted, str) else None


def _checked(text: str, given: list[tuple[Span, str | None]], form: str) -> Marked:
    """Spans that are held against the text: those in UTF-16 units are turned, spaces are taken off, and of spans that
    lie over each other the longest is kept."""
    def fits(spans: list[tuple[Span, str | None]]) -> bool:
        return all(0 <= one.start <= one.end <= len(text) and (
            quoted is None or _same(text[one.start:one.end], quoted)) for one, quoted in spans)

    mended = dict[str, int]()
    if not fits(given) and any(quoted is not None for _, quoted in given):
        turned = _from_utf16(text, given)  # JavaScript counts a character beyond U+FFFF as two
        if turned and fits(turned):
            mended["utf16_offsets"], given = len(given), turned
    kept = list[Span]()
    for one, quoted in given:
        if not 0 <= one.start <= one.end <= len(text):
            raise Unmarked("span_outside", f"{one.start} to {one.end} in a text of {len(text)} characters")
        if not fits([(one, quoted)]):
            raise Unmarked("span_mismatch", f"characters {one.start} to {one.end} are not what the span quotes")
        words = text[one.start:one.end]
        start = one.start + len(words) - len(words.lstrip())
        trimmed = Span(start, start + len(words.strip()), one.label)
        code = "empty_span" if trimmed.start == trimmed.end else "trimmed_span" if trimmed != one else ""
        if code:
            mended[code] = mended.get(code, 0) + 1
        if code != "empty_span":
            kept.append(trimmed)
    out = list[Span]()
    for one in sorted(kept, key=lambda span: (span.start - span.end, span)):
        if all(one.end <= other.start or other.end <= one.start for other in out):
            out.append(one)
    if len(out) < len(kept):
        mended["overlapping_span"] = len(kept) - len(out)
    return Marked(text, sorted(out), form, mended)


def _same(words: str, quoted: str) -> bool:
    """Line ends and outer spaces differ between programs; what is between them may not."""
    return words == quoted or words.split() == quoted.replace("\\n", "\n").split()


def _from_utf16(text: str, given: list[tuple[Span, str | None]]) -> list[tuple[Span, str | None]] | None:
    place, units = {0: 0}, 0
    for at, character in enumerate(text):
        units += 1 + (ord(character) > 0xFFFF)
        place[units] = at + 1
    try:
        return [(Span(place[one.start], place[one.end], one.label), quoted) for one, quoted in given]
    except KeyError:  # inside a character, or beyond the text
        return None


def _tagged(tokens: list[Any], tags: list[Any]) -> Marked:
    """Tokens joined by spaces; IOB1, IOB2, BIOES and BILOU are read alike."""
    if len(tokens) != len(tags) or not all(TAG.fullmatch(str(tag)) for tag in tags):
        raise Unmarked("bad_span", "its tags are not one word such as B-NAME for each token")
    words, spans, at = [str(token) for token in tokens], list[Span](), 0
    before, ended = "", True
    for word, tag in zip(words, tags, strict=True):
        kind, label = tag[:1], tag[2:]
        if label:
            if kind in "BSU" or ended or label != before:
                spans.append(Span(at, at + len(word), label))
            else:
                spans[-1] = Span(spans[-1].start, at + len(word), label)
        before, ended = label, not label or kind in "ESLU"
        at += len(word) + 1
    if not at:
        raise Unmarked("empty_text")
    return _checked(" ".join(words), [(span, None) for span in spans], "tokens with tags")


def _value(value: Any) -> Any:
    """A cell that holds JSON as what it holds."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _list(value: Any) -> list[Any]:
    """A cell as a list: files of several kinds together make lists of JSON of them.

    Raises:
        Unmarked: it is none.
    """
    value = _value(value)
    if not isinstance(value, list):
        raise Unmarked("bad_span", "its spans are not a list")
    if len(value) == 1 and isinstance(value[0], str) and value[0].startswith("["):
        return _list(value[0])
    return value
