"""A second device of this process, as strict as a GPU: it computes on the processor, and refuses an operation whose
tensors are on two devices. What a test finds with it, a GPU would have found.

`torch.utils.backend_registration` lets Python be a device. Its tensors are `Away`; each operation runs on what they
hold. Unlike torch's fake tensors it gives real values, so that a training can be held against that of the processor.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as tree
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "elsewhere"
aten = torch.ops.aten


class Away(Tensor):
    """A tensor of the second device."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Away:
        assert not isinstance(held, Away)
        return torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined, no-any-return]
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            device=torch.device(NAME, 0), requires_grad=held.requires_grad)

    def __init__(self, held: Tensor) -> None:
        self.held = held

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, Tensor], *_: Any) -> Away:
        return Away(inner["held"])

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"Away({self.held!r})"

    def tolist(self) -> Any:
        return self.held.tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError("can't convert a tensor of another device to numpy: use .cpu() first")

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, *args, **(kwargs or {}))


def _run(func: Any, *args: Any, **kwargs: Any) -> Any:
    leaves = tree.tree_leaves((args, kwargs))
    tensors = [one for one in leaves if isinstance(one, Tensor)]
    away, kind = any(isinstance(one, Away) for one in tensors), func.overloadpacket
    moves = kind in (aten._to_copy, aten.to, aten.copy_)
    placed = kind is aten.index and isinstance(args[0], Away)  # as with CUDA, places may be told from the CPU
    strange = [one for one in tensors if one.ndim and not isinstance(one, Away)]
    if away and strange and not moves and not placed:
        raise RuntimeError(f"{func}: tensors on two devices; one of shape {tuple(strange[0].shape)} is on the CPU")
    to = next((one for one in leaves if isinstance(one, torch.device)), None)
    stays = isinstance(args[0], Away) if kind is aten.copy_ else away if to is None else to.type == NAME
    plain_args, plain = tree.tree_map_only(Away, lambda one: one.held, (args, kwargs))
    plain_args, plain = tree.tree_map_only(torch.device, lambda _: torch.device("cpu"), (plain_args, plain))
    out = func(*plain_args, **plain)
    if kind is aten.copy_:
        return args[0]
    if not stays:
        return out
    out = tree.tree_map_only(Tensor, Away, out)
    return out if moves else return_and_correct_aliasing(func, args, kwargs, out)


class _Backend(_DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def get_rng_state(self, device: Any = 0) -> Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: Tensor, device: Any = 0) -> None:
        torch.set_rng_state(state)

    def manual_seed_all(self, seed: int) -> None:
        """It draws as the CPU does."""


@functools.cache
def install() -> torch.device:
    """Add the device to this process, for good."""
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Backend())
    library = torch.library.Library("_", "IMPL")
    library.fallback(lambda op, *args, **kwargs: _run(op, *args, **kwargs), "PrivateUse1")
    install.kept = library  # type: ignore[attr-defined]
    for name in ("tensor", "as_tensor"):  # these two make tensors past the dispatcher
        made = getattr(torch, name)

        def elsewhere(data: Any, *, device: Any = None, made: Any = made, **more: Any) -> Any:
            away = device is not None and torch.device(device).type == NAME
            return made(data, **more).to(device) if away else made(data, device=device, **more)
        setattr(torch, name, elsewhere)
    return torch.device(NAME, 0)
