"""Fewer layers: those whose output is most like their input are left out whole.

Three ways to choose, all on the user's texts:

- `influence`: 1 - cosine of what enters and what leaves each layer, one pass (Men et al. 2024, "ShortGPT");
- `block`: the run of neighbours with the least angle between what enters the first and what leaves the last (Gromov
  et al. 2024, "The unreasonable ineffectiveness of the deeper layers");
- `greedy`: again and again the layer without which the loss is lowest, each tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .calibration import Calibration, computing
from .families import best, family_of, layers_of, share, subset
from .whole import Whole


def drop(whole: Whole, calibration: Calibration, keep: float, way: str = "influence") -> list[int]:
    """Leave layers out; the config says so, and of what it lists by layer the entries of those that stay.

    Args:
        keep: share of the layers that stay, one at the least.
        way: one of `config.WAYS`.

    Returns:
        Ascending numbers of the layers that stay.

    Raises:
        UserError: a family that is not known here.
    """
    count = len(layers_of(whole.model))
    left = share(count, keep)
    if left == count:
        return list(range(count))
    if way == "greedy":
        kept = _greedy(whole, calibration, left)
    else:
        states = apart(whole, calibration, 1 if way == "influence" else count - left)
        if way == "influence":
            kept = best(states, left).tolist()
        else:
            at = int(states.argmin())
            kept = [*range(at), *range(at + count - left, count)]
    _leave(whole.model, kept)
    return kept


def apart(whole: Whole, calibration: Calibration, run: int) -> Tensor:
    """1 - cosine of what enters a layer and what leaves the one `run` - 1 after it, mean over tokens.
    -> [layers - run + 1], fp64"""
    layers = layers_of(whole.model)
    states = dict[int, Tensor]()

    def hook(number: int) -> Any:
        def see(module: nn.Module, given: tuple[Tensor, ...], said: dict[str, Any], out: Any) -> None:
            states[number] = given[0] if given else said["hidden_states"]
            states[number + 1] = out[0] if isinstance(out, tuple) else out
        return see
    hooks = [layer.register_forward_hook(hook(number), with_kwargs=True) for number, layer in enumerate(layers)]
    sums, tokens = torch.zeros(len(layers) - run + 1, dtype=torch.float64), 0
    try:
        with torch.inference_mode(), computing(whole):
            for at in calibration.through("influence of layers"):
                _, mask = calibration.run(calibration.batches[at])
                for number in range(len(sums)):
                    alike = nn.functional.cosine_similarity(states[number], states[number + run], dim=-1)
                    sums[number] += ((1 - alike.double()) * mask).sum()
                tokens += int(mask.sum())
    finally:
        for each in hooks:
            each.remove()
    return sums / tokens


def _greedy(whole: Whole, calibration: Calibration, left: int) -> list[int]:
    layers = layers_of(whole.model)
    all_layers, kept = list(layers), list(range(len(layers)))
    work = "try layers"
    calibration.progress.start(work, sum(range(left + 1, len(kept) + 1)), "layers")
    values = dict(whole.model.config.to_dict())
    try:
        while len(kept) > left:
            losses = list[float]()
            for out in kept:
                _put(whole.model, all_layers, [one for one in kept if one != out], values)
                losses.append(calibration.loss())
                calibration.progress.advance(work)
            worst = min(range(len(kept)), key=losses.__getitem__)
            calibration.progress.metric(work, loss=losses[worst])
            del kept[worst]
    finally:
        _put(whole.model, all_layers, list(range(len(all_layers))), values)
    calibration.progress.done(work)
    return kept


def _put(model: Any, layers: Sequence[nn.Module], kept: Sequence[int], values: dict[str, Any]) -> None:
    """Have the model run these of all its layers, as its config said of each."""
    _stacked(model, [layers[at] for at in kept])
    for name, value in values.items():  # lists by layer, as they were for all
        if isinstance(value, list) and len(value) == len(layers):
            setattr(model.config, name, value)
    subset(model.config, kept, len(layers))


def _leave(model: Any, kept: Sequence[int]) -> None:
    layers = list(layers_of(model))
    _stacked(model, [layers[at] for at in kept])
    subset(model.config, kept, len(layers))
    for number, at in enumerate(kept):  # by which keys and values are kept while it writes
        for module in layers[at].modules():
            if "layer_idx" in vars(module):
                vars(module)["layer_idx"] = number


def _stacked(model: Any, layers: Sequence[nn.Module]) -> None:
    owner, _, name = family_of(model).stack.rpartition(".")
    setattr(model.base_model.get_submodule(owner), name, nn.ModuleList(layers))
