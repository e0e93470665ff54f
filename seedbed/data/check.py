"""The data check: everything that would spoil a model or its scores, found before training.

Each finding says in one sentence what is wrong and in one what to do, with the count, the first lines and excerpts
in which personal data is masked. The severity is a promise: an `error` makes training impossible or its scores false,
a `warning` costs quality or breaks a duty, an `info` is worth knowing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..progress import SILENT, Progress
from . import duplicates as dup
from . import label_errors, label_findings, language, personal, repeats, tokens
from .dataset import SPLITS
from .health import Finding, Health
from .notes import Notes, percent, plural, several
from .tally import EXAMPLES_SHOWN

if TYPE_CHECKING:
    from .read import Reading

SAMPLE_TOKENS = 100_000
SAMPLE_LANGUAGES = 20_000
SAMPLE_PERSONAL = 100_000
ORDER = {"error": 0, "warning": 1, "info": 2}


def check(reading: Reading, *, tokenizer: Path | None = None, max_tokens: int | None = None, seed: int = 0,
          duplicates: dup.Duplicates | None = None, progress: Progress = SILENT) -> Health:
    """Everything that can be said about data before training.

    Args:
        reading: what `read` gave.
        tokenizer: `tokenizer.json` of the model that will be used, or its folder; None leaves out token counts.
        max_tokens: where texts will be cut; None takes the limit that the model's own files name.
        seed: of samples, hashes and folds.
        duplicates: what `duplicates.find` gave for these texts, when it is known already.
        progress: told of each part.

    Raises:
        UserError: the tokenizer is not there or cannot be read.
    """
    counter = tokens.counter(tokenizer) if tokenizer else None  # first, so that a wrong path costs no time
    data = reading.dataset
    notes, targets = Notes.of(data), data.targets
    random = np.random.default_rng(seed)
    if duplicates is None:
        duplicates = dup.find(notes.texts, seed=seed, progress=progress)
    splits = [split or "" for split in data.column("split")]
    by_label = label_findings.rows_by_label(targets)

    work = "check"
    progress.start(work, 5, "parts")
    found = [*reading.findings, *_no_words(notes), *label_findings.findings(notes, by_label, targets)]
    found += repeats.repeats(notes, duplicates) + repeats.conflicts(notes, duplicates, targets)
    found += repeats.leaks(notes, duplicates, splits) + repeats.torn_groups(notes, data.column("group"), splits)
    found += _unknown_labels(notes, by_label, splits)
    progress.advance(work)
    found += _personal(notes, random)
    progress.advance(work)
    sample = _sample(len(data), SAMPLE_LANGUAGES, random)
    languages = language.guess([notes.texts[row] for row in sample])
    found += _languages(notes, languages)
    progress.advance(work)
    lengths: dict[str, float] = {}
    per_word: dict[str, float] = {}
    if counter and len(data):
        lengths, too_long = _lengths(notes, counter, max_tokens or counter.limit,
                                     _sample(len(data), SAMPLE_TOKENS, random))
        per_word, costly = _per_word(notes, counter, sample, languages)
        found += too_long + costly
    progress.advance(work)
    found += _label_errors(notes, duplicates, targets, seed, progress)
    progress.done(work)
    named = Counter(splits)
    return Health(
        source=reading.source, read=reading.read, kept=reading.kept, skipped=reading.skipped,
        detected=reading.detected, labels={label: len(rows) for label, rows in by_label.items()},
        splits={split: named[split] for split in SPLITS if named[split]},
        findings=sorted(found, key=lambda one: ORDER[one.severity]), tokens=lengths, tokens_per_word=per_word)


def _sample(total: int, most: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Rows in order: all of them, or a seeded sample."""
    return np.arange(total) if total <= most else np.sort(random.choice(total, most, replace=False))


def _no_words(notes: Notes) -> list[Finding]:
    rows = [row for row, text in enumerate(notes.texts) if not any(map(str.isalnum, text))]
    return notes.make("no_words", "info", rows,
                      f"{plural(len(rows), 'text has', 'texts have')} neither a letter nor a digit.",
                      "Delete them, unless such texts come in use too.")


def _unknown_labels(notes: Notes, by_label: dict[str, list[int]], splits: list[str]) -> list[Finding]:
    if "train" not in splits:
        return []
    unknown = {label: rows for label, rows in by_label.items() if not any(splits[row] == "train" for row in rows)}
    rows = sorted(row for found in unknown.values() for row in found)
    return notes.make(
        "unknown_label", "error", rows,
        f"{plural(len(rows), 'row has', 'rows have')} a label that the train split lacks: "
        f"{label_findings.named({label: len(found) for label, found in unknown.items()})}.",
        "Add such rows to the train split, or correct the label: the model could never give that answer.")


def _personal(notes: Notes, random: np.random.Generator) -> list[Finding]:
    worth = personal.worth_a_look(pa.array(notes.texts, pa.large_string()))
    looked = worth[_sample(len(worth), SAMPLE_PERSONAL, random)]
    places: dict[str, dict[int, int]] = defaultdict(dict)  # by kind: by row, where the first one stands
    total: Counter[str] = Counter()
    for row in looked.tolist():
        for one in personal.find(notes.texts[row]):
            total[one.kind.name] += 1
            places[one.kind.name].setdefault(row, one.start)
    sampled = "" if len(looked) == len(worth) else \
        f" This was counted in a sample of {len(looked):,} of the {len(worth):,} rows that may hold personal data."
    return [finding for kind in personal.KINDS if (rows := places[kind.name]) for finding in notes.make(
        "personal_data", "warning", list(rows),
        f"{plural(len(rows), 'row holds', 'rows hold')} what looks like {kind.title} "
        f"({total[kind.name]:,} in all).{sampled}",
        f"`seedbed data redact` writes a copy with {kind.placeholder} in its place.",
        examples=[f"{notes.where(row)}: {notes.quote(row, at)}" for row, at in islice(rows.items(), 3)])]


