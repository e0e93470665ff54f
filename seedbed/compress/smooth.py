"""Smoother activations: what a few columns have of large values goes over into the weights that they meet.

Products at 8 bits give all activations of a token one scale, which a single large one makes coarse for the rest. Such
values keep to the same columns in all texts; dividing them there, and multiplying the weights that they meet, changes
nothing in exact numbers (SmoothQuant: Xiao et al. 2023, arXiv 2211.10438).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from .families import FAMILIES, layers_of

NORMS = {"llama": ("input_layernorm", "post_attention_layernorm"),
         "gemma3_text": ("input_layernorm", "pre_feedforward_layernorm")}
NORMS |= dict.fromkeys(("qwen2", "qwen3", "mistral"), NORMS["llama"])
"""By family, what scales the activations before a layer's attention and before its MLP."""
MORE = {"gemma3_text": 1.0}
"""What a family's norm adds to its weights."""
STRENGTH = 0.5
"""How much of the difference goes over: a half, as in the paper, which leaves both as hard to round."""
LEAST = 1e-5


@torch.no_grad()
def smooth(model: Any, largest: Mapping[str, Any]) -> bool:
    """Smooth what enters the products of a model's layers; what it computes stays the same.

    Args:
        model: transformers' model with its vocabulary, in fp32; its weights are changed.
        largest: the largest magnitude that entered each column of a linear layer, by the layer's name. [width] each

    Returns:
        Whether the family is one whose parts are known here; if not, nothing was changed.
    """
    if model.config.model_type not in NORMS:
        return False
    more = MORE.get(model.config.model_type, 0.0)
    for before, matrices, name in _parts(model):
        seen = torch.as_tensor(largest[name]).clamp(min=LEAST)                                    # [width]
        met = torch.stack([one.weight.abs().amax(0) for one in matrices]).amax(0).clamp(min=LEAST)
        scale = seen ** STRENGTH / met ** (1 - STRENGTH)
        for one in matrices:
            one.weight *= scale
        if before.weight.dim() == 1:
            before.weight.copy_((before.weight + more) / scale - more)
        else:
            before.weight /= scale[:, None]
            if before.bias is not None:
                before.bias /= scale
    return True


def _parts(model: Any) -> Iterator[tuple[Any, list[Any], str]]:
    """What gives activations, the linear layers that they enter, and the name of one of those."""
    family, norms = FAMILIES[model.config.model_type], NORMS[model.config.model_type]
    names = {module: name for name, module in model.named_modules()}
    for layer in layers_of(model):
        for before, after in ((norms[0], (*family.queries, *family.keys)), (norms[1], family.widened),
                              (family.widened[-1], (family.narrowed,))):
            matrices = [layer.get_submodule(one) for one in after]
            yield layer.get_submodule(before), matrices, names[matrices[0]]
