"""LiteRT-LM for models that write: `model.litertlm`, one file with graphs, tokenizer, template and ends, for Android,
iOS and small boards."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...engines.exported import TOKENIZER, muted
from ...engines.litert_lm import MODEL, LiteRtLmFile, LiteRtWriter
from ...models.doctor import ends_of
from . import graph
from .litert import deeply, int8
from .writers import Opened, most_read, refuse

if TYPE_CHECKING:
    from ...engines.author import Author
    from ..writer_reference import Reference

FAMILIES = ("llama", "mistral", "qwen2", "gemma3_text")
"""Families that were tried."""
ROOM, AT_ONCE = 1280, (32, 128)
"""Tokens that a file keeps, each of which costs in every pass; and that a graph reads at once."""
HINT = "Export to another target (gguf, executorch), or use the bundle itself: seedbed generate BUNDLE"
TEXTS = ("{%- set told = namespace(all=[]) -%}{%- for one in messages -%}{%- if one.content is string -%}"
         "{%- set told.all = told.all + [one] -%}{%- else -%}{%- set told.all = told.all + [dict(one, content="
         "one.content | map(attribute='text') | join(''))] -%}{%- endif -%}{%- endfor -%}"
         "{%- set messages = told.all %}")
"""Before a template: LiteRT-LM gives it what is said as a list of parts, and most templates take a text."""


class LiteRtWriterTarget:
    """Traced and lowered by litert-torch's own exporter, quantized by ai-edge-quantizer; what stands beside the
    graphs in the file is written here."""

    name = "litert"
    precisions: tuple[str, ...] = ("int8", "fp32")
    packages: tuple[str, ...] = ("litert_torch", "ai_edge_litert", "ai_edge_quantizer", "litert_lm_builder",
                                 "litert_lm", "jaxtyping", "xdsl")

    def refuse(self, model: Path, precision: str) -> None:
        """What would come out wrong.

        Raises:
            UserError: the family is not one of those that were tried, or the tokenizer has no tokenizer.json.
        """
        refuse(model, "LiteRT-LM", FAMILIES, HINT, windowed=FAMILIES)

    def write(self, model: Path, folder: Path, precision: str, facts: Mapping[str, str],
              reference: Reference | None = None) -> None:
        """Write `model.litertlm`."""
        from transformers import AutoConfig, AutoTokenizer

        from ...models.reach import context_of

        tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        room = min(context_of(AutoConfig.from_pretrained(model, local_files_only=True)), max(ROOM, most_read(model)))
        with tempfile.TemporaryDirectory() as place, graph.silently(), deeply():
            source = model
            if precision == "int8" and reference and reference.learned:
                source = smoothed(model, Path(place) / "smooth", reference.largest)
            graphs = lowered(source, Path(place), room)
            if precision == "int8":
                exact, graphs = graphs, Path(place) / "int8.tflite"
                int8(exact, graphs)
            described(model, tokenizer, room, Path(place) / "said.pb")
            packed(folder / MODEL, Path(place), graphs, model / TOKENIZER, facts)

    @contextlib.contextmanager
    def opened(self, folder: Path, model: Path) -> Iterator[Opened]:
        """The graph in the file, and LiteRT-LM with the file open."""
        from ...models.template import open_template

        runtime = LiteRtLmFile(folder)
        yield Opened(runtime, runtime.render() if open_template(model, 1).chats else None, runtime.runner())

    def author(self, folder: Path, model: Path) -> Author:
        """Writes with the file."""
        return LiteRtWriter(folder, model)


def smoothed(model: Path, folder: Path, largest: Mapping[str, Any]) -> Path:
    """A copy of a model folder with smoother activations; the folder itself where its family's are not known how to.

    Args:
        largest: see `compress.smooth`.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from ...compress.smooth import smooth

    root = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, local_files_only=True)
    if not smooth(root, largest):
        return model
    shutil.copytree(model, folder, ignore=shutil.ignore_patterns("*.safetensors", "*.index.json"))
    root.save_pretrained(folder)
    return folder


def lowered(model: Path, place: Path, room: int) -> Path:
    """The graphs of a model folder in fp32, as a LiteRT file in a folder.

    Args:
        room: tokens that they keep.
    """
    with muted(1, 2):  # its C++ tells how much it computed
        from litert_torch.generative.export_hf.core.cache import LiteRTLMCache
        from litert_torch.generative.export_hf.export import export

        LiteRTLMCache.get_max_cache_shape = lambda cache: room  # asked for windows; transformers has it no longer
        export(str(model), str(place), keep_temporary_files=True, bundle_litert_lm=False, cache_length=room,
               prefill_lengths=[one for one in AT_ONCE if one < room], quantization_recipe="")  # None is 8 bits
    [made] = place.rglob("*.tflite")
    return made


def described(model: Path, tokenizer: Any, room: int, file: Path) -> None:
    """What LiteRT-LM must know beside the graphs.

    It puts a beginning that it is told of before every text, rendered ones too. litert-torch's own exporter tells it
    of any that the tokenizer has a name for; here it is told where the tokenizer puts one before texts, and then the
    template leaves it out.
    """
    from litert_lm_builder.runtime.proto import llm_metadata_pb2, llm_model_type_pb2

    said = llm_metadata_pb2.LlmMetadata(max_num_tokens=room)
    said.llm_model_type.CopyFrom(llm_model_type_pb2.LlmModelType(generic_model=llm_model_type_pb2.GenericModel()))
    for end in sorted(ends_of(model, tokenizer)):
        said.stop_tokens.add().token_ids.ids.append(end)
    begin = next(iter(tokenizer("")["input_ids"]), None)
    if begin is not None:
        said.start_token.token_ids.ids.append(begin)
    if tokenizer.chat_template:
        marks = {"bos_token": "" if begin is not None else tokenizer.bos_token, "eos_token": tokenizer.eos_token}
        named = "".join(f"{{%- set {name} = {json.dumps(mark or '', ensure_ascii=False)} -%}}"
                        for name, mark in marks.items())
        said.jinja_prompt_template = named + TEXTS + tokenizer.chat_template
    file.write_bytes(said.SerializeToString())


def packed(file: Path, place: Path, graphs: Path, words: Path, facts: Mapping[str, str]) -> None:
    """Write the one file of graphs, tokenizer, what is said of them, and facts of the bundle.

    Args:
        place: folder with `said.pb`.
    """
    import litert_lm_builder as builder

    made = builder.LitertLmFileBuilder()
    for name, fact in facts.items():
        made.add_system_metadata(builder.Metadata(key=f"seedbed.{name}", value=fact, dtype=builder.DType.STRING))
    made.add_llm_metadata(str(place / "said.pb"))
    made.add_hf_tokenizer(str(words))
    made.add_tflite_model(str(graphs), builder.TfLiteModelType.PREFILL_DECODE)
    with file.open("wb") as opened:
        made.build(opened)
