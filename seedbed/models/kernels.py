"""Forward and backward passes written out where autograd wastes time on a CPU, for any transformers model.

Measured on one core, 8 rows of 128 tokens, SmolLM2-135M, bf16: torch's fused attention takes 27 ms forward and
backward, `Attend` 5 ms, because the fused backward does not use the processor's matrix instructions.
docs/LOG.md has the figures and what did not pay.
"""

from __future__ import annotations

import types
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .absent import absent
from .four_bit import is_packed, weight_of

with absent("torchao"):
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

ATTENTION = "seedbed"
LONGEST = 1024
"""Tokens up to which the attention matrix is kept for the backward pass; longer rows use torch's fused attention,
whose memory does not grow with the square of the length."""


class Attend(torch.autograd.Function):
    """Softmax attention by batched matrix products, the probabilities kept for the backward pass."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, places: Tensor | None,
                scale: float) -> Tensor:
        # q: [batch * heads, tokens, width]; k, v: [batch * heads, keys, width]
        # bias: [1, tokens, keys] or [batch, 1, tokens, keys]; places: [1, heads, tokens, keys]
        if bias is not None and bias.dim() == 4:
            scores = torch.bmm(q, k.transpose(1, 2)).mul_(scale)
            scores.view(len(bias), -1, *scores.shape[1:]).add_(bias)
        elif bias is None:
            scores = torch.bmm(q, k.transpose(1, 2)).mul_(scale)
        else:
            scores = torch.baddbmm(bias.expand(q.shape[0], -1, -1), q, k.transpose(1, 2), alpha=scale)
        if places is not None:
            scores.view(-1, *places.shape[1:]).add_(places)
        p = scores.softmax(-1)
        ctx.save_for_backward(q, k, v, p)
        ctx.scale = scale
        return torch.bmm(p, v)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, p = ctx.saved_tensors
        dp = torch.bmm(grad, v.transpose(1, 2))
        ds = torch._softmax_backward_data(dp, p, -1, p.dtype).mul_(ctx.scale)
        return (torch.bmm(ds, k), torch.bmm(ds.transpose(1, 2), q), torch.bmm(p.transpose(1, 2), grad),
                None, None, None)


_CAUSAL: dict[tuple[int, torch.dtype], Tensor] = {}


def _causal(tokens: int, dtype: torch.dtype) -> Tensor:
    """[1, tokens, tokens]: minus infinity above the diagonal."""
    key = (tokens, dtype)
    if key not in _CAUSAL:
        if len(_CAUSAL) > 64:
            _CAUSAL.clear()
        _CAUSAL[key] = torch.full((1, tokens, tokens), float("-inf"), dtype=dtype).triu_(1)
    return _CAUSAL[key]


class _Bias:
    """The last mask as something to add to scores: all layers of a pass are given the same mask."""

    mask: Tensor | None = None
    bias: Tensor

    @classmethod
    def of(cls, mask: Tensor, dtype: torch.dtype) -> Tensor:
        if cls.mask is not mask or cls.bias.dtype != dtype:
            cls.mask = mask
            cls.bias = mask.to(dtype) if mask.dtype != torch.bool else \
                torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, torch.finfo(dtype).min)
        return cls.bias


def attention(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
              scaling: float | None = None, dropout: float = 0.0, is_causal: bool | None = None,
              position_bias: Tensor | None = None, **kwargs: Any) -> tuple[Tensor, None]:
    """An attention function as transformers calls it (`AttentionInterface`).

    Args:
        query: [batch, heads, tokens, width]; key, value: [batch, kv heads, keys, width].
        attention_mask: None, or [batch, 1, tokens, keys], boolean (True attends) or added to the scores.
        position_bias: None, or [1, heads, tokens, keys], added to the scores: T5's distances.

    Returns:
        [batch, tokens, heads, width] and no weights.
    """
    batch, heads, tokens, width = query.shape
    keys, causal = key.shape[2], getattr(module, "is_causal", True) if is_causal is None else is_causal
    plain = ((keys == tokens or not causal) and max(tokens, keys) <= LONGEST and (dropout == 0 or not module.training)
             and query.device.type == "cpu"
             and (attention_mask is None or attention_mask.shape[1:] == (1, tokens, keys))
             and (position_bias is None or not (position_bias.requires_grad or len(position_bias) > 1))
             and all(kwargs.get(name) is None for name in ("softcap", "s_aux")))
    if not plain:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward
        return sdpa_attention_forward(  # type: ignore[no-any-return]
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, is_causal=is_causal,
            position_bias=position_bias, **kwargs)
    groups = heads // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    bias: Tensor | None = None
    if attention_mask is not None:
        bias = _Bias.of(attention_mask, query.dtype)
    elif tokens > 1 and causal:
        bias = _causal(tokens, query.dtype)
    flat = (t.reshape(batch * heads, -1, width) for t in (query, key, value))
    out: Tensor = Attend.apply(  # type: ignore[no-untyped-call]
        *flat, bias, position_bias, width**-0.5 if scaling is None else scaling)
    return out.view(batch, heads, tokens, width).transpose(1, 2), None


PAIRED = ("t5", "mt5", "bart", "mbart", "marian", "pegasus")
"""Encoder-decoders that take an attention from outside and do not say so."""


def suits(config: Any, device: torch.device) -> str:
    """The attention to ask transformers for: on a CPU ours, where the family takes one from outside and does no more;
    on a GPU torch's own, which picks a fused kernel.

    A family that does not say so has attention of its own and would drop the causal mask without a word (BLOOM) or
    not open (Falcon); one that bends the scores (Gemma 2) keeps its own as well.
    """
    from transformers import AutoModel
    family = AutoModel._model_mapping.get(type(config), None)
    if getattr(config, "attn_logit_softcapping", None):
        return "eager"
    outside = getattr(family, "_supports_attention_backend", False) or config.model_type in PAIRED
    if outside and device.type == "cpu":
        return ATTENTION
    return "sdpa" if getattr(family, "_supports_sdpa", False) else "eager"


AttentionInterface.register(ATTENTION, attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


class Normalize(torch.autograd.Function):
    """Root-mean-square normalization with a frozen weight (Zhang & Sennrich 2019); sums in fp32."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        width = x.shape[-1]
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        inverse = (length.square_().div_(width).add_(eps)).rsqrt_().to(x.dtype)
        ctx.save_for_backward(x, weight, inverse)
        out: Tensor = (x * inverse).mul_(weight)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, inverse = ctx.saved_tensors
        scaled = grad * weight
        dot = (scaled * x).sum(-1, keepdim=True, dtype=torch.float32)
        factor = (dot * inverse.float().pow(3) / x.shape[-1]).to(x.dtype)
        return scaled.mul_(inverse).addcmul_(x, factor, value=-1), None, None