def _languages(notes: Notes, guessed: list[str]) -> list[Finding]:
    counts = Counter(code for code in guessed if code != language.UNKNOWN)
    told = counts.total()
    common = {code: n for code, n in counts.most_common() if n >= max(3, 0.02 * told)}
    return [] if len(common) < 2 else notes.make(
        "languages", "info", [], "The texts are in several languages: "
        f"{several([f'{code} ({percent(n, told)})' for code, n in common.items()])}.",
        f"Choose a model that knows them: seedbed models recommend --languages {','.join(list(common)[:6])}.",
        count=len(common))


def _lengths(notes: Notes, counter: tokens.Counter, limit: int | None,
             sample: NDArray[np.int64]) -> tuple[dict[str, float], list[Finding]]:
    counts = counter.count([notes.texts[row] for row in sample])
    told = {"median": float(np.median(counts)), "p95": float(np.percentile(counts, 95)), "max": float(counts.max()),
            "rows": float(len(sample))}
    if limit is None:
        return told, []
    cut = np.flatnonzero(counts > limit)
    lost = int((counts[cut] - limit).sum())
    told |= {"limit": float(limit), "cut_rows": float(len(cut)), "cut_tokens": float(lost)}
    few = len(cut) <= 0.01 * len(sample)
    enough = int(2 ** np.ceil(np.log2(max(16.0, float(np.percentile(counts, 99))))))  # holds 99 % of the rows
    longer = "divide the long texts" if few else \
        f"set --max-tokens {enough}, which holds 99 % of the rows, or divide the long texts" \
        if counter.limit is None or enough <= counter.limit else \
        f"choose a model that reads {enough} tokens, or divide the long texts"
    of = "rows" if len(sample) == len(notes.texts) else f"rows of a sample of {len(sample):,}"
    return told, notes.make(
        "too_long", "info" if few else "warning", sample[cut].tolist(),
        f"{len(cut):,} {of} ({percent(len(cut), len(sample))}) {'is' if len(cut) == 1 else 'are'} longer than "
        f"{limit:,} tokens; {lost:,} tokens ({percent(lost, int(counts.sum()))}) at their ends would be cut.",
        f"Leave it if the beginning is enough to decide; else {longer}.",
        examples=[f"{notes.where(sample[i])}: {counts[i]:,} tokens" for i in cut[:3]])


def _per_word(notes: Notes, counter: tokens.Counter, sample: NDArray[np.int64],
              languages: list[str]) -> tuple[dict[str, float], list[Finding]]:
    """Tokens per word of each language with 10 texts and 2 % of the sample or more."""
    texts = [notes.texts[row] for row in sample]
    counts, words = counter.count(texts) - counter.special, dup.words(texts)
    codes = np.array(languages)
    told = {code: float(counts[codes == code].sum() / words[codes == code].sum())
            for code, n in Counter(languages).most_common()
            if code != language.UNKNOWN and n >= max(10, 0.02 * len(sample)) and words[codes == code].sum()}
    costly = {code: ratio for code, ratio in told.items() if ratio >= 2.5}
    return told, notes.make(
        "costly_language", "info", sample[np.isin(codes, list(costly))].tolist(),
        "This model needs many tokens for a word of "
        f"{several([f'{code} ({ratio:.1f})' for code, ratio in costly.items()])}; 1.2 to 1.6 is usual for a language "
        "that a model knows well.",
        f"Compare with a model that knows the language: seedbed models recommend --languages {','.join(costly)}.")


def _label_errors(notes: Notes, found: dup.Duplicates, targets: Sequence[Any], seed: int,
                  progress: Progress) -> list[Finding]:
    alone = np.array([row for row in np.flatnonzero(found.near == np.arange(len(found.near))).tolist()
                      if targets[row] is not None], np.int64)
    result = label_errors.find(notes.texts, targets, alone, seed=seed, progress=progress)
    if result.skipped:
        return notes.make("label_errors_skipped", "info", [], "Likely label errors were not looked for: "
                          f"{result.skipped}.", "Read a few rows of each label yourself.", count=0)
    suspects = result.suspects
    sampled = "" if result.looked_at == len(alone) else f" in a sample of {result.looked_at:,} rows"
    return notes.make(
        "label_error", "warning", [suspect.row for suspect in suspects],
        f"{plural(len(suspects), 'label is', 'labels are')} doubtful{sampled}, the most doubtful first: a simple "
        f"baseline is sure of another, and where it is so sure it agrees with {percent(result.agreement, 1)} of the "
        "labels.",
        "Read these lines and correct the wrong ones; some will be right and only unusual.",
        examples=[f"{notes.where(s.row)} is labelled “{s.given}”, reads like “{s.likely}”: {notes.quote(s.row)}"
                  for s in suspects[:EXAMPLES_SHOWN]])
