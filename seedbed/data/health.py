"""What a data check found, as the report and `result.json` show it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..records import Record


class Finding(Record):
    """One thing that a data check found."""

    code: str
    """Stable name: empty_text, exact_duplicate, near_duplicate, leakage, personal_data, label_error ..."""
    severity: Literal["error", "warning", "info"]
    count: int
    message: str
    fix: str
    lines: list[int] = Field(default_factory=list)
    """The first of them, at most 20."""
    examples: list[str] = Field(default_factory=list)
    """Short excerpts; personal data is masked."""


class Health(Record):
    """The data's health: counts that add up (read = kept + sum of skipped), findings and balance."""

    source: str
    read: int
    kept: int
    skipped: dict[str, int]
    """Rows left out, by reason."""
    detected: dict[str, str]
    """What was guessed: format, encoding, delimiter, text column, label column ..."""
    labels: dict[str, int]
    splits: dict[str, int] = Field(default_factory=dict)
    findings: list[Finding] = Field(default_factory=list)
    tokens: dict[str, float] = Field(default_factory=dict)
    """median, p95, max, limit, cut_rows, cut_tokens of the chosen model's tokens, as far as known."""
    tokens_per_word: dict[str, float] = Field(default_factory=dict)
    """By language code."""