class LowRank(torch.autograd.Function):
    """A frozen linear layer plus its LoRA branch (Hu et al. 2021), as one node.

    The frozen weight gets no gradient; the rank activations are scaled where they are small. A weight at 4 bits is
    unpacked in each pass and not kept between them.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: nn.Linear, a: Tensor, b: Tensor, scale: float) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])                        # [tokens, in]
        a16, b16 = a.to(x.dtype), b.to(x.dtype)                  # [rank, in], [out, rank]
        h = (rows @ a16.t()).mul_(scale)                         # [tokens, rank]
        out = torch.nn.functional.linear(rows, weight_of(layer), layer.bias).addmm_(h, b16.t())
        ctx.save_for_backward(rows, a16, b16, h)
        ctx.layer, ctx.scale, ctx.types = layer, scale, (a.dtype, b.dtype)
        # not a view: some families (Falcon) add to it in place, which autograd forbids for views
        shaped: Tensor = torch.ops.aten._unsafe_view(out, [*x.shape[:-1], out.shape[-1]])
        return shaped

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, a, b, h = ctx.saved_tensors
        g = grad.reshape(-1, grad.shape[-1])                     # [tokens, out]
        gh = (g @ b).mul_(ctx.scale)                             # [tokens, rank]
        dx = None
        if ctx.needs_input_grad[0]:
            dx = (g @ weight_of(ctx.layer)).addmm_(gh, a).view(*grad.shape[:-1], rows.shape[-1])
        da = (gh.t() @ rows).to(ctx.types[0])
        db = (h.t() @ g).t().to(ctx.types[1])                    # half the time of g.t() @ h
        return dx, None, da, db, None


def _normalize_forward(self: Any, hidden_states: Tensor) -> Tensor:
    if hidden_states.device.type != "cpu" or self.weight.requires_grad:
        return self._model_forward(hidden_states)  # type: ignore[no-any-return]
    return Normalize.apply(  # type: ignore[no-any-return, no-untyped-call]
        hidden_states, self.weight, self.variance_epsilon)


def _low_rank_forward(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    if self.merged or self.disable_adapters or len(self.active_adapters) != 1 or kwargs.get("adapter_names"):
        return self._model_forward(x, *args, **kwargs)  # type: ignore[no-any-return]
    name = self.active_adapters[0]
    return LowRank.apply(  # type: ignore[no-any-return, no-untyped-call]
        x, self.base_layer, self.lora_A[name].weight, self.lora_B[name].weight, self.scaling[name])


def _packed_forward(self: Any, x: Tensor) -> Tensor:
    """bitsandbytes' own pass packs the weight anew for inference, in a form that training cannot read."""
    return torch.nn.functional.linear(x, weight_of(self).to(x.dtype), self.bias)


def _replace(module: nn.Module, forward: Any) -> None:
    if not hasattr(module, "_model_forward"):
        module._model_forward = module.forward  # type: ignore[assignment]
        module.forward = types.MethodType(forward, module)


def quicken(model: nn.Module) -> None:
    """Use the passes of this file wherever the model's own mean the same; the rest stays as it is.

    Norms whose weight is used in another way (Gemma's `1 + weight`) and adapters beyond plain LoRA (DoRA,
    trained bases, biases in the adapter, dropout on the input) keep their own forward.
    """
    for module in model.modules():
        kind = type(module).__name__
        if kind in ("LlamaRMSNorm", "Qwen2RMSNorm", "MistralRMSNorm", "T5LayerNorm", "MT5LayerNorm"):
            _replace(module, _normalize_forward)
        elif _is_plain_lora(module):
            _replace(module, _low_rank_forward)
        elif is_packed(module):
            _replace(module, _packed_forward)


def _is_plain_lora(module: Any) -> bool:
    """A PEFT adapter on a frozen linear layer, perhaps at 4 bits, and nothing beyond plain LoRA."""
    base = getattr(module, "base_layer", None)
    return bool(hasattr(module, "lora_A") and (type(base) is nn.Linear or (base is not None and is_packed(base)))
            and not any(p.requires_grad for p in module.base_layer.parameters())
            and not any(b.bias is not None for b in module.lora_B.values())
            and not getattr(module, "lora_variant", {})
            and all(isinstance(drop, nn.Identity) for drop in module.lora_dropout.values()))


def plain(model: nn.Module) -> None:
    """Undo `quicken`, for instance before a merge or a comparison."""
    for module in model.modules():
        if hasattr(module, "_model_forward"):
            del module.forward
            del module._model_forward
