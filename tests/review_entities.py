"""Distant labels on real text: where a patient's review names its own medicine or condition.

Not a corpus that people annotated: other medicines in a review, and other words for a condition, are not labelled, so
that no tagger can reach 1.0. Reviews of one medicine stay in one split (`group`).
"""

from __future__ import annotations

import csv
import html
import json
import re
import sys
from pathlib import Path
from typing import Any

SMALL = {"and", "or", "of", "the", "with", "for", "in", "not", "oral", "plus", "disorder", "other", "type"}


def rows(files: dict[str, Path]) -> list[dict[str, Any]]:
    """`text, label ([[start, end, "DRUG" or "CONDITION"]]), drug`, the rows of all files."""
    out = []
    for file in files.values():
        with file.open(newline="", encoding="utf-8") as opened:
            for row in csv.DictReader(opened, delimiter="\t"):
                text = html.unescape(row["review"]).strip().strip('"').strip()
                out.append({"text": text, "label": marks(text, row["drugName"], row["condition"]),
                            "drug": row["drugName"].split()[0].casefold()})
    return out


def marks(text: str, drug: str, condition: str) -> list[list[Any]]:
    """Places of the names as a whole, or of each of their telling words; never one over another."""
    out: list[list[Any]] = []
    for name, label in ((drug, "DRUG"), (condition, "CONDITION")):
        parts = [part for part in re.findall(r"[^\W\d_]{4,}", name) if part.casefold() not in SMALL]
        for term in [name.strip(), *parts]:
            if len(term) > 3:
                for match in re.finditer(rf"(?<!\w){re.escape(term)}(?!\w)", text, re.IGNORECASE):
                    if all(match.end() <= start or end <= match.start() for start, end, _ in out):
                        out.append([match.start(), match.end(), label])
    return sorted(out)


def write(files: dict[str, Path], out: Path) -> Path:
    """As doccano exports it."""
    out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows(files)), encoding="utf-8")
    return out


if __name__ == "__main__":
    from seedbed.catalog.datasets import pull_dataset
    print(write(pull_dataset("patient-reviews"), Path(sys.argv[1])))
