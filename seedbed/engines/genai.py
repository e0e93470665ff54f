"""A model that writes, run by OpenVINO, in the folder that OpenVINO GenAI opens too."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..data.turns import Turn
from ..errors import CorruptFile, MissingExtra
from ..settings import settings
from ..tasks.classify import Floats
from . import openvino as _silent  # noqa: F401  OpenVINO tells nobody what it runs
from .exported_author import ExportedAuthor

MODEL = "openvino_model.xml"
PASS, SCORED = 512, 256
"""Tokens that are read at once at most, and those of them after which words are scored, which must fit the memory."""
ASKED = "scored_tokens"
"""An input that is added to the graph: how many of the last tokens of a pass are scored."""
AFTER_THE_HEAD = ("Convert", "Divide", "Multiply", "Tanh", "Add")
"""What may stand between the product with the vocabulary and the scores: a scale, a cap, a bias."""
WINDOW = 10
"""The place of the window among what OpenVINO's paged attention is given."""


class OpenVinoFile:
    """`openvino_model.xml` with its state: it remembers the tokens that it read last, and reads only what is new.

    Args:
        folder: as `export.targets.openvino_writer` writes it.

    Raises:
        MissingExtra: OpenVINO is not installed. CorruptFile: it does not open the file.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import openvino
        except ImportError as problem:
            raise MissingExtra("Writing with OpenVINO", "openvino") from problem
        self.folder = folder
        options = {"INFERENCE_NUM_THREADS": settings().threads, "PERFORMANCE_HINT": "LATENCY"}
        try:
            core = openvino.Core()
            model = core.read_model(folder / MODEL)
            _score_the_last(model)
            compiled = core.compile_model(model, "CPU", options)
        except Exception as problem:  # whatever a parser says of bytes that are no model
            raise CorruptFile(f"OpenVINO cannot open {folder / MODEL}: {str(problem).strip().splitlines()[-1]}",
                              "Export it again.") from problem
        self._request = compiled.create_infer_request()
        self._read = list[int]()

    def logits(self, ids: Sequence[int], last: int = 1) -> Floats:
        """Logits of every word after each of the last tokens. [last, words], fp32"""
        ids = list(ids)
        at = len(self._read)
        if at > len(ids) - last or ids[:at] != self._read:  # keys and values cannot be taken away one by one
            self.forget()
            at = 0
        found, scored = list[Floats](), len(ids) - last
        while at < len(ids):
            end = min(len(ids), at + PASS, max(at, scored) + SCORED)
            asked = end - max(at, scored)
            self._request.infer({
                "input_ids": np.array([ids[at:end]], np.int64), "attention_mask": np.ones((1, end), np.int64),
                "position_ids": np.arange(at, end, dtype=np.int64)[None], "beam_idx": np.zeros(1, np.int32),
                ASKED: np.array([max(1, asked)], np.int64)})
            if asked > 0:
                found.append(np.array(self._request.get_tensor("logits").data[0, -asked:], np.float32))
            self._read += ids[at:end]
            at = end
        return np.concatenate(found)

    def forget(self) -> None:
        """Read everything anew next time."""
        self._request.reset_state()
        self._read = []

    @cached_property
    def _tokenizer(self) -> Any:
        import openvino_genai

        return openvino_genai.Tokenizer(str(self.folder))

    def tokens(self, text: str, *, special: bool) -> list[int]:
        """Tokens of a text as OpenVINO's own tokenizer reads it.

        Args:
            special: it is rendered already, so nothing is put before it.
        """
        found = self._tokenizer.encode(text, add_special_tokens=not special).input_ids.data
        return [int(token) for token in found[0]]

    def ends(self, token: int) -> bool:
        """Whether OpenVINO GenAI stops at a token, as `generation_config.json` says."""
        said = json.loads((self.folder / "generation_config.json").read_text(encoding="utf-8")).get("eos_token_id")
        return token in (said if isinstance(said, list) else [said])

    def render(self) -> Callable[[Sequence[Turn]], str] | None:
        """How GenAI writes down a conversation; None where there is no template."""
        if not self._tokenizer.chat_template:
            return None
        return lambda messages: str(self._tokenizer.apply_chat_template(list(messages), add_generation_prompt=True))

    def windows(self) -> list[int]:
        """How far each layer looks back in GenAI; 0 where it sees all. It drops the graph's masks, and
        keeps a window where it knows the form of one."""
        import openvino
        from openvino._offline_transformations import paged_attention_transformation

        core = openvino.Core()
        model = core.read_model(self.folder / MODEL)
        paged_attention_transformation(model)
        paged = [node for node in model.get_ordered_ops() if node.get_type_name() == "PagedAttentionExtension"]
        counts = [core.compile_model(openvino.Model([node.input_value(WINDOW)], []), "CPU")([]) for node in paged]
        return [int(next(iter(one.values()))) for one in counts]

    def genai(self) -> Callable[[Sequence[int], int], list[int]]:
        """OpenVINO GenAI's own way of writing: so many of the likeliest tokens after these."""
        import openvino
        import openvino_genai

        pipe = openvino_genai.LLMPipeline(str(self.folder), "CPU")

        def write(ids: Sequence[int], most: int) -> list[int]:
            given = openvino.Tensor(np.array([list(ids)], np.int64))
            inputs = openvino_genai.TokenizedInputs(given, openvino.Tensor(np.ones((1, len(ids)), np.int64)))
            made = pipe.generate(inputs, max_new_tokens=most, do_sample=False, apply_chat_template=False)
            return [int(token) for token in made.tokens[0]]
        return write


def _score_the_last(model: Any) -> None:
    """Words are scored after the last tokens of a pass only, as many as `ASKED` says: a prompt is read for its last
    one, and the head is a third of a small model's work (OpenVINO GenAI changes its graphs likewise)."""
    import openvino
    from openvino import opset13 as ops

    head = model.output("logits").get_node().input_value(0).get_node()
    while head.get_type_name() in AFTER_THE_HEAD:
        head = head.input_value(0).get_node()
    assert head.get_type_name() == "MatMul", head
    asked = ops.parameter(openvino.PartialShape([1]), np.int64, name=ASKED)
    asked.output(0).get_tensor().set_names({ASKED})
    model.add_parameters([asked])
    start, end, step, axis = (ops.constant(np.array([value], np.int64)) for value in (-1, 2 ** 31 - 1, 1, 1))
    kept = ops.slice(head.input_value(0), ops.multiply(asked, start), end, step, axis)
    head.input(0).replace_source_output(kept.output(0))
    model.validate_nodes_and_infer_types()


class OpenVinoWriter(ExportedAuthor):
    """Writes as `Writer` does, with the same prompts and the same draw; OpenVINO computes.

    Args:
        folder: of the exported model.
        model: folder of the model that it was made from, for its tokenizer and template.
    """

    def __init__(self, folder: Path, model: Path) -> None:
        super().__init__(model)
        self.runtime = OpenVinoFile(folder)
