"""Models on the Hugging Face hub: `hub:OWNER/NAME@REVISION`, or `hub:OWNER/NAME@REVISION!file.gguf` for one file."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable
from fnmatch import fnmatchcase
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
        from huggingface_hub import HfApi, snapshot_download
        from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

        allow = [found["file"]] if found["file"] else [*NEEDED, WEIGHTS[source.format]]
        were_off = are_progress_bars_disabled()
        disable_progress_bars()  # rooms never print
        try:
            info = HfApi().model_info(found["repo"], revision=found["revision"], files_metadata=True)
            wanted = [one for one in info.siblings or [] if _among(one.rfilename, allow)
                      and not _among(one.rfilename, NOT_NEEDED)]
            if not wanted:
                raise NotFound(f"{source.address} holds no file of the kind {source.format}.", "Mend the model card.")
            total = sum(one.size or 0 for one in wanted)
            with watched(f"download {found['repo']}", files, total, progress):
                snapshot_download(found["repo"], revision=info.sha, local_dir=files,
                                  allow_patterns=[one.rfilename for one in wanted])
        except Exception as problem:
            known = _failure(found["repo"], problem)
            if known is None:
                raise
            raise known from problem
        finally:
            if not were_off:
                enable_progress_bars()
        shutil.rmtree(files / ".cache", ignore_errors=True)
        for one in wanted:
            _check(files / one.rfilename, one, found["repo"])
        check(source, files)
        return str(info.sha)


def _among(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _check(path: Path, one: Any, repo: str) -> None:
    """Hold a file against the hub's own record: SHA-256 of a large file, the git blob id of a small one."""
    if one.lfs is not None:
        same = sha256(path) == one.lfs.sha256
    elif one.blob_id:
        content = path.read_bytes()
        same = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == one.blob_id
    else:
        same = one.size is None or path.stat().st_size == one.size
    if not same:
        path.unlink()
        raise CorruptFile(f"{one.rfilename} of {repo} arrived damaged.",
                          "Fetch it again; only that file is missing now.")


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
