"""Smoother activations: the same function, and less to lose at 8 bits."""

from __future__ import annotations

from typing import Any

import pytest
import tiny
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from seedbed.compress.smooth import NORMS, smooth

IDS = torch.randint(10, 300, (4, 24), generator=torch.Generator().manual_seed(0))


def opened(family: str) -> Any:
    """With a few columns of large activations, as models that have learned much have."""
    model = AutoModelForCausalLM.from_pretrained(tiny.model(family), dtype=torch.float32).eval()
    before = NORMS[model.config.model_type][1] + ".weight"
    with torch.no_grad():
        for name, one in model.named_parameters():
            if name.endswith(("input_layernorm.weight", before)):
                one[3] += 30
            if name.endswith("up_proj.weight"):
                one[5] *= 30
    return model


def entered(model: Any) -> dict[str, torch.Tensor]:
    found = dict[str, torch.Tensor]()
    hooks = [module.register_forward_pre_hook(
        lambda module, given, name=name: found.__setitem__(name, given[0].abs().flatten(0, -2).amax(0)))
        for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    with torch.no_grad():
        model(IDS)
    for one in hooks:
        one.remove()
    return found


@pytest.mark.parametrize("family", ["llama", "qwen2", "mistral", "gemma3"])
def test_it_computes_the_same_with_smaller_activations(family: str) -> None:
    model = opened(family)
    with torch.no_grad():
        expected = model(IDS).logits
    largest = entered(model)
    assert smooth(model, largest)
    with torch.no_grad():
        found = model(IDS).logits
    assert torch.allclose(found, expected, atol=float(expected.abs().max()) * 1e-4)
    after = entered(model)
    for part in ("self_attn.q_proj", "mlp.up_proj", "mlp.down_proj"):
        name = next(one for one in after if one.endswith(part))
        before_it, after_it = (float(one[name].max() / one[name].median()) for one in (largest, after))
        assert after_it < before_it / 2, (part, before_it, after_it)


def test_a_family_that_is_not_known_stays_as_it_is() -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny.model("bloom"), dtype=torch.float32)
    before = [one.clone() for one in model.parameters()]
    assert not smooth(model, {})
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))
