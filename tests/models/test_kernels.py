from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from seedbed.models import kernels
from seedbed.models.adapters import add_lora, merge
from seedbed.models.backbone import Backbone
from seedbed.models.paired import Paired

LINEARS = {"llama": 7, "qwen2": 7, "mistral": 7, "gemma3": 7, "bert": 6}
"""Linear layers in one layer of each family."""
NORMS = {"llama": 2 * tiny.LAYERS + 1, "qwen2": 2 * tiny.LAYERS + 1, "mistral": 2 * tiny.LAYERS + 1, "gemma3": 0,
         "bert": 0}


def far(a: Tensor, b: Tensor) -> float:
    """Largest difference, relative to the largest value. Values are about 1 here, unless all is noise: the gradient
    of a softmax over one score is 0, and torch's fused attention gives 1e-7."""
    return float((a.detach() - b.detach()).abs().max() / b.detach().abs().max().clamp(min=0.1))


def window(tokens: int, size: int) -> Tensor:
    """[1, 1, tokens, tokens]: a token sees itself and the `size - 1` before it."""
    back = torch.arange(tokens)[:, None] - torch.arange(tokens)[None]
    return ((back >= 0) & (back < size))[None, None]


def padded(lengths: list[int], tokens: int) -> Tensor:
    """[rows, 1, tokens, tokens]: everyone sees the real tokens."""
    real = torch.arange(tokens) < torch.tensor(lengths)[:, None]
    return real[:, None, None].expand(-1, 1, tokens, -1)


def spread(mask: Tensor) -> Tensor:
    """The same mask, as numbers added to the scores."""
    return torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min)


