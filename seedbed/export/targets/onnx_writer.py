"""ONNX for models that write: a folder that ONNX Runtime GenAI opens, weights in fp32, or at 8 or 4 bits."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...engines.onnx_genai import CONFIG, OnnxFile
from ...errors import UserError
from ...models.doctor import ends_of
from .writers import READ, Opened, refuse

if TYPE_CHECKING:
    from ...engines.author import Author
    from ..writer_reference import Reference

RUNTIME = "ONNX Runtime GenAI"
FAMILIES = ("llama", "mistral", "qwen2")
"""Families that were tried: their attention sees all that came before."""
HEAD = 16
ACCURACY = 4
"""Of products of 4- and 8-bit weights: activations at 8 bits, which is the fastest."""
BUILD = """
import os, runpy, sys
os.environ["HF_HUB_OFFLINE"] = "1"
sys.argv[0] = "builder"
runpy.run_module("onnxruntime_genai.models.builder", run_name="__main__")
"""
HINT = "Export to another target (gguf, openvino), or use the bundle itself: seedbed generate BUNDLE"


class OnnxWriterTarget:
    """Written by ONNX Runtime GenAI's own builder, in a process of its own: it changes Python's paths and prints."""

    name = "onnx"
    precisions: tuple[str, ...] = ("int8", "int4", "fp32")
    packages: tuple[str, ...] = ("onnxruntime_genai", "onnxruntime", "onnx_ir")

    def refuse(self, model: Path, precision: str) -> None:
        """What would come out wrong.

        Raises:
            UserError: the family is not one of those that were tried, or its tokenizer has no tokenizer.json.
        """
        config = refuse(model, RUNTIME, FAMILIES, HINT)
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        if width % HEAD:
            raise UserError(f"{RUNTIME} takes heads whose width is a multiple of {HEAD}, and this model's is "
                            f"{width}.", HINT)

    def write(self, model: Path, folder: Path, precision: str, facts: Mapping[str, str],
              reference: Reference | None = None) -> None:
        """Write `model.onnx` with its weights, tokenizer, and `genai_config.json`."""
        from transformers import AutoTokenizer

        with tempfile.TemporaryDirectory() as place:
            words = [sys.executable, "-c", BUILD, "-i", str(model), "-o", str(folder), "-p", precision, "-e", "cpu",
                     "-c", place, "--extra_options", "hf_token=false", f"accuracy_level={ACCURACY}"]
            done = subprocess.run(words, capture_output=True, encoding="utf-8", errors="replace",
                                  stdin=subprocess.DEVNULL)
        if done.returncode:
            told = [line for line in done.stderr.splitlines() if line.strip()]
            raise ValueError(told[-1] if told else f"the builder ended with {done.returncode}")
        tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        file = folder / CONFIG
        said = json.loads(file.read_text(encoding="utf-8"))
        said["model"]["eos_token_id"] = sorted(ends_of(model, tokenizer))
        file.write_text(json.dumps(said, indent=1), encoding="utf-8")
        (folder / "seedbed.json").write_text(json.dumps(dict(facts), indent=1), encoding="utf-8")

    @contextlib.contextmanager
    def opened(self, folder: Path, model: Path) -> Iterator[Opened]:
        """ONNX Runtime GenAI with the folder open, its own tokenizer, and its own way of writing."""
        runtime = OnnxFile(folder, READ)
        yield Opened(runtime, runtime.render(), runtime.genai())

    def author(self, folder: Path, model: Path) -> Author:
        """Writes with the folder."""
        from ...engines.onnx_genai import OnnxWriter

        return OnnxWriter(folder, model)
