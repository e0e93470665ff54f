"""GGUF: one file for llama.cpp, Ollama and all that is built on them, and a Modelfile beside it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import UserError
from ...models.cuts import NAMES
from ...models.doctor import ends_of
from ...settings import settings
from ...tasks.classify import Floats
from ..gguf_pack import EXACT, FILE_TYPES, PRECISIONS, packed, type_of
from ..gguf_words import kind_of, write_words
from ..modelfile import modelfile
from .writers import READ, Opened, refuse

if TYPE_CHECKING:
    from ...engines.author import Author
    from ..writer_reference import Reference

FILE, MODELFILE = "model.gguf", "Modelfile"
FAMILIES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2"}
"""llama.cpp's name of each family that is written here."""
TURNED = {"llama": True, "qwen2": False}
"""Where llama.cpp turns neighbours, and transformers the two halves of a head: rows of queries and keys then stand in
another order."""
ROPES = ("default", "linear", "llama3")
Q = "Export to another target (openvino), or use the bundle itself: seedbed generate BUNDLE"


class GgufTarget:
    """Quantized by llama.cpp's own code, with a writer of the file of our own: no converter script."""

    name = "gguf"
    precisions: tuple[str, ...] = PRECISIONS
    packages: tuple[str, ...] = ("gguf", "xllamacpp")

    def refuse(self, model: Path, precision: str) -> None:
        """What would come out wrong.

        Raises:
            UserError: llama.cpp reads the family otherwise, or it is not written here.
        """
        from transformers import AutoTokenizer

        config = refuse(model, "GGUF", FAMILIES, Q, "lets it see all of a text")
        if (kind := _rope(config)["rope_type"]) not in ROPES:
            raise UserError(f"Positions of the kind {kind} are not exported to GGUF here.", Q)
        if config.hidden_act != "silu":
            raise UserError(f"The activation {config.hidden_act} is not what llama.cpp computes for "
                            f"{config.model_type}.", Q)
        tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        if kind_of(tokenizer) is None:
            raise UserError("The tokenizer is none that llama.cpp is known to read as it is: neither a SentencePiece "
                            f"BPE nor one of bytes that cuts texts as {', '.join(NAMES)} do.", Q)

    def write(self, model: Path, folder: Path, precision: str, facts: Mapping[str, str],
              reference: Reference | None = None) -> None:
        """Write `model.gguf` and `Modelfile`.

        Args:
            model: folder of the reference.
            folder: exists and is empty.
            facts: of the bundle, for the file's metadata: `name`, `licence`, and hashes.
            reference: the model, opened; its rows say how much an error in each column of a weight matters.
        """
        import gguf
        from transformers import AutoConfig, AutoTokenizer

        config = AutoConfig.from_pretrained(model, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        family = FAMILIES[config.model_type]
        out = gguf.GGUFWriter(str(folder / FILE), family)
        _general(out, config, precision, facts)
        importance = reference.importance if reference and precision not in EXACT else {}
        if reference and importance:  # as llama-quantize notes it
            out.add_uint32("quantize.imatrix.entries_count", len(importance))
            out.add_uint32("quantize.imatrix.chunks_count", len(reference.learned))
        write_words(out, tokenizer, config.vocab_size, sorted(ends_of(model, tokenizer)))
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[family.upper()], config.num_hidden_layers)
        tied = bool(config.tie_word_embeddings)
        for name, values in _tensors(model, config):
            if name == "lm_head.weight" and tied:
                continue
            told = "rope_freqs.weight" if name == "rope_freqs.weight" else names.get_name(
                name, try_suffixes=(".weight", ".bias"))
            if told is None:
                raise UserError(f"The tensor {name} has no place in a GGUF file of the family {family}.", Q)
            data, kind = packed(values, type_of(told, values.shape, precision, config.num_hidden_layers, tied),
                                importance.get(name))
            out.add_tensor(told, data, raw_dtype=kind)
        out.write_header_to_file()
        out.write_kv_data_to_file()
        out.write_tensors_to_file()
        out.close()
        (folder / MODELFILE).write_text(modelfile(model, FILE), encoding="utf-8")

    @contextlib.contextmanager
    def opened(self, folder: Path, model: Path) -> Iterator[Opened]:
        """llama.cpp with the file open, and its server's rendering of conversations."""
        from ...engines.llama_library import LlamaFile
        from ...engines.llama_server import renderer

        with LlamaFile(folder / FILE, READ, settings().threads) as runtime:
            if not runtime.template:
                yield Opened(runtime)
                return
            with renderer(folder / FILE) as render:
                yield Opened(runtime, render)

    def author(self, folder: Path, model: Path) -> Author:
        """Writes with the file."""
        from ...engines.llama_cpp import GgufWriter

        return GgufWriter(folder / FILE, model)


