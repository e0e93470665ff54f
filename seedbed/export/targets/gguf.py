"""GGUF: one file for llama.cpp, Ollama and all that is built on them, and a Modelfile beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UserError
from ...models.cuts import NAMES
from ...models.doctor import ends_of
from ...settings import settings
from ...tasks.classify import Floats
from ..gguf_experts import Qwen2Moe
from ..gguf_family import FREQUENCIES, Family, Llama, Qwen2
from ..gguf_fused import Bloom, Falcon
from ..gguf_gemma import Gemma2, Gemma3
from ..gguf_pack import EXACT, FILE_TYPES, PRECISIONS, packed, type_of
from ..gguf_words import kind_of, write_words
from ..modelfile import modelfile
from .writers import Opened, most_read, refuse

if TYPE_CHECKING:
    from ...engines.author import Author
    from ..writer_reference import Reference

FILE, MODELFILE = "model.gguf", "Modelfile"
FAMILIES: dict[str, Family] = {"llama": Llama(), "mistral": Llama(), "qwen2": Qwen2(), "gemma3_text": Gemma3(),
                               "gemma2": Gemma2(), "falcon": Falcon(), "qwen2_moe": Qwen2Moe(), "bloom": Bloom()}
"""How llama.cpp has each family that is written here."""
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

        config = refuse(model, "GGUF", FAMILIES, Q, "lets it see all of a text",
                        [name for name, family in FAMILIES.items() if family.windowed], file="")
        if said := FAMILIES[config.model_type].refusal(config):
            raise UserError(said, Q)
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
        out = gguf.GGUFWriter(str(folder / FILE), family.name)
        _general(out, precision, facts)
        family.describe(out, config)
        importance = reference.importance if reference and precision not in EXACT else {}
        if reference and importance:  # as llama-quantize notes it
            out.add_uint32("quantize.imatrix.entries_count", len(importance))
            out.add_uint32("quantize.imatrix.chunks_count", len(reference.learned))
        write_words(out, tokenizer, config.vocab_size, sorted(ends_of(model, tokenizer)))
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[family.name.upper()], config.num_hidden_layers)
        tied = bool(config.tie_word_embeddings and not family.headed)
        for name, values in family.tensors(_stored(model), config):
            if name == "lm_head.weight" and tied:
                continue
            told = name if name == FREQUENCIES else next(filter(None, (
                names.get_name(one, try_suffixes=(".weight", ".bias"))
                for one in (name, name.removeprefix("transformer.")))), None)
            if told is None:
                raise UserError(f"The tensor {name} has no place in a GGUF file of the family {family.name}.", Q)
            kind = type_of(told, values.shape, precision, config.num_hidden_layers, tied, family.name)
            data, number = packed(values, kind, importance.get(name))
            out.add_tensor(told, data, raw_dtype=number)
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

        with LlamaFile(folder / FILE, most_read(model), settings().threads) as runtime:
            if not runtime.template:
                yield Opened(runtime)
                return
            with renderer(folder / FILE) as render:
                yield Opened(runtime, render)

    def author(self, folder: Path, model: Path) -> Author:
        """Writes with the file."""
        from ...engines.llama_cpp import GgufWriter

        return GgufWriter(folder / FILE, model)


def _general(out: Any, precision: str, facts: Mapping[str, str]) -> None:
    """What people want to know of the file."""
    import gguf

    out.add_name(facts.get("name", "model"))
    if licence := facts.get("licence"):
        out.add_license(licence)
    for name in ("base_model", "base_hash", "data_hash", "model_hash"):
        if facts.get(name):
            out.add_string(f"seedbed.{name}", facts[name])
    out.add_file_type(FILE_TYPES[precision])
    out.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _stored(model: Path) -> Iterator[tuple[str, Floats]]:
    """Each tensor of the model's files in fp32, by its name in transformers."""
    from safetensors import safe_open

    for file in sorted(model.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            for name in sorted(opened.keys()):
                yield name, opened.get_tensor(name).float().numpy()
