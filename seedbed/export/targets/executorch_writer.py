"""ExecuTorch for models that write: `model.pte` for its `TextLLMRunner` on Android and iOS, computed by XNNPACK."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...engines.executorch import MODEL
from ...engines.executorch_llm import ENDS, PASS, ROOM, ExecuTorchFile, ExecuTorchWriter, RunnerWords
from ...engines.exported import TOKENIZER
from ...errors import UserError
from ...models.doctor import ends_of
from ..artefact import first_line
from . import graph
from .executorch import products, tables
from .writers import Opened, most_read, refuse

if TYPE_CHECKING:
    from ...engines.author import Author
    from ..writer_reference import Reference

FAMILIES = ("llama", "mistral", "qwen2", "gemma3_text")
"""Families that were tried, with windows and without."""
BESIDE = ("tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json")
MOST, AT_ONCE = 2048, 128
"""Tokens that a file keeps at most, whose keys and values are in memory whole; and that are read at once: every word
is scored after each of them."""
GROUP = 32
"""Weights that share a scale at 4 bits: XNNPACK takes multiples of 32, and few lose less."""
HINT = "Export to another target (gguf, openvino), or use the bundle itself: seedbed generate BUNDLE"


class ExecuTorchWriterTarget:
    """Traced by torch with any number of new tokens, quantized by torchao, lowered to XNNPACK and ExecuTorch's own
    attention, which its frameworks for phones hold."""

    name = "executorch"
    precisions: tuple[str, ...] = ("int8", "int4", "fp32")
    packages: tuple[str, ...] = ("executorch", "torchao", "pytorch_tokenizers")

    def refuse(self, model: Path, precision: str) -> None:
        """What would come out wrong.

        Raises:
            UserError: the family is not one of those that were tried, or the tokenizer is one that ExecuTorch's
                runner does not read.
        """
        refuse(model, "ExecuTorch", FAMILIES, HINT, windowed=FAMILIES)
        if (said := misread(model)) is not None:
            raise UserError(f"ExecuTorch's runner reads texts otherwise than this model's tokenizer: {said}.", HINT)

    def write(self, model: Path, folder: Path, precision: str, facts: Mapping[str, str],
              reference: Reference | None = None) -> None:
        """Write `model.pte` with what runners ask of it, the tokenizer, and the template that an app renders."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from ...compress.smooth import smooth

        tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        with graph.silently(), torch.no_grad():
            root = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, local_files_only=True)
            if precision != "fp32" and reference and reference.learned:
                smooth(root, reference.largest)
            room = min(root.config.max_position_embeddings, max(MOST, most_read(model)))
            begins = {} if tokenizer.bos_token_id is None else {"get_bos_id": tokenizer.bos_token_id}
            made = lowered(quantized(root, precision), room, {
                ROOM: room, PASS: min(room, AT_ONCE), ENDS: sorted(ends_of(model, tokenizer)),
                "get_vocab_size": root.config.vocab_size, "use_kv_cache": True, "use_sdpa_with_kv_cache": True,
                "enable_dynamic_shape": True} | begins)
            with (folder / MODEL).open("wb") as file:
                made.write_to_file(file)
        (folder / TOKENIZER).write_text(words_of(model), encoding="utf-8")
        for name in BESIDE:
            if (model / name).is_file():
                (folder / name).write_bytes((model / name).read_bytes())
        (folder / "seedbed.json").write_text(json.dumps(dict(facts), indent=1), encoding="utf-8")

    @contextlib.contextmanager
    def opened(self, folder: Path, model: Path) -> Iterator[Opened]:
        """ExecuTorch with the file open, its runner and that one's tokenizer."""
        runtime = ExecuTorchFile(folder)
        yield Opened(runtime, runtime.render(), runtime.runner())

    def author(self, folder: Path, model: Path) -> Author:
        """Writes with the file."""
        return ExecuTorchWriter(folder, model)


def words_of(model: Path) -> str:
    """`tokenizer.json` of a model as the runner is to read it. Told to compose characters (NFC), as Qwen's are, it
    loses what stands above them: nearly all texts are composed, so it is not told."""
    words = json.loads((model / TOKENIZER).read_text(encoding="utf-8"))
    if (words.get("normalizer") or {}).get("type") == "NFC":
        words["normalizer"] = None
    return json.dumps(words, ensure_ascii=False)


def misread(model: Path) -> str | None:
    """A text that the runner reads with other tokens than a model's tokenizer, or why it reads none; None where it
    reads all of some odd ones alike."""
    from transformers import AutoTokenizer

    from ..writer_reference import SAID

    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / TOKENIZER
        file.write_text(words_of(model), encoding="utf-8")
        try:
            words = RunnerWords(file)
        except RuntimeError as problem:
            return first_line(problem)
    return next((repr(text.strip()) for text in SAID if words.tokens(text, special=False) !=
                 tokenizer(text, split_special_tokens=True)["input_ids"]), None)


def quantized(root: Any, precision: str) -> Any:
    """Weights at 8 bits, a scale a row, or at 4, a scale a group; products with activations of 8 bits, a scale a
    token. The tables of words stay at 8 bits.

    Args:
        root: transformers' model in fp32; its weights are replaced.
    """
    if precision == "fp32":
        return root
    from torch import nn

    head = root.get_output_embeddings()
    head.weight = nn.Parameter(head.weight.detach().clone())  # packed otherwise than the table that it is tied to
    few = {one for one in root.modules() if isinstance(one, nn.Linear) and one is not head and
           one.in_features % GROUP == 0} if precision == "int4" else set()
    tables(root)
    products(root, lambda one: one in few, GROUP)
    products(root, lambda one: one not in few)
    return root


def lowered(root: Any, room: int, said: Mapping[str, Any]) -> Any:
    """ExecuTorch's program of a model.

    Args:
        root: transformers' model, of no more use afterwards.
        room: tokens that it keeps.
        said: what the file says of itself.
    """
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower
    from executorch.exir.passes.sym_shape_eval_pass import ConstraintBasedSymShapeEvalPass
    from executorch.extension.llm.custom_ops import custom_ops  # noqa: F401  attention with a cache

    from .roomy import Roomy

    free = {1: torch.export.Dim("new", min=1, max=said[PASS])}
    traced = torch.export.export(Roomy(root, room), (torch.tensor([[5, 6, 7]]), torch.tensor([0])),
                                 dynamic_shapes=(free, None), strict=False)
    edge = to_edge_transform_and_lower(traced, partitioner=[XnnpackPartitioner()], constant_methods=dict(said))
    return edge.to_executorch(ExecutorchBackendConfig(
        do_quant_fusion_and_const_prop=True,  # tables of words are looked up as they are stored
        sym_shape_eval_pass=ConstraintBasedSymShapeEvalPass()))
