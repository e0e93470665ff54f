"""A registry of one folder, made of tiny wheels, and cards that point into it."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from seedbed.catalog.cards import Card, Source
from seedbed.settings import settings

MakeWheel = Callable[..., Path]
MakeCard = Callable[..., Card]
FILES = {"config.json": b'{"a": 1}\n', "part/weights.bin": bytes(range(256)) * 400}


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for models in place of the cache."""
    folder = tmp_path / "models"
    monkeypatch.setenv("SEEDBED_MODELS", str(folder))
    settings.cache_clear()
    return folder


@pytest.fixture
def make_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeWheel:
    """Builds a wheel in a folder that is pip's only index."""
    folder = tmp_path / "registry"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))

    def make(name: str = "tiny-model", version: str = "1.2", files: dict[str, bytes] | None = None) -> Path:
        under = name.replace("-", "_")
        info = f"{under}-{version}.dist-info"
        content = {f"{under}/model/{path}": data for path, data in (files or FILES).items()}
        content[f"{under}/__init__.py"] = b""
        content[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
        content[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        record = "".join(
            f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
            for path, data in content.items())
        content[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
        wheel = folder / f"{under}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, data in content.items():
                archive.writestr(path, data)
        return wheel

    return make


@pytest.fixture
def make_card() -> MakeCard:
    def make(address: str = "pypi:tiny-model==1.2!tiny_model/model/", hashes: dict[str, str] | None = None,
             **more: object) -> Card:
        known = {path: sha(data) for path, data in FILES.items()} if hashes is None else hashes
        source = Source(address=address, format="safetensors", stored="fp32", sha256=known)
        values: dict[str, object] = {"id": "tiny", "title": "Tiny", "licence": "MIT", "commercial": True,
                                     "languages": ["en"], "tasks": ["classify"], "good_for": "tests",
                                     "bad_for": "work", "sources": [source]}
        return Card.model_validate({**values, **more})

    return make


class Listener:
    """Remembers what was reported."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.finished: list[str] = []
        self.amounts: dict[str, float] = {}
        self.notes: list[str] = []

    def start(self, work: str, total: float | None = None, unit: str = "") -> None:
        self.started.append(work)
        self.amounts[work] = 0

    def advance(self, work: str, amount: float = 1) -> None:
        self.amounts[work] += amount

    def metric(self, work: str, **values: float) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)

    def done(self, work: str) -> None:
        self.finished.append(work)
