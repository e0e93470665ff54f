"""What a data check says about texts that repeat: duplicates, contradictions, leaks between splits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dataset import SPLITS
from .duplicates import LARGEST, Duplicates, Ints
from .health import Finding
from .notes import Notes, plural, several
from .tally import Severity


def repeats(notes: Notes, found: Duplicates) -> list[Finding]:
    """Exact and near duplicates; a row is counted as one or the other."""
    rows = np.arange(len(found.exact))
    exact = np.flatnonzero(found.exact != rows).tolist()
    near = np.flatnonzero((found.exact == rows) & (found.near != rows)).tolist()
    texts = len(np.unique(found.exact[exact]))
    return [
        *notes.make(
            "exact_duplicate", "warning", exact,
            f"{plural(len(exact), 'row repeats', 'rows repeat')} the text of an earlier row, case, spaces and "
            f"punctuation aside ({plural(texts, 'text', 'different texts')}).",
            "Delete them, unless your users repeat themselves like that; a split keeps equal texts together anyway.",
            examples=[f"{notes.where(r)} repeats {notes.where(int(found.exact[r]))}: {notes.quote(r)}"
                      for r in exact[:3]]),
        *notes.make(
            "near_duplicate", "info", near,
            f"{plural(len(near), 'text differs', 'texts differ')} from another by only a few characters or words.",
            "Nothing must be done, splits keep them together; delete them if they are copies.",
            examples=[f"{notes.where(r)} is like {notes.where(int(found.near[r]))}: {notes.quote(r)}"
                      for r in near[:3]]),
        *notes.make(
            "template_texts", "info", [], f"{plural(found.cut, 'group', 'groups')} of near duplicates held more than "
            f"{LARGEST:.0%} of the rows and had to be divided at the weakest links.",
            "Look whether the texts are filled-in templates; keep a few of each, or name a group with --group.",
            count=found.cut or None)]


def conflicts(notes: Notes, found: Duplicates, targets: Sequence[Any]) -> list[Finding]:
    """Equal texts, and nearly equal ones, with different labels."""
    codes = _coded(targets)
    clash = _spread(found.exact, codes)
    near = _spread(found.near, codes) & ~np.isin(found.near, found.near[clash])
    return [
        *_conflict(notes, clash, found.exact, targets, "conflicting_label", "warning", "the same text",
                   "Decide on one label for each text: a model cannot learn both, and one row will always be "
                   "a mistake."),
        *_conflict(notes, near, found.near, targets, "near_conflict", "info", "nearly the same text",
                   "Read them side by side: where only the wording differs, one of the labels is wrong.")]


def _conflict(notes: Notes, mask: NDArray[np.bool_], groups: Ints, targets: Sequence[Any], code: str,
              severity: Severity, how: str, fix: str) -> list[Finding]:
    rows = np.flatnonzero(mask).tolist()
    together: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        together[int(groups[row])].append(row)
    examples = []
    for members in list(together.values())[:3]:
        first: dict[str, int] = {}
        for row in members:
            first.setdefault(shown(targets[row]), row)
        said = several([f"“{label}” in {notes.where(row)}" for label, row in first.items()], 3)
        examples.append(f"{notes.quote(members[0])} is {said}")
    return notes.make(code, severity, rows, f"{len(rows):,} rows with {how} have different labels "
                      f"({plural(len(together), 'text', 'texts')}).", fix, examples=examples)


def shown(target: Any) -> str:
    """A label, or several joined by plus signs."""
    return " + ".join(sorted(target)) or "no label" if isinstance(target, list | tuple) else str(target)


def _coded(targets: Sequence[Any]) -> Ints:
    """A number for each different target [rows], -1 for none."""
    known: dict[Any, int] = {}
    plain = (tuple(sorted(t)) if isinstance(t, list | tuple) else t for t in targets)
    return np.array([-1 if t is None else known.setdefault(t, len(known)) for t in plain], np.int64)


def _spread(groups: Ints, values: Ints) -> Any:
    """[rows] whether the row's group holds more than one value; values below 0 are left out."""
    low, high = np.full(len(groups), np.iinfo(np.int64).max), np.full(len(groups), -1)
    counted = values >= 0
    np.minimum.at(low, groups[counted], values[counted])
    np.maximum.at(high, groups[counted], values[counted])
    return counted & (low[groups] < high[groups])


def leaks(notes: Notes, found: Duplicates, splits: list[str]) -> list[Finding]:
    """Texts of a later given split that an earlier one holds too."""
    place = np.array([SPLITS.index(split) if split in SPLITS else -1 for split in splits], np.int64)
    if len(np.unique(place[place >= 0])) < 2:
        return []
    first, near_first = _earliest(found.exact, place), _earliest(found.near, place)
    exact = (place >= 0) & (place[first] < place)
    near = (place >= 0) & (place[near_first] < place) & ~exact
    return [*_leak(notes, exact, first, splits, "leakage", "error", "the same text as"),
            *_leak(notes, near, near_first, splits, "near_leakage", "warning", "nearly the same text as")]


def _earliest(groups: Ints, place: Ints) -> Ints:
    """[rows] the first row of the earliest split within the row's group."""
    order = np.lexsort((place, groups))
    order = order[place[order] >= 0]
    names, first = np.unique(groups[order], return_index=True)
    of_group = np.zeros(len(groups), np.int64)
    of_group[names] = order[first]
    return of_group[groups]


def _leak(notes: Notes, mask: NDArray[np.bool_], origin: Ints, splits: list[str], code: str, severity: Severity,
          how: str) -> list[Finding]:
    rows = np.flatnonzero(mask).tolist()
    where = several([f"{n:,} of {split}" for split, n in Counter(splits[row] for row in rows).items()])
    return notes.make(
        code, severity, rows,
        f"{plural(len(rows), 'row', 'rows')} ({where}) {'has' if len(rows) == 1 else 'have'} {how} one of "
        "an earlier split, so scores would be too good.",
        "Delete them from the later split, or divide all rows anew: seedbed data split FILE --anew --out FOLDER.",
        examples=[f"{notes.where(r)} ({splits[r]}) has {how} {notes.where(o)} ({splits[o]}): {notes.quote(r)}"
                  for r, o in zip(rows[:3], origin[rows[:3]].tolist(), strict=True)])


def torn_groups(notes: Notes, groups: list[str | None], splits: list[str]) -> list[Finding]:
    """Groups with rows in more than one given split."""
    where: dict[str, set[str]] = defaultdict(set)
    for group, split in zip(groups, splits, strict=True):
        if group is not None and split:
            where[group].add(split)
    torn = {group for group, found in where.items() if len(found) > 1}
    rows = [row for row, group in enumerate(groups) if group in torn]
    return notes.make(
        "group_leakage", "error", rows,
        f"{plural(len(torn), 'group has', 'groups have')} rows in more than one split, so scores would be too good.",
        "Divide all rows anew, which keeps groups together: seedbed data split FILE --anew --out FOLDER.",
        examples=[f"{notes.where(row)} ({splits[row]}): group “{groups[row]}”" for row in rows[:3]])
