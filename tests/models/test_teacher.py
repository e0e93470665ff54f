from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from seedbed.models.teacher import Soft
from seedbed.models.vocabulary import TokenLoss

WORDS, WIDTH = 50, 8


def made(tokens: int) -> tuple[torch.Tensor, ...]:
    """Activations, vocabulary, targets, and a teacher's scores."""
    generator = torch.Generator().manual_seed(tokens)
    hidden, weight, scores = (torch.randn(*shape, generator=generator) for shape in (
        (tokens, WIDTH), (WORDS, WIDTH), (tokens, WORDS)))
    return hidden.requires_grad_(), weight, torch.randint(0, WORDS, (tokens,), generator=generator), scores * 2


def top(scores: torch.Tensor, k: int, temperature: float, **more: Any) -> Soft:
    logs = (scores / temperature).log_softmax(-1)
    best = logs.topk(k)
    rest = logs.scatter(1, best.indices, -torch.inf).logsumexp(-1, keepdim=True)
    return Soft(best.indices, torch.cat((best.values, rest), 1), temperature, **more)


def bucketed(logs: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of these words and of all others as one."""
    rest = 1 - logs.gather(1, words).exp().sum(-1, keepdim=True)
    return torch.cat((logs.gather(1, words), rest.log()), 1)


def divergence(q: torch.Tensor, p: torch.Tensor, reverse: bool) -> torch.Tensor:
    """By autograd's own steps."""
    q, p = (p, q) if reverse else (q, p)
    return (q.exp() * (q - p)).sum(-1)


@pytest.mark.parametrize("tokens", [1, 64, 130])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("temperature", "cap", "share", "smoothing"), [
    (1.0, 0.0, 1.0, 0.0), (2.0, 0.0, 1.0, 0.0), (0.7, 1.5, 0.3, 0.1)])
@pytest.mark.parametrize("k", [4, WORDS])
def test_losses_and_gradients_are_those_that_autograd_finds(
        tokens: int, reverse: bool, temperature: float, cap: float, share: float, smoothing: float, k: int) -> None:
    """With k = all words this is the exact divergence; with fewer, that with all others as one."""
    hidden, weight, targets, scores = made(tokens)
    chances = torch.linspace(0.1, 2, tokens)
    soft = top(scores, k, temperature, share=share, reverse=reverse)
    straight = F.linear(hidden, weight)
    if cap:
        straight = torch.tanh(straight / cap) * cap
    p, q = (straight / temperature).log_softmax(-1), (scores / temperature).log_softmax(-1)
    if k < WORDS:
        p, q = bucketed(p, soft.words), bucketed(q, soft.words)
    want = share * temperature ** 2 * divergence(q, p, reverse) + (1 - share) * F.cross_entropy(
        straight, targets, reduction="none", label_smoothing=smoothing)
    (want_grad,) = torch.autograd.grad((want * chances).sum(), hidden)
    got: Any = TokenLoss.apply(  # type: ignore[no-untyped-call]
        hidden, weight, None, targets, 1.0, cap, smoothing, soft)
    (grad,) = torch.autograd.grad((got * chances).sum(), hidden)
    assert torch.allclose(got, want, atol=1e-4)
    assert torch.allclose(grad, want_grad, atol=1e-4)


@pytest.mark.parametrize("reverse", [False, True])
def test_fewer_words_never_say_more_than_all(reverse: bool) -> None:
    hidden, weight, targets, scores = made(100)
    with torch.no_grad():
        apart = [TokenLoss.apply(hidden, weight, None, targets, 1.0, 0.0, 0.0,  # type: ignore[no-untyped-call]
                                 top(scores, k, 1.0, share=1.0, reverse=reverse)) for k in (1, 8, 32, WORDS)]
    for few, more in itertools.pairwise(apart):
        assert (few <= more + 1e-5).all() and few.mean() < more.mean()


@pytest.mark.parametrize("reverse", [False, True])
def test_certain_teachers_and_students_give_numbers(reverse: bool) -> None:
    scores = torch.zeros(3, WORDS)
    scores[0, 3], scores[1, 3], scores[2, 7] = 500.0, 500.0, -500.0
    for teacher in (scores, torch.zeros(3, WORDS), scores.flip(1)):
        for k in (1, 5, WORDS):
            apart, grad = top(teacher, k, 1.0, reverse=reverse).divergence(scores, slice(None), True)
            assert apart.isfinite().all() and grad.isfinite().all() and (apart > -1e-3).all()
