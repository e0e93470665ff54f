"""A causal model as an OpenVINO graph that keeps its keys and values itself, as OpenVINO GenAI takes it.

It is traced with masks of its own: transformers would make them inside, where a trace fixes what should stay open.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, DynamicCache
from transformers.cache_utils import DynamicLayer

from ...models.reach import window_of

ATTENTION = "seedbed_traced"
HIDDEN = -65504.0
"""Added to what a token must not see; finite, so that a row that sees nothing is no NaN."""
INPUTS = ("input_ids", "attention_mask", "position_ids")
SAMPLE_PAST, SAMPLE_NEW = 3, 2
BATCH, HEADS, GROWS = 0, 1, 2
"""Axes of keys and values."""


def attend(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
           scaling: float | None = None, **more: Any) -> tuple[Tensor, None]:
    """Attention as OpenVINO knows it. [rows, heads, tokens, width] each"""
    groups = getattr(module, "num_key_value_groups", 1)
    if groups > 1:
        key, value = (_repeated(one, groups) for one in (key, value))
    assert attention_mask is not None
    mask = attention_mask[:, :, :, :key.shape[2]]
    out = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)
    return out.transpose(1, 2).contiguous(), None


def _repeated(some: Tensor, times: int) -> Tensor:
    rows, heads, tokens, width = some.shape
    return some[:, :, None].expand(rows, heads, times, tokens, width).reshape(rows, heads * times, tokens, width)


class Decoder(nn.Module):
    """Tokens, what is real of all so far, places, and the keys and values of each layer; logits, and those anew.

    Args:
        root: transformers' model with its vocabulary; its attention is set to one that can be traced.
    """

    def __init__(self, root: Any) -> None:
        super().__init__()
        AttentionInterface.register(ATTENTION, attend)
        root.config._attn_implementation = root.base_model.config._attn_implementation = ATTENTION
        self.root, self.window = root, window_of(root.config)
        self.eval()

    def forward(self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, *past: Tensor) -> Any:
        """[rows, new], [rows, all], [rows, new], 2 x layers of [rows, heads, past, width]"""
        cache = DynamicCache()
        for keys, values in zip(past[::2], past[1::2], strict=True):
            layer = DynamicLayer()
            layer.keys, layer.values, layer.is_initialized = keys, values, True
            layer.dtype, layer.device = keys.dtype, keys.device
            cache.layers.append(layer)
        said = self.root(input_ids=input_ids, attention_mask=self._masks(input_ids, attention_mask),
                         position_ids=position_ids, past_key_values=cache, use_cache=True)
        return said.logits, *chain.from_iterable((layer.keys, layer.values) for layer in cache.layers)

    def _masks(self, ids: Tensor, real: Tensor) -> Any:
        """One mask for all layers, or one for each kind of them."""
        kinds = set(getattr(self.root.config, "layer_types", None) or ())
        if self.window is None or not kinds:
            return self._mask(ids, real, self.window)
        return {kind: self._mask(ids, real, self.window if kind == "sliding_attention" else None) for kind in kinds}

    def _mask(self, ids: Tensor, real: Tensor, window: int | None) -> Tensor:
        whole = torch.arange(real.shape[1], device=ids.device)                       # [all]
        own = whole[real.shape[1] - ids.shape[1]:]                                   # [new]
        known = (real > 0)[:, None, None, :]                                         # [rows, 1, 1, all]
        if window is None:
            seen = ((own[:, None] - whole[None, :]) >= 0)[None, None] & known        # [rows, 1, new, all]
            return torch.where(seen, 0.0, HIDDEN)
        # GenAI's paged attention keeps of a mask only a window that it finds in this form, with all four products
        own, whole = own[None, None, :, None], whole[None, None, None, :]
        before = whole <= own
        seen = known & ((before & (whole > own + -window)) & known) & before
        seen = seen.expand(real.shape[0], 1, ids.shape[1], real.shape[1])
        return torch.where(seen, 0.0, HIDDEN)


def converted(root: Any) -> Any:
    """The graph of a model, with its state inside.

    Args:
        root: transformers' model in fp32; of no more use afterwards.
    """
    import openvino as ov
    from openvino._offline_transformations import apply_make_stateful_transformation

    decoder, config = Decoder(root), root.config
    heads = config.num_key_value_heads or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    layers, every = config.num_hidden_layers, SAMPLE_PAST + SAMPLE_NEW
    past = [torch.zeros(2, heads, SAMPLE_PAST, width) for _ in range(2 * layers)]
    real = torch.ones(2, every, dtype=torch.long)
    real[0, :2] = 0                                                # all ones would be taken for a constant
    given = (torch.tensor([[5, 6], [7, 8]]), real, torch.tensor([[1, 2], [3, 4]]), *past)
    with torch.no_grad():
        made = ov.convert_model(decoder, example_input=given)
    names = [f"{kind}_past.{layer}" for layer in range(layers) for kind in ("key", "value")]
    for port, name in zip(made.inputs, (*INPUTS, *names), strict=True):
        port.get_tensor().set_names({name})
        shape = [-1, -1] if name in INPUTS else [-1, heads, -1, width]
        port.get_node().set_partial_shape(ov.PartialShape(shape))
        port.get_node().set_element_type(ov.Type.i64 if name in INPUTS else ov.Type.f32)
    kept = [f"{name}.kept" for name in names]
    for port, name in zip(made.outputs, ("logits", *kept), strict=True):
        port.get_tensor().set_names({name})
    made.validate_nodes_and_infer_types()
    _reorder(made, names)
    apply_make_stateful_transformation(made, dict(zip(names, kept, strict=True)))
    _begin_empty(made, heads, width)
    return made


def _reorder(model: Any, names: list[str]) -> None:
    """An input `beam_idx` says which row goes on with which row's keys and values, as OpenVINO GenAI asks."""
    import openvino as ov
    from openvino import opset13 as ops

    beam = ops.parameter(shape=ov.PartialShape([-1]), dtype=np.int32, name="beam_idx")
    beam.output(0).get_tensor().set_names({"beam_idx"})
    model.add_parameters([beam])
    for name in names:
        port = model.input(name)
        users = port.get_target_inputs()
        gathered = ops.gather(port, beam, ops.constant(np.int64(BATCH)))
        for user in users:
            user.replace_source_output(gathered.output(0))
    model.validate_nodes_and_infer_types()


def _begin_empty(model: Any, heads: int, width: int) -> None:
    """Before the first tokens each row has no keys and no values."""
    from openvino import opset13 as ops

    rows = ops.gather(ops.shape_of(model.input("input_ids"), output_type="i64"), ops.constant([BATCH]),
                      ops.constant(0))
    shape = ops.concat([rows, ops.constant(np.array([heads], np.int64)), ops.constant(np.array([0], np.int64)),
                        ops.constant(np.array([width], np.int64))], axis=0)
    for node in model.get_ops():
        if node.get_type_name() == "ReadValue":
            node.set_arguments([ops.broadcast(ops.constant(0.0, dtype=node.get_output_element_type(0)), shape)])
    model.validate_nodes_and_infer_types()
