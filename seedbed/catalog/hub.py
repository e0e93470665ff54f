"""Models on the Hugging Face hub: `hub:OWNER/NAME@REVISION`, or `hub:OWNER/NAME@REVISION!file.gguf` for one file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from logging import CRITICAL
from pathlib import Path
from typing import Any

from ..errors import CorruptFile, DataError, NotFound, Offline, UserError
from ..progress import Progress
from .cards import Source
from .sources import check, sha256, watched

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
        from huggingface_hub import HfApi
        from huggingface_hub.utils import logging

        verbosity = logging.get_verbosity()
        logging.set_verbosity(CRITICAL)  # rooms never print; at this level it draws no bars either
        allow = [found["file"]] if found["file"] else [*NEEDED, WEIGHTS[source.format]]
        try:
            info = HfApi().model_info(found["repo"], revision=found["revision"], files_metadata=True)
            wanted = [one for one in info.siblings or [] if _among(one.rfilename, allow)
                      and not _among(one.rfilename, NOT_NEEDED)]
            if not wanted:
                raise NotFound(f"{source.address} holds no file of the kind {source.format}.", "Mend the model card.")
            total = sum(one.size or 0 for one in wanted)
            with watched(f"download {found['repo']}", files.parent, total, progress):
                for one in wanted:
                    _download(found["repo"], str(info.sha), one, files / one.rfilename, work)
        except Exception as problem:
            known = _failure(found["repo"], problem)
            if known is None:
                raise
            raise known from problem
        finally:
            logging.set_verbosity(verbosity)
        check(source, files)
        return str(info.sha)


def _download(repo: str, revision: str, one: Any, target: Path, work: Path) -> None:
    """One file, from where an earlier attempt stopped.

    The hub's own `snapshot_download` begins a file anew in every process (2.4), which hurts with gigabytes. Our lock
    lets one process in, so a part can be kept under the name of its content.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    if target.is_file():  # checked before it got this name
        return
    part = work / f"{one.lfs.sha256 if one.lfs else one.blob_id}.part"
    with part.open("ab") as stream:
        have = stream.tell()
        if one.size is None or have < one.size:
            http_get(hf_hub_url(repo, one.rfilename, revision=revision), stream, resume_size=have,
                     headers=build_hf_headers(), expected_size=one.size, displayed_filename=one.rfilename)
    if not _right(part, one):
        part.unlink()
        raise CorruptFile(f"{one.rfilename} of {repo} arrived damaged.",
                          "Fetch it again; only that file is missing now.")
    target.parent.mkdir(parents=True, exist_ok=True)
    part.replace(target)


def _among(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


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
    if isinstance(problem, errors.GatedRepoError):
        return UserError(f"{repo} is gated: its terms must be accepted first.",
                         f"Accept them at {page}, then sign in with: hf auth login")
    if isinstance(problem, errors.RevisionNotFoundError):
        return NotFound(f"{repo} has no such revision.", f"Look at {page} and mend the model card.")
    if isinstance(problem, errors.RepositoryNotFoundError):
        return NotFound(f"The hub has no {repo}, or it is private.", "Check the name, or sign in with: hf auth login")
    if isinstance(problem, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        return Offline(f"The hub cannot be reached for {repo}.", "Check the connection.")
    if isinstance(problem, errors.HfHubHTTPError):
        status = problem.response.status_code if problem.response is not None else "no"
        if status in (401, 403):
            return UserError(f"The hub refuses {repo} (status {status}).",
                             f"Accept the terms at {page}, then sign in with: hf auth login")
        return Offline(f"The hub answers {repo} with status {status}.", "Try again later.")
    no_answer = next(c for c in errors.HfHubHTTPError.__mro__ if c.__name__ == "HTTPError")  # its HTTP client's base
    if isinstance(problem, no_answer | ConnectionError | TimeoutError):
        return Offline(f"The hub cannot be reached for {repo}.", "Check the connection.")
    return None