def _general(out: Any, config: Any, precision: str, facts: Mapping[str, str]) -> None:
    """What llama.cpp must know of the shape, and what people want to know of the file."""
    import gguf

    out.add_name(facts.get("name", "model"))
    if licence := facts.get("licence"):
        out.add_license(licence)
    for name in ("base_model", "base_hash", "data_hash", "model_hash"):
        if facts.get(name):
            out.add_string(f"seedbed.{name}", facts[name])
    out.add_file_type(FILE_TYPES[precision])
    out.add_quantization_version(gguf.GGML_QUANT_VERSION)
    heads, width = config.num_attention_heads, _head(config)
    out.add_block_count(config.num_hidden_layers)
    out.add_context_length(config.max_position_embeddings)
    out.add_embedding_length(config.hidden_size)
    out.add_feed_forward_length(config.intermediate_size)
    out.add_head_count(heads)
    out.add_head_count_kv(config.num_key_value_heads or heads)
    out.add_layer_norm_rms_eps(config.rms_norm_eps)
    out.add_vocab_size(config.vocab_size)
    out.add_rope_dimension_count(width)
    if width * heads != config.hidden_size:
        out.add_key_length(width)
        out.add_value_length(width)
    rope = _rope(config)
    out.add_rope_freq_base(float(rope["rope_theta"]))
    if rope["rope_type"] == "linear":
        out.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        out.add_rope_scaling_factor(float(rope["factor"]))


def _tensors(model: Path, config: Any) -> Iterator[tuple[str, Floats]]:
    """Each tensor of the model's files in fp32, by its name in transformers; rows in llama.cpp's order."""
    from safetensors import safe_open

    turned = TURNED[FAMILIES[config.model_type]]
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads or config.num_attention_heads}
    for file in sorted(model.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            for name in sorted(opened.keys()):
                values = opened.get_tensor(name).float().numpy()
                part = name.split(".")[-2]
                yield name, turn(values, heads[part]) if turned and part in heads else values
    if _rope(config)["rope_type"] == "llama3":
        yield "rope_freqs.weight", _llama3(config)


def turn(values: Floats, heads: int) -> Floats:
    """Rows of queries or keys, in pairs of neighbours instead of two halves of a head. [heads x width, ...]"""
    return np.ascontiguousarray(values.reshape(heads, 2, -1, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape))


def _llama3(config: Any) -> Floats:
    """By how much each frequency is divided (Llama 3.1), as `rope_freqs` has it. [head width / 2]"""
    rope, width = _rope(config), _head(config)
    factor, low, high = (float(rope[name]) for name in ("factor", "low_freq_factor", "high_freq_factor"))
    old = float(rope["original_max_position_embeddings"])
    out = []
    for place in range(0, width, 2):
        wave = 2 * math.pi * float(rope["rope_theta"]) ** (place / width)
        smooth = (old / wave - low) / (high - low)
        out.append(1.0 if wave < old / high else factor if wave > old / low else
                   1 / ((1 - smooth) / factor + smooth))
    return np.array(out, np.float32)


def _rope(config: Any) -> dict[str, Any]:
    rope = dict(getattr(config, "rope_parameters", None) or {})
    return {"rope_type": "default", "rope_theta": getattr(config, "rope_theta", 10_000.0), **rope}


def _head(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
