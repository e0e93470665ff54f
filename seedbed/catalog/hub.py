"""Models on the Hugging Face hub: `hub:OWNER/NAME@REVISION`, or `hub:OWNER/NAME@REVISION!file.gguf` for one file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from logging import CRITICAL
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..errors import CorruptFile, DataError, NotFound, Offline, UserError
from ..progress import Progress
from .cards import Source
from .sources import inside, sha256

ADDRESS = re.compile(r"(?P<repo>[^/@!]+/[^/@!]+)@(?P<revision>[^!]+)(!(?P<file>.+))?")
NEEDED = ("*.json", "*.txt", "*.model", "*.jinja", "LICENSE*", "NOTICE*", "README.md")
WEIGHTS = {"safetensors": "*.safetensors", "pytorch": "*.bin", "gguf": "*.gguf"}
NOT_NEEDED = ("onnx/*", "openvino/*", "original/*", "consolidated*", "runs/*", "coreml/*",
              "*/*.safetensors", "*/*.bin", "training_args.bin", "optimizer.bin")
"""The same weights in other forms, and what training left."""


class Hub:
    """Files of a repository at one revision. A broken download goes on where it stopped."""

    remote = True

    def fetch(self, source: Source, files: Path, work: Path, progress: Progress) -> str:
        found = ADDRESS.fullmatch(source.place)
        if not found:
            raise DataError(f"{source.address} is not an address on the hub.", "Write it as hub:OWNER/NAME@REVISION.")
        from huggingface_hub import HfApi, constants
        from huggingface_hub.utils import logging

        repo, name, verbosity = found["repo"], f"download {found['repo']}", logging.get_verbosity()
        logging.set_verbosity(CRITICAL)  # rooms never print; at this level it draws no bars either
        try:
            info = HfApi().model_info(repo, revision=found["revision"], files_metadata=True,
                                      timeout=constants.HF_HUB_ETAG_TIMEOUT)
            wanted = {inside(files, one.rfilename): one for one in info.siblings or []
                      if _needed(one.rfilename, found["file"], WEIGHTS[source.format])}
            if not any(found["file"] or path.match(WEIGHTS[source.format]) for path in wanted):
                raise NotFound(f"{source.address} holds no file of the kind {source.format}.", "Mend the model card.")
            for path in [p for p in files.rglob("*") if p.is_file() and p not in wanted]:
                path.unlink()  # of an earlier attempt, when `main` was another revision
            progress.start(name, sum(one.size or 0 for one in wanted.values()), "bytes")
            for target, one in wanted.items():
                _download(repo, str(info.sha), one, target, work, lambda size: progress.advance(name, size))
            progress.done(name)
        except Exception as problem:
            known = _failure(repo, problem)
            if known is None:
                raise
            raise known from problem
        finally:
            logging.set_verbosity(verbosity)
        return str(info.sha)


def _needed(name: str, file: str | None, weights: str) -> bool:
    """Whether a file is fetched: it is the one that the address names, or else loading needs it."""
    if file:
        return name == file
    needed, not_needed = (any(fnmatchcase(name, pattern) for pattern in patterns)
                          for patterns in ((*NEEDED, weights), NOT_NEEDED))
    return needed and not not_needed


class _Told:
    """A file that tells how much is written into it."""

    def __init__(self, stream: BinaryIO, told: Callable[[int], None]) -> None:
        self.stream, self.told = stream, told

    def write(self, content: bytes) -> int:
        self.told(len(content))
        return self.stream.write(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _download(repo: str, revision: str, one: Any, target: Path, work: Path, told: Callable[[int], None]) -> None:
    """One file, from where an earlier attempt stopped.

    The hub's own `snapshot_download` begins a file anew in every process (2.4), which hurts with gigabytes. Our lock
    lets one process in, so a part can be kept under the name of its content.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    if target.is_file() and _right(target, one):
        told(target.stat().st_size)
        return
    part = work / f"{one.lfs.sha256 if one.lfs else one.blob_id}.part"
    with part.open("ab") as stream:
        have = stream.tell()
        told(have)
        if one.size is None or have < one.size:
            http_get(hf_hub_url(repo, one.rfilename, revision=revision), cast(BinaryIO, _Told(stream, told)),
                     resume_size=have, headers=build_hf_headers(), expected_size=one.size,
                     displayed_filename=one.rfilename)
    if not _right(part, one):
        part.unlink()
        raise CorruptFile(f"{one.rfilename} of {repo} arrived damaged.",
                          "Fetch it again; only that file is missing now.")
    target.parent.mkdir(parents=True, exist_ok=True)
    part.replace(target)


def _right(path: Path, one: Any) -> bool:
    """Hold a file against the hub's own record: SHA-256 of a large file, the git blob id of a small one."""
    if one.lfs is not None:
        return sha256(path) == str(one.lfs.sha256)
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == str(one.blob_id)


def _failure(repo: str, problem: Exception) -> UserError | None:
    """The hub's error as ours; None when it is something else."""
    from huggingface_hub import errors

    page = f"https://huggingface.co/{repo}"
    accept = f"Accept the terms at {page}, then sign in with: hf auth login"
    status = getattr(getattr(problem, "response", None), "status_code", None)
    if isinstance(problem, errors.GatedRepoError):
        return UserError(f"{repo} is gated: its terms must be accepted first.", accept)
    if isinstance(problem, errors.RevisionNotFoundError):
        return NotFound(f"{repo} has no such revision.", f"Look at {page} and mend the model card.")
    if isinstance(problem, errors.RepositoryNotFoundError):
        return NotFound(f"The hub has no {repo}, or it is private.", "Check the name, or sign in with: hf auth login")
    if status in (401, 403):
        return UserError(f"The hub refuses {repo} (status {status}).", accept)
    if status:
        return Offline(f"The hub answers {repo} with status {status}.", "Try again later.")
    if type(problem) is OSError and problem.errno is None:  # its words for a file of another length
        return Offline(f"The hub sent a file of {repo} only in part.", "Try again later.")
    no_answer = next(c for c in errors.HfHubHTTPError.__mro__ if c.__name__ == "HTTPError")  # its HTTP client's base
    if isinstance(problem, no_answer | ConnectionError | TimeoutError | errors.LocalEntryNotFoundError
                  | errors.OfflineModeIsEnabled):
        return Offline(f"The hub cannot be reached for {repo}.", "Check the connection.")
    return None
