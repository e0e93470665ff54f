from __future__ import annotations

import importlib.util

import pytest
import tiny
import torch
from torch import nn

from seedbed.errors import UserError
from seedbed.models import four_bit
from seedbed.models.adapters import add_lora
from seedbed.models.backbone import Backbone
from seedbed.models.four_bit import is_packed, packing, unpack, weight_of


def test_linear_layers_are_packed_and_unpacked_to_the_values_that_they_computed_with() -> None:
    plain, packed = (Backbone.open(tiny.model("llama"), vocabulary=True, nf4=nf4) for nf4 in (False, True))
    layers = [name for name, layer in packed.root.named_modules() if is_packed(layer)]
    assert len(layers) == 7 * tiny.LAYERS and not any("lm_head" in name for name in layers)
    assert packed.root.get_memory_footprint() < plain.root.get_memory_footprint()
    batch = plain.batch(plain.tokens(["the box came"]))
    with torch.no_grad():
        before = packed(batch)
        name = "model.layers.0.mlp.down_proj"  # the smaller ones have too few blocks for double quantization
        first = plain.root.get_submodule(name).weight
        off = float((weight_of(packed.root.get_submodule(name)) - first).abs().max() / first.abs().max())
        assert 0 < off < 0.2
        unpack(packed.root, {})
        assert not any(is_packed(layer) for layer in packed.root.modules())
        assert torch.allclose(packed(batch), before, atol=1e-5)


def test_the_pass_over_packed_weights_is_peft_s_own() -> None:
    model = Backbone.open(tiny.model("llama"), vocabulary=True, nf4=True)
    add_lora(model, rank=4, alpha=8)
    generator = torch.Generator().manual_seed(0)
    layer = next(m for m in model.root.modules() if hasattr(m, "lora_A"))
    for one in (layer.lora_A, layer.lora_B):
        nn.init.normal_(one["default"].weight, generator=generator)
    x = torch.randn(2, 9, layer.base_layer.in_features, generator=generator, requires_grad=True)
    gradients = []
    for forward in (layer.forward, layer._model_forward):
        out = forward(x)
        gradients.append((out, *torch.autograd.grad((out ** 2).sum(), [x, *(
            m["default"].weight for m in (layer.lora_A, layer.lora_B))])))
    for mine, own in zip(*gradients, strict=True):
        assert torch.allclose(mine, own, rtol=1e-3, atol=1e-3)


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(four_bit, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="not installed") as told:
        packing(torch.float32)
    assert "seedbed[qlora]" in told.value.hint
    assert importlib.util.find_spec("bitsandbytes")
