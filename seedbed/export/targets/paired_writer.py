"""Encoder-decoders that write (T5, BART, Marian) for ONNX Runtime and OpenVINO: a folder with two graphs, one that
reads and one that writes, as `engines.paired` runs them."""

from __future__ import annotations

import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...engines.exported import TOKENIZER
from ...engines.paired import DECODER, ENCODER, SETTINGS, OnnxPaired, OpenVinoPaired, PairedFile, PairedWriter
from ...models.doctor import ends_of
from . import graph
from .writers import Opened, refuse

if TYPE_CHECKING:
    from ...engines.author import Author
    from ..writer_reference import Reference
    from .paired import Traced

FAMILIES = ("t5", "bart", "marian")
"""Families that were tried."""
HINT = "Use the bundle itself: seedbed generate BUNDLE"


class PairedTarget(ABC):
    """Both runtimes take the same two modules; each has its own way to trace and to compress them."""

    name: str
    precisions: tuple[str, ...]
    packages: tuple[str, ...]
    runtime: type[PairedFile]

    def refuse(self, model: Path, precision: str) -> None:
        """What would come out wrong.

        Raises:
            UserError: the family is not one of those that were tried, or its tokenizer has no tokenizer.json.
        """
        refuse(model, self.runtime.name, FAMILIES, HINT)

    def write(self, model: Path, folder: Path, precision: str, facts: Mapping[str, str],
              reference: Reference | None = None) -> None:
        """Write both graphs, the tokenizer, and with what an answer begins and ends."""
        import torch
        from transformers import AutoTokenizer

        from ...models.template import Template
        from .paired import opened, traced

        tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        with graph.silently(), torch.no_grad():
            root = opened(model)
            for name, one in zip((ENCODER, DECODER), traced(root), strict=True):
                self.save(one, folder / name, precision, facts)
        start = Template.of(tokenizer, root.config, 1).start
        (folder / TOKENIZER).write_text(tokenizer.backend_tokenizer.to_str(), encoding="utf-8")
        (folder / SETTINGS).write_text(json.dumps({
            "decoder_start_token_id": start, "eos_token_id": sorted(ends_of(model, tokenizer)),
            "pad_token_id": tokenizer.pad_token_id or 0}, indent=1), encoding="utf-8")
        (folder / "seedbed.json").write_text(json.dumps(dict(facts), indent=1), encoding="utf-8")

    @abstractmethod
    def save(self, one: Traced, place: Path, precision: str, facts: Mapping[str, str]) -> None:
        """Trace a module and write it, its weights in the precision.

        Args:
            place: the file without its ending.
        """

    @contextlib.contextmanager
    def opened(self, folder: Path, model: Path) -> Iterator[Opened]:
        """Both graphs open, with the tokenizer beside them."""
        runtime = self.runtime(folder)
        yield Opened(runtime, start=runtime.start, padded=runtime.padded)

    def author(self, folder: Path, model: Path) -> Author:
        """Writes with the folder."""
        return PairedWriter(self.runtime(folder), model)


class OnnxPairedTarget(PairedTarget):
    """Traced by torch. Weights in blocks of 32 and products with 8-bit activations, each block with its own scale: T5
    has a few activations that are so large that one scale for all would leave the others nothing."""

    name = "onnx"
    precisions: tuple[str, ...] = ("int8", "int4", "fp32")
    packages: tuple[str, ...] = ("onnx", "onnxscript", "onnxruntime")
    runtime = OnnxPaired

    def save(self, one: Traced, place: Path, precision: str, facts: Mapping[str, str]) -> None:
        import onnx
        import torch

        from .onnx import bare
        from .onnx_blocks import compressed

        free = dict.fromkeys((0, 1), torch.export.Dim.DYNAMIC)
        grows = dict.fromkeys((0, 2), torch.export.Dim.DYNAMIC)
        shapes: dict[str, Any] = {"ids": free, "mask": free}
        if one.kept:
            shapes["kept"] = [grows] * len(one.kept)
        program = torch.onnx.export(one.module, one.sample, None, dynamo=True, verbose=False, external_data=False,
                                    input_names=["ids", "mask", *one.kept], output_names=one.given,
                                    dynamic_shapes=shapes)
        made = program.model_proto  # type: ignore[union-attr]
        bare(made)
        if precision != "fp32":
            made = compressed(made, {"int8": 8, "int4": 4}[precision])
        onnx.helper.set_model_props(made, dict(facts))
        onnx.save(made, f"{place}.onnx")


class OpenVinoPairedTarget(PairedTarget):
    """Traced by OpenVINO, compressed by NNCF."""

    name = "openvino"
    precisions: tuple[str, ...] = ("int8", "int4")
    packages: tuple[str, ...] = ("openvino", "nncf")
    runtime = OpenVinoPaired

    def save(self, one: Traced, place: Path, precision: str, facts: Mapping[str, str]) -> None:
        from ...engines import openvino as _silent  # noqa: F401  OpenVINO tells nobody what it converts
        import openvino  # isort: skip

        from .openvino_writer import compressed

        made = openvino.convert_model(one.module, example_input=one.sample)
        for port, name in zip(made.inputs, ("ids", "mask", *one.kept), strict=True):
            port.get_tensor().set_names({name})
            some = name in one.kept
            port.get_node().set_partial_shape(openvino.PartialShape([-1, one.heads, -1, one.width] if some else
                                                                    [-1, -1]))
            port.get_node().set_element_type(openvino.Type.f32 if some else openvino.Type.i64)
        for port, name in zip(made.outputs, one.given, strict=True):
            port.get_tensor().set_names({name})
        made.validate_nodes_and_infer_types()
        made = compressed(made, precision, one.hidden)
        for name, said in facts.items():
            made.set_rt_info(said, ["seedbed", name])
        openvino.save_model(made, f"{place}.xml", compress_to_fp16=False)
