"""Layers that are left out: which, what the config says then, and that what stays is what it was."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from compress.pruned import again, opened, output

from seedbed.compress.config import WAYS
from seedbed.compress.families import layers_of, subset
from seedbed.compress.layers import apart, drop
from seedbed.errors import UserError

FAMILIES = ["llama", "qwen2", "mistral", "gemma3", "bert"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("way", WAYS)
def test_it_opens_in_plain_transformers_and_runs_the_kept_layers(family: str, way: str, tmp_path: Path) -> None:
    whole, calibration = opened(family)
    layers = list(layers_of(whole.model))
    kinds = list(getattr(whole.model.config, "layer_types", None) or [])
    kept = drop(whole, calibration, 0.75, way)
    assert len(kept) == 3 == len(layers_of(whole.model)) == whole.model.config.num_hidden_layers
    assert list(layers_of(whole.model)) == [layers[at] for at in kept]
    opened_again = again(whole, tmp_path / "small")
    if kinds:  # sliding windows stay with their layers
        assert opened_again.config.layer_types == [kinds[at] for at in kept]
    ids = list(range(20, 60))  # longer than the sliding windows
    assert torch.equal(output(opened_again, ids), output(whole.model, ids))


@pytest.mark.parametrize("family", FAMILIES[:-1])
@pytest.mark.parametrize("way", WAYS)
def test_it_is_the_model_whose_other_layers_add_nothing(family: str, way: str) -> None:
    """With its window or without, as before: under another layer's entry in `layer_types` it would see otherwise."""
    whole, calibration = opened(family)
    kept = drop(whole, calibration, 0.5, way)
    silent, _ = opened(family)
    for at in {0, 1, 2, 3} - set(kept):
        _silence(layers_of(silent.model)[at])
    ids = list(range(20, 60))
    assert torch.allclose(output(whole.model, ids), output(silent.model, ids), atol=1e-5)


def _silence(layer: Any) -> None:
    with torch.no_grad():
        layer.self_attn.o_proj.weight.zero_(), layer.mlp.down_proj.weight.zero_()


def test_influence_is_one_less_the_cosine() -> None:
    whole, calibration = opened("llama", ["the box came on monday"])
    ids = whole.tokenizer("the box came on monday")["input_ids"]
    with torch.inference_mode():
        states = whole.model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
    want = [1 - torch.nn.functional.cosine_similarity(states[at], states[at + 1], dim=-1).mean() for at in range(3)]
    assert apart(whole, calibration, 1)[:3].tolist() == pytest.approx([float(one) for one in want], abs=1e-5)
    two = 1 - torch.nn.functional.cosine_similarity(states[1], states[3], dim=-1).mean()
    assert float(apart(whole, calibration, 2)[1]) == pytest.approx(float(two), abs=1e-5)


@pytest.mark.parametrize("way", ["influence", "block"])
def test_the_layer_that_does_nothing_goes_first(way: str) -> None:
    whole, calibration = opened("llama")
    _silence(layers_of(whole.model)[1])
    before = calibration.loss()
    assert drop(whole, calibration, 0.75, way) == [0, 2, 3]
    assert calibration.loss() == pytest.approx(before, abs=1e-6)


def test_greedy_finds_what_the_loss_says() -> None:
    whole, calibration = opened("llama")
    layers, losses = list(layers_of(whole.model)), dict[tuple[int, ...], float]()
    for kept in combinations(range(4), 3):
        whole.model.model.layers = torch.nn.ModuleList([layers[at] for at in kept])
        whole.model.config.num_hidden_layers = 3
        losses[kept] = calibration.loss()
    whole.model.model.layers, whole.model.config.num_hidden_layers = torch.nn.ModuleList(layers), 4
    kept = tuple(drop(whole, calibration, 0.75, "greedy"))
    assert kept == min(losses, key=losses.__getitem__)
    assert calibration.loss() == losses[kept]


def test_all_stay_where_all_are_kept_and_one_at_the_least() -> None:
    whole, calibration = opened("llama")
    assert drop(whole, calibration, 1.0) == [0, 1, 2, 3]
    assert len(drop(whole, calibration, 0.05)) == 1


def test_lists_by_layer_follow() -> None:
    whole, _ = opened("gemma3")
    subset(whole.model.config, [1, 2, 3], 4)
    assert whole.model.config.layer_types == ["full_attention", "sliding_attention", "full_attention"]


@pytest.mark.parametrize("family", ["phi3", "t5", "bloom"])
def test_unknown_families_are_refused_by_name(family: str) -> None:
    whole, calibration = opened(family)
    with pytest.raises(UserError, match=f"family {family} are not known"):
        drop(whole, calibration, 0.5)
