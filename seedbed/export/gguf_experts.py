"""Mixtures of experts in GGUF files: Qwen 2's, whose experts stand in one tensor there, and one that all ask."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..tasks.classify import Floats
from .gguf_family import Family, Tensors

EXPERT = re.compile(r"(.*\.mlp\.experts)\.(\d+)\.(\w+\.weight)")
TABLE, HEAD = "model.embed_tokens.weight", "lm_head.weight"


class Qwen2Moe(Family):
    """Qwen 1.5 MoE and Qwen 2 MoE."""

    name = "qwen2moe"
    headed = True

    def refusal(self, config: Any) -> str | None:
        """What its graph has fixed: experts in every layer, weighed as their router says."""
        dense = config.mlp_only_layers or config.decoder_sparse_step != 1
        return next((said for wrong, said in (
            (config.norm_topk_prob, "The weights of its chosen experts are made to add up to one, which llama.cpp "
                                    "does not do for this family."),
            (dense, "Some of its layers have no experts, and in llama.cpp all layers of this family do.")) if wrong),
            super().refusal(config))

    def describe(self, out: Any, config: Any) -> None:
        """How many experts there are, and how wide."""
        super().describe(out, config)
        out.add_expert_count(config.num_experts)
        out.add_expert_used_count(config.num_experts_per_tok)
        out.add_expert_feed_forward_length(config.moe_intermediate_size)
        out.add_expert_shared_feed_forward_length(config.shared_expert_intermediate_size)

    def tensors(self, stored: Tensors, config: Any) -> Iterator[tuple[str, Floats]]:
        """The experts of a layer in one tensor, as soon as all are there. [experts, rows, width]"""
        waiting = dict[str, dict[int, Floats]]()
        for name, values in stored:
            if found := EXPERT.fullmatch(name):
                whole = f"{found[1]}.{found[3]}"
                some = waiting.setdefault(whole, {})
                some[int(found[2])] = values
                if len(some) == config.num_experts:
                    yield whole, np.stack([some[at] for at in sorted(some)])
                    del waiting[whole]
            elif not (name == HEAD and config.tie_word_embeddings):
                yield name, values[0] if name.endswith("shared_expert_gate.weight") else values
            if name == TABLE and config.tie_word_embeddings:
                yield HEAD, values
