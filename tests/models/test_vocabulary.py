from __future__ import annotations

from typing import Any

import pytest
import tiny
import torch
from torch.nn import functional as F

from seedbed.errors import UserError
from seedbed.models import vocabulary
from seedbed.models.backbone import Backbone
from seedbed.models.vocabulary import TokenLoss, Vocabulary, logits

WORDS, WIDTH = 50, 8


def made(tokens: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(tokens)
    hidden, weight, bias = (torch.randn(*shape, generator=generator) for shape in (
        (tokens, WIDTH), (WORDS, WIDTH), (WORDS,)))
    return hidden.requires_grad_(), weight, bias, torch.randint(0, WORDS, (tokens,), generator=generator)


@pytest.mark.parametrize("tokens", [1, 63, 64, 65, 200])
@pytest.mark.parametrize(("scale", "cap"), [(1.0, 0.0), (0.25, 0.0), (1.0, 2.0), (3.0, 1.5)])
@pytest.mark.parametrize(("biased", "smoothing"), [(False, 0.0), (True, 0.0), (True, 0.2)])
def test_losses_and_gradients_are_those_of_cross_entropy(tokens: int, scale: float, cap: float, biased: bool,
                                                         smoothing: float) -> None:
    hidden, weight, bias, targets = made(tokens)
    chances = torch.linspace(0.1, 2, tokens)  # each token may count in its own measure
    straight = F.linear(hidden, weight, bias if biased else None) * scale
    if cap:
        straight = torch.tanh(straight / cap) * cap
    want = F.cross_entropy(straight, targets, reduction="none", label_smoothing=smoothing)
    (want_grad,) = torch.autograd.grad((want * chances).sum(), hidden)
    got: Any = TokenLoss.apply(  # type: ignore[no-untyped-call]
        hidden, weight, bias if biased else None, targets, scale, cap, smoothing)
    (grad,) = torch.autograd.grad((got * chances).sum(), hidden)
    assert torch.allclose(got, want, atol=1e-5)
    assert torch.allclose(grad, want_grad, atol=1e-5)


def test_no_more_than_a_few_tokens_are_scored_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def watched(hidden: torch.Tensor, *more: Any) -> torch.Tensor:
        seen.append(len(hidden))
        return logits(hidden, *more)
    monkeypatch.setattr(vocabulary, "logits", watched)
    hidden, weight, _, targets = made(150)
    TokenLoss.apply(hidden, weight, None, targets, 1.0, 0.0, 0.0)  # type: ignore[no-untyped-call]
    assert seen == [64, 64, 22]


@pytest.mark.parametrize("family", tiny.DECODERS)
def test_it_scores_words_as_the_model_does(family: str) -> None:
    model = Backbone.open(tiny.model(family), vocabulary=True)
    batch = model.batch(model.tokens(["the box came on monday", "great"]))
    own = model.root(input_ids=batch.ids).logits
    mine = Vocabulary(model).logits(model(batch, pool=False).flatten(0, 1))
    assert float((mine.view_as(own) - own).abs().max()) < 1e-4
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in model.body.parameters())  # once


def test_an_unknown_kind_of_head_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Backbone.open(tiny.model("llama"), vocabulary=True)
    real = model.root.forward

    def doubled(*args: Any, **named: Any) -> Any:
        out = real(*args, **named)
        out.logits = out.logits * 2
        return out
    monkeypatch.setattr(model.root, "forward", doubled)
    with pytest.raises(UserError, match="scores its words in a way that is not known"):
        Vocabulary(model)


@pytest.mark.parametrize(("name", "value", "scale", "cap"), [
    ("logits_scaling", 4.0, 0.25, 0.0), ("logit_scale", 0.5, 0.5, 0.0), ("final_logit_softcapping", 30.0, 1.0, 30.0)])
def test_what_families_do_to_scores_is_read_from_their_config(name: str, value: float, scale: float, cap: float,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    model = Backbone.open(tiny.model("llama"), vocabulary=True)
    monkeypatch.setattr(Vocabulary, "_prove", lambda self: None)
    setattr(model.root.config, name, value)
    made = Vocabulary(model)
    assert (made.scale, made.cap) == (scale, cap)
