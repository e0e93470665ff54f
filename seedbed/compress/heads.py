"""Fewer attention heads: in every layer those that matter least are left out, as many in each."""

from __future__ import annotations

import torch

from .calibration import Calibration
from .families import best, can_be, family_of, keep_columns, keep_rows, layers_of, refuse, share
from .mlp import importance
from .whole import Whole


def behead(whole: Whole, calibration: Calibration, keep: float) -> list[list[int]]:
    """Leave attention heads out. Queries that share a key and a value (grouped-query attention) go with them.

    Args:
        keep: share of the groups that stays, one at least; fewer where the family's config cannot say that many.

    Returns:
        Of each layer the groups that stay, ascending; without grouping these are heads.

    Raises:
        UserError: a family that is not known here, or that cannot have another number of heads.
    """
    family, config = family_of(whole.model), whole.model.config
    refuse(config, ("heads",))
    groups = int(config.num_key_value_heads)
    queries = int(config.num_attention_heads) // groups
    wide = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
    count = next((n for n in range(share(groups, keep), 0, -1) if n == groups or can_be(
        config, num_key_value_heads=n, num_attention_heads=n * queries, head_dim=wide)), groups)
    if count == groups:
        return [list(range(groups))] * len(layers_of(whole.model))
    layers = list(layers_of(whole.model))
    last = [layer.get_submodule(family.attended) for layer in layers]
    stay = [best(one, count) for one in importance(calibration, last, "importance of heads", queries * wide)]
    for layer, kept in zip(layers, stay, strict=True):
        narrow, broad = ((kept[:, None] * size + torch.arange(size)).flatten() for size in (wide, queries * wide))
        for name in family.queries:
            keep_rows(layer.get_submodule(name), broad)
        for name in family.keys:
            keep_rows(layer.get_submodule(name), narrow)
        keep_columns(layer.get_submodule(family.attended), broad)
    config.num_key_value_heads, config.num_attention_heads, config.head_dim = count, count * queries, wide
    return [kept.tolist() for kept in stay]
