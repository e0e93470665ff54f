"""Heads and MLP units that are left out: exactly as if they had given nothing, and the ones that matter least."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from compress.pruned import again, opened, output

from seedbed.compress.families import family_of, layers_of
from seedbed.compress.heads import behead
from seedbed.compress.mlp import importance, narrow
from seedbed.errors import UserError

DECODERS = ["llama", "qwen2", "mistral", "gemma3"]
IDS = list(range(20, 60))


def silence(matrix: Any, columns: list[int]) -> None:
    with torch.no_grad():
        matrix.weight[:, columns] = 0


@pytest.mark.parametrize("family", DECODERS)
def test_a_model_with_fewer_heads_is_one_whose_heads_say_nothing(family: str, tmp_path: Path) -> None:
    whole, calibration = opened(family)
    kept = behead(whole, calibration, 0.5)
    assert [len(one) for one in kept] == [1] * 4  # of two groups with two queries each
    config = whole.model.config
    assert (config.num_attention_heads, config.num_key_value_heads) == (2, 1)
    small = again(whole, tmp_path / "small")
    silent, _ = opened(family)
    wide = 2 * config.head_dim
    for layer, (group,) in zip(layers_of(silent.model), kept, strict=True):
        silence(layer.self_attn.o_proj, [at for at in range(2 * wide) if at // wide != group])
    assert torch.allclose(output(small, IDS), output(silent.model, IDS), atol=1e-5)
    assert small.config.head_dim == silent.model.model.layers[0].self_attn.head_dim


@pytest.mark.parametrize("family", [*DECODERS, "bert"])
def test_a_narrower_model_is_one_whose_units_say_nothing(family: str, tmp_path: Path) -> None:
    whole, calibration = opened(family)
    kept = narrow(whole, calibration, 0.5)
    assert [len(one) for one in kept] == [32] * 4 and whole.model.config.intermediate_size == 32
    small = again(whole, tmp_path / "small")
    silent, _ = opened(family)
    for layer, units in zip(layers_of(silent.model), kept, strict=True):
        silence(layer.get_submodule(family_of(silent.model).narrowed), sorted(set(range(64)) - set(units)))
    assert torch.allclose(output(small, IDS), output(silent.model, IDS), atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_units_that_say_nothing_go_first(family: str) -> None:
    whole, calibration = opened(family)
    silent = list(range(0, 64, 2))
    for layer in layers_of(whole.model):
        silence(layer.get_submodule(family_of(whole.model).narrowed), silent)
    before = calibration.loss()
    assert narrow(whole, calibration, 0.5) == [list(range(1, 64, 2))] * 4
    assert calibration.loss() == pytest.approx(before, abs=1e-6)


def test_the_group_that_says_nothing_goes_first() -> None:
    whole, calibration = opened("llama")
    for number, layer in enumerate(layers_of(whole.model)):
        silence(layer.self_attn.o_proj, list(range(16 * (number % 2), 16 * (number % 2) + 16)))
    before = calibration.loss()
    assert behead(whole, calibration, 0.5) == [[1], [0], [1], [0]]
    assert calibration.loss() == pytest.approx(before, abs=1e-6)


def test_importance_is_the_first_order_change_of_the_loss() -> None:
    """Held against the loss with one unit a little weaker."""
    whole, calibration = opened("qwen2", ["the box came on monday and it was blue"])
    matrix = layers_of(whole.model)[2].mlp.down_proj
    found, = importance(calibration, [matrix], "")
    tokens = sum(row.count for batch in calibration.batches for row in batch)
    for unit in (3, 17, 40):
        losses = list[float]()
        for factor in (0.99, 1.01):
            with torch.no_grad():
                column = matrix.weight[:, unit].clone()
                matrix.weight[:, unit] *= factor
                losses.append(calibration.loss() * tokens)
                matrix.weight[:, unit] = column
        assert float(found[unit]) == pytest.approx(abs(losses[1] - losses[0]) / 0.02, rel=0.05, abs=1e-4)


def test_all_stay_where_all_are_kept() -> None:
    whole, calibration = opened("llama")
    before = {name: one.clone() for name, one in whole.model.state_dict().items()}
    assert behead(whole, calibration, 1.0) == [[0, 1]] * 4
    assert narrow(whole, calibration, 1.0) == [list(range(64))] * 4
    assert all(torch.equal(one, before[name]) for name, one in whole.model.state_dict().items())


def test_refusals_name_the_family() -> None:
    whole, calibration = opened("bert")
    with pytest.raises(UserError, match="family bert have heads"):
        behead(whole, calibration, 0.5)
    whole, calibration = opened("falcon")
    with pytest.raises(UserError, match="family falcon are not known"):
        narrow(whole, calibration, 0.5)
