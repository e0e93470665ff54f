"""OpenVINO for models that write: a folder that OpenVINO GenAI opens, weights at 8 or 4 bits."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...engines.genai import MODEL, OpenVinoFile
from ...models.doctor import ends_of
from . import graph
from .writers import Opened, refuse

if TYPE_CHECKING:
    from ...engines.author import Author
    from ...models.template import Row
    from ..writer_reference import Reference

FAMILIES = ("llama", "mistral", "qwen2", "phi3", "gemma3_text")
"""Families that were tried, with windows and without."""
BESIDE = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json")
LONGEST = 384
"""Tokens of a row that 4 bits are fitted to."""
HINT = "Export to another target (gguf), or use the bundle itself: seedbed generate BUNDLE"


class OpenVinoWriterTarget:
    """Traced by OpenVINO with keys and values inside, compressed by NNCF; its tokenizer is a graph as well."""

    name = "openvino"
    precisions: tuple[str, ...] = ("int8", "int4")
    packages: tuple[str, ...] = ("openvino", "nncf", "openvino_genai", "openvino_tokenizers")

    def refuse(self, model: Path, precision: str) -> None:
        """What would come out wrong.

        Raises:
            UserError: the family is not one of those that were tried, or its tokenizer has no tokenizer.json.
        """
        refuse(model, "OpenVINO GenAI", FAMILIES, HINT, windowed=FAMILIES)

    def write(self, model: Path, folder: Path, precision: str, facts: Mapping[str, str],
              reference: Reference | None = None) -> None:
        """Write the model, tokenizer and detokenizer as graphs, and what GenAI reads beside them."""
        import openvino
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from ...models.grid import lies_on
        from .stateful import converted

        tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        with graph.silently():
            from openvino_tokenizers import convert_tokenizer

            root = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, local_files_only=True)
            width = root.config.hidden_size
            held = lies_on(root)  # there is nothing to fit: the weights are such as 4 bits hold
            made = compressed(converted(root), precision, width, reference.learned if reference and not held else ())
            for name, said in facts.items():
                made.set_rt_info(said, ["seedbed", name])
            openvino.save_model(made, folder / MODEL, compress_to_fp16=False)
            parts = convert_tokenizer(tokenizer, with_detokenizer=True)
            for name, part in zip(("tokenizer", "detokenizer"), parts, strict=True):
                openvino.save_model(part, folder / f"openvino_{name}.xml")
        for name in BESIDE:
            if (model / name).is_file():
                (folder / name).write_bytes((model / name).read_bytes())
        _generation(model, folder, sorted(ends_of(model, tokenizer)))

    @contextlib.contextmanager
    def opened(self, folder: Path, model: Path) -> Iterator[Opened]:
        """OpenVINO with the file open, its own tokenizer, and OpenVINO GenAI."""
        runtime = OpenVinoFile(folder)
        yield Opened(runtime, runtime.render(), runtime.genai(), windows=runtime.windows)

    def author(self, folder: Path, model: Path) -> Author:
        """Writes with the file."""
        from ...engines.genai import OpenVinoWriter

        return OpenVinoWriter(folder, model)


def compressed(made: Any, precision: str, width: int, rows: Sequence[Row] = ()) -> Any:
    """Weights at 8 bits, a scale a row; or at 4, a scale a group, and the table of words at 8.

    Args:
        rows: that the model has learned from. At 4 bits NNCF finds scales by which the products of such rows change
            least, and stretches the columns that they use most (AWQ: Lin et al. 2024). None: by the weights alone.
    """
    import nncf

    from ...models.grid import group_of

    if precision == "int8":
        return nncf.compress_weights(made, mode=nncf.CompressWeightsMode.INT8_ASYM)
    seen = {"dataset": nncf.Dataset([_inputs(row.ids[:LONGEST]) for row in rows]), "subset_size": len(rows),
            "awq": True, "scale_estimation": True} if rows else {}
    return nncf.compress_weights(made, mode=nncf.CompressWeightsMode.INT4_ASYM, group_size=group_of(width) or -1,
                                 ratio=1.0, **seen)


def _inputs(ids: list[int]) -> dict[str, NDArray[Any]]:
    """What the graph takes to read a text."""
    count = len(ids)
    return {"input_ids": np.array([ids], np.int64), "attention_mask": np.ones((1, count), np.int64),
            "position_ids": np.arange(count, dtype=np.int64)[None], "beam_idx": np.zeros(1, np.int32)}


def _generation(model: Path, folder: Path, ends: list[int]) -> None:
    """`generation_config.json` with every token that ends an answer."""
    file = model / "generation_config.json"
    values = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    (folder / file.name).write_text(json.dumps(values | {"eos_token_id": ends}, indent=1), encoding="utf-8")
