"""Which column is the text, which the label: named by the user, or guessed from names and values and said."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DataError

TEXT_NAMES = ("text", "review", "reviews", "comment", "comments", "body", "message", "content", "sentence",
              "document", "description", "tweet", "utterance", "question", "query", "abstract", "title", "subject",
              "feedback", "ticket", "texte", "texto", "testo", "kommentar", "nachricht", "commentaire", "comentario")
LABEL_NAMES = ("label", "labels", "class", "category", "categories", "target", "sentiment", "intent", "topic",
               "topics", "rating", "tag", "tags", "emotion", "polarity", "stars", "score", "genre", "genres",
               "priority", "queue", "department", "outcome", "answer", "type", "kind", "y", "klasse", "kategorie",
              "urteil", "bewertung", "stimmung", "thema", "classe", "catégorie", "étiquette", "clase", "categoría",
              "etiqueta", "categoria", "etichetta")
SPLIT_NAMES = ("split", "subset", "partition", "fold", "set")
SPLIT_WORDS = {"train": "train", "training": "train", "validation": "validation", "valid": "validation",
               "val": "validation", "dev": "validation", "development": "validation", "test": "test",
               "testing": "test", "eval": "test", "evaluation": "test", "heldout": "test", "holdout": "test"}
LONGEST_LABEL = 60
"""Characters; a column of longer values on average is not guessed to be a label."""
MOST_LABELS = 200
"""Distinct values; a column without a telling name that has more is not guessed to be a label."""


@dataclass(frozen=True)
class Columns:
    """Names of the source's columns by what they are for, None where there is none; which were guessed, and columns
    that might be the label as well."""

    text: str
    label: str | None
    group: str | None = None
    split: str | None = None
    guessed: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def split_of(word: Any) -> str | None:
    """The split that a word means (`dev` is validation); None when it means none."""
    return SPLIT_WORDS.get(str(word).strip().lower())


def choose(sample: dict[str, list[Any]], where: str, *, text: str | None, label: str | None, group: str | None,
           split: str | None, labelled: bool = True) -> Columns:
    """Settle the columns.

    Args:
        sample: some values of each column.
        where: the source's name, for messages.
        text, label, group, split: what the user named.
        labelled: a label column is needed; False looks for none unless it is named.

    Raises:
        DataError: a column that was named is not there, or one cannot be guessed.
    """
    asked = {"text": text, "label": label, "group": group, "split": split}
    named = {what: find(name, list(sample), what, where) for what, name in asked.items() if name is not None}
    repeated = [name for name in named.values() if list(named.values()).count(name) > 1]
    if repeated:
        raise DataError(f"The column {repeated[0]!r} was named for two things: "
                        f"{' and '.join(w for w, n in named.items() if n == repeated[0])}.",
                        "Name a column for each.")
    told = tuple(named)
    free = {name: [v for v in values if v is not None and v != "" and v == v]  # v == v: not NaN
            for name, values in sample.items() if name not in named.values()}
    if "split" not in named and (found := _guess_split(free)):
        named["split"] = found
        del free[found]
    if "text" not in named:
        named["text"] = _guess_text(free, where)
        del free[named["text"]]
    others = list[str]()
    if "label" not in named and labelled:
        named["label"], *others = _guess_label(free, where, named["text"])
    return Columns(named["text"], named.get("label"), named.get("group"), named.get("split"),
                   tuple(what for what in named if what not in told), tuple(others))


def find(name: str, names: Sequence[str], what: str, where: str) -> str:
    """The column of that name; case and outer spaces do not matter where only one fits.

    Raises:
        DataError: there is none; the message lists what there is, the hint the nearest.
    """
    if name in names:
        return name
    alike = [n for n in names if n.strip().lower() == name.strip().lower()]
    if len(alike) == 1:
        return alike[0]
    near = difflib.get_close_matches(name.lower(), [n.lower() for n in names], n=1, cutoff=0.6)
    close = next((n for n in names if near and n.lower() == near[0]), None)
    listed = ", ".join(names[:30]) + (f" and {len(names) - 30} more" if len(names) > 30 else "")
    raise DataError(f"{where} has no column {name!r} for the {what}; it has {listed}.",
                    f"Did you mean {close!r}?" if close else f"Name one of them for the {what}.")


def words(name: str) -> set[str]:
    """The words of a name such as `productCategory` or `product_category`, in small letters."""
    return {w.lower() for w in re.split(r"[\W_]+|(?<=[a-z])(?=[A-Z])", name) if w}


def _hint(name: str, known: Sequence[str]) -> int | None:
    """How telling a name is: the place in `known` of its best word, whole names first; None when it tells nothing."""
    if name.strip().lower() in known:
        return known.index(name.strip().lower())
    places = [known.index(w) for w in words(name) if w in known]
    return min(places) + len(known) if places else None


def _guess_split(sample: dict[str, list[Any]]) -> str | None:
    return next((name for name, values in sample.items()
                 if _hint(name, SPLIT_NAMES) is not None and values and all(map(split_of, values))), None)


def _guess_text(sample: dict[str, list[Any]], where: str) -> str:
    """The column with the most characters in different values; a telling name counts for some more."""
    best, best_score = "", 0.0
    for name, values in sample.items():
        texts = [v for v in values if isinstance(v, str)]
        if not texts:
            continue
        one_word = sum(v.isascii() and not re.search(r"\s", v.strip()) for v in texts) / len(texts)
        score = sum(map(len, texts)) * len(set(texts)) / len(texts) * (1.1 - one_word)
        place = _hint(name, TEXT_NAMES)
        if place is not None:
            score *= 3.0 if place < len(TEXT_NAMES) else 2.0
        if _hint(name, LABEL_NAMES) is not None:
            score *= 0.3
        if score > best_score:
            best, best_score = name, score
    if not best:
        raise DataError(f"{where} has no column of text; it has {', '.join(list(sample)[:30]) or 'no columns left'}.",
                        "Name the text column with --text, or check the delimiter.")
    return best


def _guess_label(sample: dict[str, list[Any]], where: str, text: str) -> list[str]:
    """A column with a telling name and values that repeat; else the one with fewest values, the last of equals. And
    after it the others that are as likely by their names."""
    found: list[tuple[int, int, int, str]] = []
    for at, (name, values) in enumerate(sample.items()):
        listed = any(isinstance(v, list) for v in values)
        labels = [str(p) for v in values for p in (v if isinstance(v, list) else [v])]
        if not labels:
            continue
        distinct, mean = len(set(labels)), sum(map(len, labels)) / len(labels)
        place = _hint(name, LABEL_NAMES)
        few_rows = place is not None and len(labels) < 20
        if mean > LONGEST_LABEL or (distinct > max(2, 0.5 * len(labels)) and not few_rows):
            continue
        if place is not None:
            found.append((0, place, -at, name))
        elif listed or (2 <= distinct <= min(MOST_LABELS, max(2, len(labels) // 3)) and not _measured(values)):
            found.append((1, distinct, -at, name))
    if not found:
        raise DataError(f"{where} has no column that looks like a label beside the text column {text!r}; "
                        f"it has {', '.join([text, *sample][:30])}.",
                        "Name the label column with --label, or add one.")
    return [name for told, *_, name in sorted(found) if told == min(found)[0]]


def _measured(values: list[Any]) -> bool:
    """Fractions and dates are measured, not chosen."""
    return all(re.fullmatch(r"[-+]?\d*[.,]\d+|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*", str(v).strip())
               and not re.fullmatch(r"\d+\.0", str(v)) for v in values)
