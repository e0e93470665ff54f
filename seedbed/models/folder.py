"""Model folders as transformers writes them; a GGUF file is turned into one, once."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import filelock
import torch

from ..errors import CorruptFile, NotFound, lacking
from .cuts import set_cut

CONVERTED = "converted-2"
"""Sub-folder beside a GGUF file that holds the same model as safetensors; the number changes with how it is made."""


def open_folder(folder: Path) -> Path:
    """The folder that transformers can open: `folder` itself, or what a GGUF file in it was turned into.

    Raises:
        NotFound: no model in the folder.
        CorruptFile: the GGUF file cannot be read.
    """
    from transformers.utils.logging import disable_progress_bar
    disable_progress_bar()  # rooms never print
    if (folder / "config.json").is_file():
        return folder
    files = sorted(folder.rglob("*.gguf"))
    if not files:
        raise NotFound(f"{folder} holds neither config.json nor a GGUF file.",
                       "Fetch a model with `seedbed models pull ID`, or name its folder.")
    target = folder / CONVERTED
    with filelock.FileLock(str(folder / ".convert.lock")):
        if not (target / "config.json").is_file():
            _convert(files[0], target)
    return target


def _convert(file: Path, target: Path) -> None:
    """Dequantize to bf16 safetensors under a temporary name, then rename."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, modeling_gguf_pytorch_utils
    modeling_gguf_pytorch_utils.tqdm = _no_bar  # rooms never print, and this bar has no switch
    temporary = target.with_name(CONVERTED + ".part")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        read = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        set_cut(tokenizer.backend_tokenizer, _cut(file))  # transformers takes GPT-2's for all
    except Exception as problem:  # whatever a parser says of bytes that are no model
        if lacking(problem):
            raise
        raise CorruptFile(f"{file} cannot be read as a model: {problem}.",
                          "Fetch it again with `seedbed models pull ID --force`.") from problem
    # transformers refuses to save a model that was read from GGUF; a fresh model of the same config is saved instead
    del read.config.quantization_config
    model = type(read)(read.config)
    model.load_state_dict(read.state_dict())
    model.to(torch.bfloat16).save_pretrained(temporary)
    tokenizer.save_pretrained(temporary)
    temporary.rename(target)
    shutil.rmtree(target.with_name(CONVERTED.partition("-")[0]), ignore_errors=True)


def _cut(file: Path) -> str:
    """How the file's tokenizer cuts texts, by name; empty where it does not say."""
    from gguf import GGUFReader

    field = GGUFReader(file).get_field("tokenizer.ggml.pre")
    return str(field.contents()) if field else ""


def _no_bar(items: Iterable[Any], **options: Any) -> Iterable[Any]:
    return items


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Within it transformers reports no weights that are left over or missing: rooms never print, and a body without
    its head always leaves some over."""
    from transformers.utils import logging
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def pooling_of(folder: Path) -> tuple[str, bool, int | None]:
    """How a sentence-transformers folder pools: (`mean`, `cls` or `last`), normalized?, longest input.

    Folders without that description: encoders pool the mean, decoders take the last token.
    """
    pooling, normalized, longest = "", False, None
    modules = folder / "modules.json"
    if modules.is_file():
        for module in json.loads(modules.read_text()):
            kind = module["type"].rsplit(".", 1)[-1]
            if kind == "Pooling":
                flags = json.loads((folder / module["path"] / "config.json").read_text())
                pooling = "cls" if flags.get("pooling_mode_cls_token") else (
                    "last" if flags.get("pooling_mode_lasttoken") else "mean")
            normalized |= kind == "Normalize"
        sizes = folder / "sentence_bert_config.json"
        if sizes.is_file():
            longest = json.loads(sizes.read_text()).get("max_seq_length")
    return pooling, normalized, longest


def write_pooling(folder: Path, pooling: str, normalized: bool, longest: int, width: int) -> None:
    """Beside a saved body, what makes it a sentence-transformers folder: `pooling_of` reads the same back."""
    kinds = {"": "Transformer", "1_Pooling": "Pooling"} | ({"2_Normalize": "Normalize"} if normalized else {})
    (folder / "modules.json").write_text(json.dumps([
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds.items())], indent=1))
    for path in kinds:
        (folder / path).mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({
        "word_embedding_dimension": width, "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean", "pooling_mode_lasttoken": pooling == "last"}, indent=1))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": longest, "do_lower_case": False}))
