"""What a data check says about labels: none, one, rare, written in several ways, saying nothing, out of balance."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
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
    if not rows:
        return [notes.make("no_label", "error", [], "No row has a label.", "Name the label column with --label.")]
    counts = {label: len(positions) for label, positions in rows.items()}
    useless = _one_label(notes, counts) or _not_classes(notes, counts, len(targets))
    if useless:
        return [useless]
    alike = _alike(rows)
    blank = {label for label in rows if label.strip().casefold() in PLACEHOLDERS}
    # A label that should be renamed is counted under its right name, so that one cause gives one finding.
    meant = {keep: sorted(row for label in (keep, *others) for row in rows[label])
             for keep, *others in alike if keep not in blank}
    found = [*_variants(notes, rows, alike), _placeholders(notes, rows, blank),
             _alone(notes, meant), _rare(notes, meant), _balance(notes, meant)]
    bare = [row for row, target in enumerate(targets) if target is None or target == []]
    if bare:
        found.append(notes.make(
            "missing_label", "warning" if targets[bare[0]] is None else "info", bare,
            f"{plural(len(bare), 'row has', 'rows have')} no label.",
            "Label them, or leave them out; they teach nothing." if targets[bare[0]] is None else
            "Nothing to do if none of the labels fits them: they teach the model to answer with none."))
    return [one for one in found if one]


def named(counts: dict[str, int] | Counter[str]) -> str:
    """Labels with their counts, for instance: “a” (3), “b” (5) and 2 more."""
    return several([f"“{label}” ({n:,})" for label, n in counts.items()])


def _not_classes(notes: Notes, counts: dict[str, int], total: int) -> Finding | None:
    if len(counts) <= (20 if len(counts) <= 0.9 * total else 5) or len(counts) <= total / 3:
        return None
    return notes.make(
        "label_not_a_class", "error", [],
        f"The label column holds {len(counts):,} different values in {total:,} rows, which looks like free text, "
        "a number or an id, not like classes.",
        "Name the right column with --label; a number has to be put into ranges first, such as low, medium, high.")


def _one_label(notes: Notes, counts: dict[str, int]) -> Finding | None:
    if len(counts) > 1:
        return None
    return notes.make("one_label", "error", [], f"Every labelled row has the same label, “{next(iter(counts))}”.",
                      "Add rows with other labels: with one there is nothing to learn.")


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


def _variants(notes: Notes, rows: dict[str, list[int]], alike: list[list[str]]) -> list[Finding]:
    found = []
    for keep, *others in (labels for labels in alike if len(labels) > 1):
        found.append(notes.make(
            "label_variants", "warning", sorted(row for label in others for row in rows[label]),
            "These labels look like one, written in different ways: "
            f"{named({label: len(rows[label]) for label in (keep, *others)})}.",
            f"Rename {several([f'“{label}”' for label in others])} to “{keep}”, unless they mean different things."))
    return found


def _placeholders(notes: Notes, rows: dict[str, list[int]], blank: set[str]) -> Finding | None:
    empty = {label: len(rows[label]) for label in rows if label in blank}
    if not empty:
        return None
    return notes.make(
        "placeholder_label", "warning", sorted(row for label in empty for row in rows[label]),
        f"{plural(sum(empty.values()), 'row has', 'rows have')} a label that looks like a blank: {named(empty)}.",
        "Label these rows or delete them; as they are, the model learns to give that answer.")


def _alone(notes: Notes, rows: dict[str, list[int]]) -> Finding | None:
    alone = {label: 1 for label in rows if len(rows[label]) == 1}
    if not alone:
        return None
    return notes.make(
        "single_example", "error", sorted(rows[label][0] for label in alone),
        f"{plural(len(alone), 'label has', 'labels have')} only one row: "
        f"{several([f'“{label}”' for label in alone])}.",
        f"Add rows (2 at the least, {RARE} for a start), or delete such a row: it cannot be both learned from and "
        "tested on.")


def _rare(notes: Notes, rows: dict[str, list[int]]) -> Finding | None:
    rare = {label: len(positions) for label, positions in rows.items() if 1 < len(positions) < RARE}
    if not rare:
        return None
    return notes.make(
        "rare_label", "warning", sorted(row for label in rare for row in rows[label]),
        f"{plural(len(rare), 'label has', 'labels have')} fewer than {RARE} rows: {named(rare)}.",
        f"Add rows until each has {RARE} or more, or merge a rare label into a near one.")


def _balance(notes: Notes, rows: dict[str, list[int]]) -> Finding | None:
    usable = [(label, len(found)) for label, found in rows.items() if len(found) >= RARE]
    usable.sort(key=lambda one: -one[1])
    if len(usable) < 2 or usable[0][1] < OUT_OF_BALANCE * usable[-1][1]:
        return None
    (large, most), (small, least) = usable[0], usable[-1]
    return notes.make(
        "class_imbalance", "warning", [],
        f"“{large}” has {most:,} rows and “{small}” only {least:,}, {most / least:.0f} times fewer.",
        f"Add rows of “{small}” if it matters; judge by macro-F1 (the default here), not by accuracy.", count=least)
