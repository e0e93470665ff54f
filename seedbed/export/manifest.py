"""`bundle.json`: what a bundle says of itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from ..errors import CorruptFile, NotFound, UserError
from ..evaluate.result import Abstention
from ..records import Estimate, Record
from .beside import beside
from .certificate import Certificate

FORMAT = 2
"""Raised with every change that an older Seedbed would misread."""
MANIFEST = "bundle.json"
REFERENCE = "reference"
"""Name of the form that was trained; all others are made from it and held against it."""
CARD = "README.md"
AGAIN = "Copy the bundle again from where it was made, or make it again from its run."


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or ".." in parts or "\\" in path or ":" in parts[0]:
        raise ValueError("leads out of the bundle")
    return path


Inside = Annotated[str, AfterValidator(_inside)]
"""A relative path with forward slashes that stays in the bundle, whoever wrote the manifest."""


class BundleFile(Record):
    """One file of the bundle."""

    path: Inside
    sha256: str
    size: int
    """Bytes."""

    @classmethod
    def of(cls, path: Path, bundle: Path) -> BundleFile:
        """Of a file that lies in the bundle."""
        return cls(path=path.relative_to(bundle).as_posix(), sha256=sha256(path), size=path.stat().st_size)

    def check(self, bundle: Path, *, whole: bool = False) -> None:
        """Hold the file on disk against its size, and its hash where `whole`.

        Raises:
            CorruptFile: it is missing, cut short or changed.
        """
        path = bundle / self.path
        if not path.is_file():
            raise CorruptFile(f"{path} is missing.", AGAIN)
        if path.stat().st_size != self.size:
            raise CorruptFile(f"{path} has {path.stat().st_size:,} bytes where the bundle says {self.size:,}.", AGAIN)
        if whole and sha256(path) != self.sha256:
            raise CorruptFile(f"{path} was changed: its SHA-256 is not the one in {MANIFEST}.", AGAIN)


def files_of(bundle: Path, inside: str) -> list[BundleFile]:
    """Every file of a folder in a bundle, with its hash."""
    return [BundleFile.of(path, bundle) for path in sorted((bundle / inside).rglob("*")) if path.is_file()]


class Parity(Record):
    """The certificate that what was saved answers like what was trained, from really opening the saved model."""

    n: int = Field(ge=1)
    """Sample texts that both answered; tokens, of a model that writes or marks."""
    max_difference: float
    """Largest absolute difference between two logits (between two cosines, of a model that embeds)."""
    max_probability_difference: float
    """Largest absolute difference between two calibrated probabilities (or two cosines)."""
    agreement: float
    """Share of the texts with the same decision; of tokens with the same likeliest next word or tag; of questions
    with the same nearest document."""


class EngineEntry(Record):
    """One form in which the bundle holds the model."""

    name: str = REFERENCE
    """What `--engine` takes: `reference`, or `openvino-int8`."""
    kind: str
    folder: Inside
    files: list[BundleFile]
    parity: Parity | None = None
    """Of the reference: the saved model against the one in memory."""
    certificate: Certificate | None = None
    """Of an artefact: the exported model, in its runtime, against the reference."""
    made_from: str | None = None
    """`digest` of the form that it was exported from."""
    tools: dict[str, str] = {}
    """Versions of the packages that made it."""

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)

    @property
    def digest(self) -> str:
        """One hash over all its files, wherever the folder lies."""
        lines = sorted(f"{PurePosixPath(file.path).relative_to(self.folder)}\t{file.sha256}\n" for file in self.files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


class Manifest(Record):
    """The whole of `bundle.json`."""

    format: int
    seedbed: str
    """Version that wrote the bundle."""
    name: str
    created: str
    """UTC, ISO 8601."""
    task: dict[str, Any]
    """`to_dict` of the task, with the labels."""
    text_column: str | None = None
    """Name of the column that held the texts in training; the first guess for a file with columns."""
    base_model: str | None = None
    """Card id of the model it was trained from; None when there is none."""
    base_hash: str | None = None
    adapter_hash: str | None = None
    data_hash: str
    """`Dataset.hash` of the frozen splits."""
    scores: dict[str, Estimate]
    """By metric, on rows that neither training nor choosing saw."""
    temperature: float = Field(default=1.0, gt=0)
    """Logits are divided by it before they become probabilities."""
    abstention: Abstention | None = None
    engines: list[EngineEntry] = Field(min_length=1)
    """The first is the reference, which was trained; the others were made from it (`seedbed export`)."""
    probes: BundleFile | None = None
    """Made-up texts with the reference's answers, against which every form is proven again anywhere."""
    licences: dict[str, str]
    """Of the base model and the data, as far as known."""

    @property
    def reference(self) -> EngineEntry:
        return self.engines[0]

    @property
    def files(self) -> Iterator[BundleFile]:
        """Every file that the bundle answers for."""
        yield from (file for engine in self.engines for file in engine.files)
        if self.probes:
            yield self.probes

    def write(self, folder: Path) -> None:
        """Write `bundle.json`: all of it, or none."""
        with beside(folder / MANIFEST) as part:
            part.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
            part.replace(folder / MANIFEST)

    @classmethod
    def open(cls, folder: Path) -> Manifest:
        """Read `bundle.json`.

        Raises:
            NotFound: there is no such folder, or it is not a bundle.
            CorruptFile: the manifest cannot be read.
            UserError: a newer Seedbed wrote it.
        """
        path = folder / MANIFEST
        try:
            values = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise _not_a_bundle(folder) from None
        except ValueError as problem:
            raise CorruptFile(f"{path} cannot be read: {problem}.", AGAIN) from problem
        found = values.get("format") if isinstance(values, dict) else None
        if not isinstance(found, int):
            raise CorruptFile(f"{path} does not say which format it has.", AGAIN)
        if found > FORMAT:
            raise UserError(f"{path} has format {found}; this Seedbed reads up to {FORMAT}.",
                            "Upgrade with: pip install --upgrade seedbed")
        try:
            return cls.model_validate(values)
        except ValidationError as problem:
            first = problem.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise CorruptFile(f"{path} cannot be read: {where}: {first['msg']}.", AGAIN) from problem


def used(task: str, folder: str) -> str:
    """The line that answers with a model of a task."""
    return f'seedbed {"predict" if task in ("classify", "entities", "embed") else "generate"} {folder} "..."'


def _not_a_bundle(folder: Path) -> NotFound:
    inner = sorted(folder.glob(f"*/{MANIFEST}")) if folder.is_dir() else []
    if inner:
        return NotFound(f"{folder} is not a bundle.", f"It holds one: name {inner[0].parent}.")
    if folder.name == MANIFEST and folder.is_file():
        return NotFound(f"{folder} is a file of a bundle.", f"Name the bundle's folder: {folder.parent}.")
    state = f"{folder} is not a bundle: {MANIFEST} is missing" if folder.exists() else f"There is no bundle {folder}"
    return NotFound(f"{state}.",
                    "Name the bundle folder of a run; `seedbed run` prints it and `seedbed runs` lists it.")


def sha256(path: Path) -> str:
    """Of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
