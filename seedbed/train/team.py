"""Several processes that train one model, on one machine or on many: `torchrun` or `accelerate launch` starts them.

The first process leads: it reads, checks, saves and shows, and sends the others what they have to do. A step's
batches (`accumulate` of them, at least one for each process) are shared out, and the gradients are added up: the sum
is the same whoever computed its parts, so that the loss curve is that of one process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..errors import UserError
from ..models.runtime import runtime
from ..settings import settings

T = TypeVar("T")


def join() -> bool:
    """Meet the other processes, once; whether there are any.

    Raises:
        UserError: they do not answer.
    """
    if settings().processes == 1:
        return False
    if not dist.is_initialized():
        try:
            backend = "gloo" if runtime().device.type == "cpu" else "cpu:gloo,cuda:nccl"  # a GPU for each process
            dist.init_process_group(backend, timeout=timedelta(days=7))  # the leader may read and answer for long
        except (RuntimeError, ValueError) as problem:
            raise UserError(f"The other processes cannot be reached: {str(problem).splitlines()[0]}.",
                            "Check --main_process_ip and --main_process_port on every machine.") from problem
    return True


class _Work:
    shared = False
    """What is being done now is done by all."""
    parted = False
    """Each holds a part of the layers alone."""


def size() -> int:
    """How many processes are at this work: outside of `sharing` each is alone."""
    return dist.get_world_size() if _Work.shared else 1


def leads() -> bool:
    """This is the process that reads, saves and shows."""
    return not dist.is_initialized() or dist.get_rank() == 0


@contextlib.contextmanager
def sharing(*order: Any) -> Iterator[None]:
    """Within it all processes do the same work. The leader tells the others what with, and they call `teach` for it.

    Args:
        order: the arguments of `teach`.
    """
    if dist.is_initialized() and leads():
        _sent(order)
    _Work.shared = dist.is_initialized()
    try:
        yield
    finally:
        _Work.shared = _Work.parted = False


def part(root: nn.Module, layers: Iterable[nn.Module], trained: Iterable[Tensor]) -> None:
    """Share the frozen weights of layers out: each process keeps its part, and has the others' only while a layer is
    passed through. From then on all must make the same passes, forward and backward.

    That is stage 3 of Rajbhandari et al. 2020, "ZeRO", for what is frozen (torch calls it FSDP); what is trained
    stays whole in every process. Layers are brought to where they compute one after the other, so that of a model
    that is still in the pages of its files no process ever holds more than its part and one layer.

    Args:
        root: the model, on any device and in any precision.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    own = {id(p) for p in trained}
    mesh = init_device_mesh(runtime().device.type, (size(),))
    for layer in layers:
        _bring(layer, own)
        fully_shard(layer, mesh=mesh, reshard_after_forward=True,
                    ignored_params={p for p in layer.parameters() if id(p) in own})
    _bring(root, own)
    _Work.parted = True


def _bring(module: nn.Module, own: set[int]) -> None:
    """What is trained to the device, and what is frozen and not shared out also to the precision that computes."""
    place = runtime()
    for one in module.parameters():
        if not hasattr(one, "to_local"):
            one.data = one.data.to(place.device, one.dtype if id(one) in own else place.dtype)
    for kept in module.buffers():
        kept.data = kept.data.to(place.device)


def parted() -> bool:
    """Whether each process holds a part of the layers alone, so that all must pass through them together."""
    return _Work.parted


def _sent(value: Any) -> Any:
    """The leader's value, for every process."""
    box = [value]
    dist.broadcast_object_list(box, 0)
    return box[0]


def mine(parts: Sequence[T]) -> Sequence[T]:
    """What this process computes of a step."""
    return parts[dist.get_rank()::size()] if size() > 1 else parts


def told(value: T) -> T:
    """The leader's value, for every process."""
    return value if size() == 1 else cast(T, _sent(value))


def all_told(value: T) -> list[T]:
    """Every process's value, for every process."""
    if size() == 1:
        return [value]
    out: list[Any] = [None] * size()
    dist.all_gather_object(out, value)
    return out


def add_gradients(parameters: Iterable[Tensor]) -> None:
    """Put the sum of all processes' gradients into each parameter's."""
    if size() == 1:
        return
    some = list(parameters)
    flat = torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in some])
    dist.all_reduce(flat)
    begin = 0
    for parameter in some:
        parameter.grad = flat[begin:begin + parameter.numel()].view_as(parameter)
        begin += parameter.numel()


def follow() -> None:
    """Do what the leader says until it has done its work or is gone."""
    from .student import teach

    with contextlib.suppress(RuntimeError):  # the connection broke: the leader says why
        while (order := _sent(None)) is not None:
            teach(*order)


@contextlib.contextmanager
def together() -> Iterator[bool]:
    """Whether this process leads; the others follow first, and leave with it. Without others every process leads."""
    if not join():
        yield True
        return
    if not leads():
        follow()
    try:
        yield leads()
    finally:
        with contextlib.suppress(RuntimeError):
            if leads():
                _sent(None)
            dist.destroy_process_group()
