"""What a data check says about labels: none, one, rare, written in several ways, saying nothing, out of balance."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from .health import Finding
from .notes import Notes, plural, several

RARE = 8
"""Labelled texts that a label needs before anything can be learned from it and tested on it."""
OUT_OF_BALANCE = 10
PLACEHOLDERS = frozenset(("", "-", "--", "?", "n/a", "na", "nan", "none", "null", "nil", "tbd", "todo", "unknown",
                          "unlabeled", "unlabelled", "not set", "undefined", "#n/a"))


def rows_by_label(targets: Sequence[Any]) -> dict[str, list[int]]:
    """Rows of each label, the most frequent label first; a multi-label row stands under each of its labels."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, target in enumerate(targets):
        for label in target if isinstance(target, list | tuple) else [target]:
            if label is not None:
                rows[label].append(row)
    return dict(sorted(rows.items(), key=lambda item: (-len(item[1]), item[0])))


def findings(notes: Notes, rows: dict[str, list[int]], targets: Sequence[Any]) -> list[Finding]:
    """Everything about the labels themselves; `rows` is what `rows_by_label` gave."""
    counts = {label: len(positions) for label, positions in rows.items()}
    if not rows:
        return notes.make("no_label", "error", [], "No row has a label.", "Name the label column with --label.",
                          count=0)
    if len(counts) == 1:
        return notes.make("one_label", "error", [],
                          f"Every labelled row has the same label, “{next(iter(counts))}”.",
                          "Add rows with other labels: with one there is nothing to learn.", count=0)
    if _not_classes(len(counts), len(targets)):
        return notes.make(
            "label_not_a_class", "error", [],
            f"The label column holds {len(counts):,} different values in {len(targets):,} rows, which looks like "
            "free text, a number or an id, not like classes.",
            "Name the right column with --label; a number has to be put into ranges first, such as low, medium, "
            "high.", count=0)

    found, alike = list[Finding](), _alike(rows)
    for keep, *others in (labels for labels in alike if len(labels) > 1):
        found += notes.make(
            "label_variants", "warning", _joined(rows, others),
            "These labels look like one, written in different ways: "
            f"{named({label: counts[label] for label in (keep, *others)})}.",
            f"Rename {several([f'“{label}”' for label in others])} to “{keep}”, unless they mean different things.")

    blank = {label: n for label, n in counts.items() if label.strip().casefold() in PLACEHOLDERS}
    found += notes.make(
        "placeholder_label", "warning", _joined(rows, blank),
        f"{plural(sum(blank.values()), 'row has', 'rows have')} a label that looks like a blank: {named(blank)}.",
        "Label these rows or delete them; as they are, the model learns to give that answer.")

    # A label that should be renamed is counted under its right name, so that one cause gives one finding.
    meant = {labels[0]: _joined(rows, labels) for labels in alike if labels[0] not in blank}
    alone = [label for label, positions in meant.items() if len(positions) == 1]
    found += notes.make(
        "single_example", "error", _joined(meant, alone),
        f"{plural(len(alone), 'label has', 'labels have')} only one row: "
        f"{several([f'“{label}”' for label in alone])}.",
        f"Add rows (2 at the least, {RARE} for a start), or delete such a row: it cannot be both learned from and "
        "tested on.")
    rare = {label: len(positions) for label, positions in meant.items() if 1 < len(positions) < RARE}
    found += notes.make(
        "rare_label", "warning", _joined(meant, rare),
        f"{plural(len(rare), 'label has', 'labels have')} fewer than {RARE} rows: {named(rare)}.",
        f"Add rows until each has {RARE} or more, or merge a rare label into a near one.")
    found += _balance(notes, meant)

    bare = [row for row, target in enumerate(targets) if target is None or target == []]
    answer = bool(bare) and targets[bare[0]] is not None  # an empty list says that no label applies
    return found + notes.make(
        "missing_label", "info" if answer else "warning", bare,
        f"{plural(len(bare), 'row has', 'rows have')} no label.",
        "Nothing to do if none of the labels fits them: they teach the model to answer with none." if answer else
        "Label them, or leave them out; they teach nothing.")


def named(counts: dict[str, int]) -> str:
    """Labels with their counts, for instance: “a” (3), “b” (5) and 2 more."""
    return several([f"“{label}” ({n:,})" for label, n in counts.items()])


def _joined(rows: dict[str, list[int]], labels: Iterable[str]) -> list[int]:
    """The rows of several labels, in order."""
    return sorted(row for label in labels for row in rows[label])


def _not_classes(labels: int, rows: int) -> bool:
    return labels > (20 if labels <= 0.9 * rows else 5) and labels > rows / 3


def _folded(label: str, singulars: frozenset[str] = frozenset()) -> str:
    """A label without what may differ by accident: case, width, spaces, dashes, a plural that has its singular."""
    plain = re.sub(r"[\s_\-./]+", " ", unicodedata.normalize("NFKC", label)).strip().casefold()
    for ending, single in (("ies", "y"), ("es", ""), ("s", "")):
        if plain.endswith(ending) and plain[:-len(ending)] + single in singulars:
            return plain[:-len(ending)] + single
    return plain


def _alike(rows: dict[str, list[int]]) -> list[list[str]]:
    """Labels that look like one, the most frequent first, which is the name to keep."""
    singulars = frozenset(_folded(label) for label in rows)
    alike: dict[str, list[str]] = defaultdict(list)
    for label in rows:
        alike[_folded(label, singulars)].append(label)
    return list(alike.values())


def _balance(notes: Notes, rows: dict[str, list[int]]) -> list[Finding]:
    usable = sorted((len(found), label) for label, found in rows.items() if len(found) >= RARE)
    if len(usable) < 2 or usable[-1][0] < OUT_OF_BALANCE * usable[0][0]:
        return []
    (least, small), (most, large) = usable[0], usable[-1]
    return notes.make(
        "class_imbalance", "warning", [],
        f"“{large}” has {most:,} rows and “{small}” only {least:,}, {most / least:.0f} times fewer.",
        f"Add rows of “{small}” if it matters; judge by macro-F1 (the default here), not by accuracy.", count=least)