class Attention(nn.Module):
    def __init__(self, causal: bool, groups: int) -> None:
        super().__init__()
        self.is_causal, self.num_key_value_groups = causal, groups


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one entry whenever `Attend` is used."""
    calls: list[int] = []
    real = kernels.Attend.apply

    def spy(*args: Any) -> Any:
        calls.append(len(args))
        return real(*args)
    monkeypatch.setattr(kernels.Attend, "apply", spy)
    return calls


CASES: dict[str, dict[str, Any]] = {
    "causal": {},
    "causal, one query group": {"kv": 4},
    "causal, all queries share": {"kv": 1},
    "one token": {"tokens": 1},
    "bidirectional": {"causal": False},
    "bidirectional, padded": {"causal": False, "mask": padded([9, 3], 9)},
    "bidirectional, padded, added mask": {"causal": False, "mask": spread(padded([9, 3], 9))},
    "sliding window": {"mask": window(9, 4)},
    "sliding window, two rows": {"mask": window(9, 4).expand(2, -1, -1, -1)},
    "told not to be causal": {"said": False},
    "told to be causal": {"causal": False, "said": True},
    "own scale": {"scaling": 0.7},
    "dropout, but not training": {"dropout": 0.5, "training": False},
    "longer than LONGEST": {"tokens": kernels.LONGEST + 1, "falls": True, "kv": 4, "rows": 1},
    "dropout in training": {"dropout": 0.5, "falls": True},
    "distances": {"places": True},
    "distances, bidirectional, padded": {"causal": False, "mask": padded([9, 3], 9), "places": True},
    "another text": {"causal": False, "keys": 5},
    "another text, padded, distances": {"causal": False, "keys": 5, "places": True,
                                        "mask": padded([5, 2], 5)[:, :, :1].expand(-1, -1, 9, -1)},
    "distances that are trained": {"places": True, "learned": True, "falls": True},
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_attention_equals_sdpa(case: dict[str, Any], taken: list[int]) -> None:
    o = SimpleNamespace(**{"causal": True, "kv": 2, "tokens": 9, "mask": None, "said": None, "scaling": None,
                           "dropout": 0.0, "training": True, "falls": False, "rows": 2, "keys": None,
                           "places": False, "learned": False, **case})
    torch.manual_seed(0)
    keys = o.keys or o.tokens
    shapes = [(o.rows, 4, o.tokens, 8), (o.rows, o.kv, keys, 8), (o.rows, o.kv, keys, 8)]
    places = torch.randn(1, 4, o.tokens, keys, requires_grad=o.learned) if o.places else None
    values = [torch.randn(shape) for shape in shapes]
    module = Attention(o.causal, 4 // o.kv).train(o.training)
    found = []
    for function in (kernels.attention, sdpa_attention_forward):
        torch.manual_seed(1)  # dropout
        q, k, v = (x.clone().requires_grad_() for x in values)
        dropout = o.dropout if o.training else 0.0
        out, weights = function(module, q, k, v, o.mask, scaling=o.scaling, is_causal=o.said, position_bias=places,
                                dropout=dropout if function is sdpa_attention_forward else o.dropout)
        assert weights is None
        out.mul(torch.sin(torch.arange(out.numel()).view(out.shape))).sum().backward()
        found.append((out, q.grad, k.grad, v.grad))
    assert len(taken) == (0 if o.falls else 1)
    for mine, theirs in zip(*found, strict=True):
        assert mine.shape == theirs.shape
        assert far(mine, theirs) < 1e-5


@pytest.mark.parametrize("name", ["softcap", "s_aux"])
def test_attention_leaves_what_it_does_not_know_to_torch(name: str, taken: list[int],
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.integrations import sdpa_attention

    given: list[dict[str, Any]] = []

    def other(*args: Any, **kwargs: Any) -> tuple[Tensor, None]:
        given.append(kwargs)
        return args[1], None
    monkeypatch.setattr(sdpa_attention, "sdpa_attention_forward", other)
    q = torch.randn(1, 2, 3, 4)
    kernels.attention(Attention(True, 1), q, q, q, None, **{name: 1.0})
    assert taken == []
    assert given[0][name] == 1.0


def test_a_longer_cache_than_queries_is_left_to_torch(taken: list[int]) -> None:
    """One new token over 9 kept ones, as in writing text."""
    torch.manual_seed(0)
    q, k, v = torch.randn(1, 4, 1, 8), torch.randn(1, 2, 9, 8), torch.randn(1, 2, 9, 8)
    module = Attention(True, 2)
    mine, theirs = kernels.attention(module, q, k, v, None)[0], sdpa_attention_forward(module, q, k, v, None)[0]
    assert torch.equal(mine, theirs)
    assert taken == []


@pytest.mark.parametrize("eps", [1e-6, 1e-2])
@pytest.mark.parametrize("size", [1.0, 1e-3])
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_normalize_equals_llama(eps: float, size: float, dtype: torch.dtype, near: float) -> None:
    torch.manual_seed(0)
    norm = LlamaRMSNorm(48, eps).to(dtype)
    norm.weight.data = (torch.randn(48) + 1).to(dtype)
    norm.requires_grad_(False)
    values, grad = (torch.randn(3, 5, 48) * size).to(dtype), torch.randn(3, 5, 48).to(dtype)
    found = []
    for quick in (False, True):
        if quick:
            kernels.quicken(norm)
        x = values.clone().requires_grad_()
        out = norm(x)
        out.backward(grad)
        found.append((out.float(), x.grad.float()))  # type: ignore[union-attr]
        assert ("Normalize" in str(out.grad_fn)) == quick
    for theirs, mine in zip(*found, strict=True):
        assert far(mine, theirs) < near


def test_a_norm_that_is_trained_keeps_its_own_forward() -> None:
    norm = LlamaRMSNorm(8)
    kernels.quicken(norm)
    norm(torch.randn(2, 8)).sum().backward()
    assert norm.weight.grad is not None
    assert norm.weight.grad.abs().sum() > 0


def adapted(family: str, layers: int | None = None) -> tuple[Backbone, Any]:
    """A backbone with adapters that do something."""
    backbone = Backbone.open(tiny.model(family), dtype=torch.float32)
    model = add_lora(backbone, rank=4, alpha=8.0, layers=layers)
    torch.manual_seed(3)
    with torch.no_grad():
        for name, parameter in backbone.body.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    return backbone, model


def replaced(model: nn.Module) -> list[str]:
    return [type(m).__name__ for m in model.modules() if hasattr(m, "_model_forward")]


def pass_through(backbone: Backbone) -> tuple[Tensor, dict[str, Tensor]]:
    """Vectors, and the gradient of every trained weight."""
    backbone.zero_grad(set_to_none=True)
    texts = [t for t in tiny.TEXTS if t]
    out = backbone(backbone.batch(backbone.tokens(texts)))
    out.mul(torch.cos(torch.arange(out.numel()).view(out.shape))).sum().backward()
    return out, {n: p.grad for n, p in backbone.body.named_parameters() if p.requires_grad}  # type: ignore[misc]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_low_rank_equals_peft_and_plain_restores(family: str) -> None:
    backbone, _ = adapted(family)
    names = replaced(backbone.body)
    assert names.count("Linear") == LINEARS[family] * tiny.LAYERS  # PEFT calls its layer `Linear` too
    assert len(names) == LINEARS[family] * tiny.LAYERS + NORMS[family]
    mine, grads = pass_through(backbone)
    kernels.plain(backbone.body)
    assert replaced(backbone.body) == []
    assert not any("forward" in vars(m) for m in backbone.body.modules())
    theirs, expected = pass_through(backbone)
    assert far(mine, theirs) < 1e-5
    assert len(grads) == 2 * LINEARS[family] * tiny.LAYERS
    largest = max(float(g.abs().max()) for g in expected.values())
    for name, grad in expected.items():
        assert float((grads[name] - grad).abs().max()) < 1e-5 * largest, name
        assert float(grad.abs().max()) > 0, name
    kernels.quicken(backbone.body)
    assert replaced(backbone.body) == names
    assert torch.equal(pass_through(backbone)[0], mine)


@pytest.mark.parametrize("family", tiny.PAIRED)
def test_an_encoder_decoder_equals_transformers_own_passes(family: str, taken: list[int]) -> None:
    """Padded rows, each with a source and a target of its own length: activations at their places, and gradients."""
    backbone = Backbone.open(tiny.model(family), vocabulary=True)
    torch.manual_seed(0)
    add_lora(backbone, rank=2, alpha=8.0, layers=3)
    rows = [Paired(range(3, 3 + source), range(2, 2 + target)) for source, target in ((9, 3), (4, 7), (1, 1))]
    wanted = {n: p for n, p in backbone.root.named_parameters() if p.requires_grad}
    enc, dec = {"t5": (6, 10), "flan_t5": (7, 11), "bart": (6, 10), "marian": (6, 10)}[family]  # linear layers of one
    assert len(wanted) == 2 * 3 * (enc + dec)

    def passed() -> tuple[Tensor, tuple[Tensor, ...]]:
        out = backbone.hidden(backbone.batch(rows))
        real = torch.cat([one[:len(row)] for one, row in zip(out, rows, strict=True)])
        told = real.mul(torch.cos(torch.arange(real.numel()).view(real.shape))).sum()
        return real, torch.autograd.grad(told, list(wanted.values()))
    for parameter in wanted.values():
        parameter.data.normal_(std=0.2)
    mine, grads = passed()
    assert len(taken) == tiny.LAYERS + 2 * (tiny.LAYERS - 1)
    alone = torch.cat([backbone.hidden(backbone.batch([row]))[0] for row in rows])
    assert far(alone, mine) < 1e-5
    kernels.plain(backbone.root)
    backbone.root.set_attn_implementation("eager")
    rounded, others = passed()
    backbone.root.double()  # gradients of this random gated network are large: on AVX2 both are over 1e-4 from it
    theirs, expected = passed()
    assert far(mine, theirs) < max(2e-5, 2 * far(rounded, theirs))
    assert all(far(a, b) < max(1e-4, 4 * far(c, b)) and float(b.abs().max()) > 0
               for a, b, c in zip(grads, expected, others, strict=True))
    backbone.train()
    backbone.root.set_attn_implementation(kernels.ATTENTION)
    taken.clear()
    backbone.hidden(backbone.batch(rows))
    assert len(taken) == tiny.LAYERS + 2 * (tiny.LAYERS - 1), "attention drops nothing in training"


@pytest.mark.parametrize("family", ["qwen2", "bert"])
def test_biases_of_the_base_count(family: str) -> None:
    """Qwen2 has biases in query, key and value only; BERT everywhere."""
    backbone, _ = adapted(family)
    with_bias = [m for m in backbone.body.modules() if hasattr(m, "lora_A") and m.base_layer.bias is not None]
    assert len(with_bias) == tiny.LAYERS * {"qwen2": 3, "bert": 6}[family]
    before = backbone.embed(["great box"])
    with torch.no_grad():
        with_bias[-1].base_layer.bias += torch.arange(len(with_bias[-1].base_layer.bias)) / 9
    assert far(backbone.embed(["great box"]), before) > 1e-2


@pytest.mark.parametrize("layers", [None, 1, 99])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_merged_equals_unmerged(family: str, layers: int | None) -> None:
    bare = Backbone.open(tiny.model(family), dtype=torch.float32).embed(tiny.TEXTS)
    backbone, model = adapted(family, layers)
    adapters = sum(1 for m in backbone.body.modules() if hasattr(m, "lora_A"))
    assert adapters == LINEARS[family] * (1 if layers == 1 else tiny.LAYERS)
    unmerged = backbone.embed(tiny.TEXTS)
    assert far(unmerged, bare) > 1e-2
    merge(backbone, model)
    assert not any(hasattr(m, "lora_A") for m in backbone.body.modules())
    assert not any(p.requires_grad for p in backbone.body.parameters())
    assert len(replaced(backbone.body)) == NORMS[family]
    assert far(backbone.embed(tiny.TEXTS), unmerged) < 1e-5


ODD_ADAPTERS: dict[str, dict[str, Any]] = {
    "dora": {"use_dora": True}, "dropout": {"lora_dropout": 0.1}, "bias in the adapter": {"lora_bias": True},
    "trained bias of the base": {"bias": "lora_only"}}


@pytest.mark.filterwarnings("ignore::FutureWarning")  # PEFT asks transformers by an old name
@pytest.mark.parametrize("options", ODD_ADAPTERS.values(), ids=list(ODD_ADAPTERS))
def test_adapters_beyond_plain_lora_keep_their_own_forward(options: dict[str, Any]) -> None:
    body = Backbone.open(tiny.model("qwen2"), dtype=torch.float32).body
    get_peft_model(body, LoraConfig(r=2, target_modules=["q_proj"], **options))
    kernels.quicken(body)
    assert set(replaced(body)) == {"Qwen2RMSNorm"}


def test_gemma_norms_are_left_alone() -> None:
    norm = Gemma3RMSNorm(8)
    kernels.quicken(norm)
    assert replaced(norm) == []


def test_a_disabled_adapter_and_a_second_one_go_through_peft() -> None:
    backbone, model = adapted("llama")
    bare = Backbone.open(tiny.model("llama"), dtype=torch.float32).embed(tiny.TEXTS)
    with model.disable_adapter():
        assert far(backbone.embed(tiny.TEXTS), bare) < 1e-6
    one = backbone.embed(tiny.TEXTS)
    assert far(one, bare) > 1e-2
    model.add_adapter("other", LoraConfig(r=2, target_modules=["q_proj"]))
    model.base_model.set_adapter(["default", "other"])
    assert far(backbone.embed(tiny.TEXTS), one) < 1e-5  # a new adapter adds nothing yet
