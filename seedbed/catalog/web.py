"""What a page needs to run a model in a browser: files of two npm packages, fetched once and kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..progress import SILENT, Progress
from ..settings import settings
from .cards import Source
from .install import Parcel, install


@dataclass(frozen=True)
class WebPackage:
    """A package that becomes part of a page.

    Args:
        name, version: in the registry.
        licence: SPDX name.
        files: path below `folder`, its SHA-256.
        folder: inside the package.
        size: bytes of the files.
    """

    name: str
    version: str
    licence: str
    files: dict[str, str]
    folder: str
    size: int

    @property
    def parcel(self) -> Parcel:
        """What to fetch."""
        place = self.name.rpartition("/")[2]
        folder = settings().home / "web" / f"{place}-{self.version}"
        source = Source(address=f"npm:{self.name}=={self.version}!{self.folder}", format="safetensors", stored="fp32",
                        size=self.size, sha256=self.files)
        return Parcel(folder.name, folder, (source,), f"Delete the folder {folder} and run the command again.",
                      "the same command again")


RUNTIME = WebPackage("onnxruntime-web", "1.30.0", "MIT", {
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}, "package/dist/", 14_312_951)
"""ONNX Runtime for browsers, on the processor alone."""
TOKENIZERS = WebPackage("@huggingface/tokenizers", "0.2.0", "Apache-2.0", {
    "dist/tokenizers.min.mjs": "258e46332101335ce8d95aed7745b19ac3b46d37f3e159a89cf894c2ea9b1d3a",
    "LICENSE": "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4",
}, "package/", 47_958)
"""Reads `tokenizer.json` in a browser."""


@dataclass(frozen=True)
class WebParts:
    """Where the fetched files lie."""

    runtime: Path
    """ONNX Runtime, a JavaScript module that brings its own loader."""
    wasm: Path
    """What that module runs."""
    tokenizers: Path
    """A JavaScript module."""
    licence: Path
    """Of `tokenizers`."""


def pull_web(progress: Progress = SILENT) -> WebParts:
    """Both packages' files, fetched if they are not there. Afterwards nothing needs a network.

    Raises:
        UserError: npm is not installed; and see `install.install`.
    """
    runtime, tokenizers = (install(one.parcel, progress) for one in (RUNTIME, TOKENIZERS))
    return WebParts(runtime / "ort.wasm.bundle.min.mjs", runtime / "ort-wasm-simd-threaded.wasm",
                    tokenizers / "dist" / "tokenizers.min.mjs", tokenizers / "LICENSE")
