from __future__ import annotations

import pytest
import tiny
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from seedbed.models import grid


def weights(seed: int = 0) -> torch.Tensor:
    made = torch.randn(24, 96, generator=torch.Generator().manual_seed(seed)) * 0.05
    made[0, :32], made[1, :32], made[2, :32] = 0, made[1, :32].abs() + 1, -3  # none, far from zero, all alike
    return made


def test_each_group_has_16_values_and_zero_among_them() -> None:
    weight = weights()
    made = grid.rounded(weight, 32)
    for parts, before in zip(made.reshape(-1, 32), weight.reshape(-1, 32), strict=True):
        values = parts.unique()
        assert len(values) <= 16
        step = (max(0.0, float(before.max())) - min(0.0, float(before.min()))) / 15
        assert float((parts - before).abs().max()) <= step * 0.51 + 1e-6
        assert not step or (values / step - (values / step).round()).abs().max() < 0.02  # steps from zero
    assert grid.rounded(torch.full((1, 32), 2.0), 32).allclose(torch.tensor(2.0))


@pytest.mark.parametrize("seed", range(5))
def test_what_is_rounded_stays_as_it_is(seed: int) -> None:
    once = grid.rounded(weights(seed), 32)
    assert grid.rounded(once, 32).allclose(once, rtol=1e-5)
    assert grid.rounded(once.bfloat16(), 32).float().sub(once).abs().max() < 0.01 * once.abs().max()


def test_groups_divide_the_width() -> None:
    assert [grid.group_of(width) for width in (576, 64, 48, 2048)] == [32, 32, None, 32]


def test_a_model_on_the_grid_is_known_whatever_its_vocabulary() -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny.model("llama"), dtype=torch.float32)
    assert not grid.lies_on(model)
    head = model.get_output_embeddings()
    with torch.no_grad():
        for one in model.modules():
            if isinstance(one, nn.Linear) and one is not head:
                one.weight.copy_(grid.rounded(one.weight, 32))
    assert grid.lies_on(model) and grid.lies_on(model.bfloat16())
    with torch.no_grad():
        next(iter(one for one in model.modules() if isinstance(one, nn.Linear))).weight[3, 5] += 0.01
    assert not grid.lies_on(model)
