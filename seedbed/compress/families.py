"""Where families of models keep their layers, heads and MLPs, as far as they can be made smaller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UserError


@dataclass(frozen=True)
class Family:
    """Names of parts. Those of a layer are seen from the layer.

    Args:
        stack: the list of layers, seen from the body.
        queries, keys: matrices whose rows belong to query heads, and to the heads that several queries share.
        attended: the matrix whose columns belong to query heads.
        widened: matrices with a row for each unit of the MLP.
        narrowed: the matrix with a column for each.
        heads: another number of heads can be said in the config, each as wide as before.
    """

    stack: str
    queries: tuple[str, ...]
    keys: tuple[str, ...]
    attended: str
    widened: tuple[str, ...]
    narrowed: str
    heads: bool = True


_LLAMA = Family("layers", ("self_attn.q_proj",), ("self_attn.k_proj", "self_attn.v_proj"), "self_attn.o_proj",
                ("mlp.gate_proj", "mlp.up_proj"), "mlp.down_proj")
_BERT = Family("encoder.layer", ("attention.self.query",), ("attention.self.key", "attention.self.value"),
               "attention.output.dense", ("intermediate.dense",), "output.dense", heads=False)
FAMILIES = {"llama": _LLAMA, "qwen2": _LLAMA, "qwen3": _LLAMA, "mistral": _LLAMA, "gemma3_text": _LLAMA,
            "bert": _BERT}
"""By the model type of the config."""


def family_of(model: Any) -> Family:
    """Raises UserError, which names it, where a model is of no family that is known here."""
    refuse(model.config, ())
    return FAMILIES[model.config.model_type]


def refuse(config: Any, how: Sequence[str]) -> None:
    """Raises UserError, which names the family of a config, where it cannot be made smaller in these ways."""
    name = config.model_type
    if name not in FAMILIES:
        raise UserError(f"Layers, heads and MLPs of the family {name} are not known here.",
                        f"Take --how vocabulary, or a model of: {', '.join(FAMILIES)}.")
    if "heads" in how and not FAMILIES[name].heads:
        raise UserError(f"Models of the family {name} have heads as wide as their width divided by the number of "
                        "heads, so that none can go.", "Leave heads out of --how; mlp and layers work.")


def layers_of(model: Any) -> nn.ModuleList:
    """The stack of layers."""
    found = model.base_model.get_submodule(family_of(model).stack)
    assert isinstance(found, nn.ModuleList)
    return found


def keep_rows(matrix: Any, rows: Tensor) -> None:
    """Leave these outputs of a linear layer alone."""
    matrix.weight.data = matrix.weight.data[rows].clone()
    if matrix.bias is not None:
        matrix.bias.data = matrix.bias.data[rows].clone()
    matrix.out_features = len(rows)


def keep_columns(matrix: Any, columns: Tensor) -> None:
    """Leave these inputs of a linear layer alone."""
    matrix.weight.data = matrix.weight.data[:, columns].clone()
    matrix.in_features = len(columns)


def best(scores: Tensor, count: int) -> Tensor:
    """Ascending places of the highest scores; of equal ones the first. [places] -> [count]"""
    return torch.argsort(scores, descending=True, stable=True)[:count].sort().values


def share(whole: int, keep: float, step: int = 1) -> int:
    """So many of a whole, in steps where it has them; one step at least."""
    step = step if whole % step == 0 else 1
    return min(whole, max(step, round(whole * keep / step) * step))


def can_be(config: Any, **values: Any) -> bool:
    """Whether a family's config takes these values: some hold that heads divide the width."""
    said = {**config.to_dict(), **values}
    try:
        type(config)(**{name: value for name, value in said.items() if name != "model_type"})
    except Exception:  # each family, and the checks of its base class, refuse in their own way
        return False
    return True


def subset(config: Any, kept: Sequence[int], count: int) -> None:
    """Give a config the number of layers that are kept, and to each of its lists by layer the entries of these."""
    for name, value in config.to_dict().items():
        if isinstance(value, list) and len(value) == count and not name.endswith(("_ids", "_id", "architectures")):
            setattr(config, name, [value[at] for at in kept])
    config.num_hidden_layers = len(kept)
