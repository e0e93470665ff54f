"""The layer that scores every word of the vocabulary, computed only where it is needed and a few tokens at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..errors import UserError
from .backbone import Backbone
from .batch import Batch
from .teacher import Soft

TOKENS, ON_GPU = 64, 1024
"""Tokens whose scores are in memory at once: 64 x 49,152 words in fp32 are 12.6 MB, which stay in the cache of a
processor; a GPU has no use for so few."""
TOLERANCE = 0.02
"""Largest difference from the model's own logits that the self-test allows, relative to their spread: one rounding of
bf16. Another kind of head is off by its factor or its bend, which is much more."""


def at_once(device: torch.device) -> int:
    """Tokens whose scores are in memory at once."""
    return TOKENS if device.type == "cpu" else ON_GPU


class TokenLoss(torch.autograd.Function):
    """Cross-entropy of each token over a frozen vocabulary, with the gradient made in the same pass; where there is a
    teacher, mixed with the divergence from it.

    Neither logits nor probabilities of more than `at_once` tokens are ever held: the gradient of the hidden state
    needs only softmax(logits) - target, times the weights (as in Hsu et al. 2024, "Liger Kernel", section 3.2).
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, scale: float,
                cap: float, smoothing: float, soft: Soft | None = None) -> Tensor:
        # hidden: [tokens, width]; weight: [words, width]; targets: [tokens] -> [tokens], fp32
        losses = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        some = at_once(hidden.device)
        wanted = ctx.needs_input_grad[0]
        grad = torch.empty_like(hidden) if wanted else None
        for at in range(0, len(hidden), some):
            h, t = hidden[at:at + some], targets[at:at + some, None]
            scores = logits(h, weight, bias, scale, cap)
            taught = None if soft is None else soft.divergence(scores, slice(at, at + some), wanted)
            sums = scores.logsumexp(-1, keepdim=True)
            losses[at:at + some] = (sums - scores.gather(1, t))[:, 0]
            if smoothing:
                losses[at:at + some].mul_(1 - smoothing).add_(sums[:, 0] - scores.mean(-1), alpha=smoothing)
            if soft is not None and taught is not None:
                losses[at:at + some].mul_(1 - soft.share).add_(taught[0], alpha=soft.share)
            if grad is not None:
                bent = None if not cap else 1 - (scores / cap).square_()
                p = scores.sub_(sums).exp_()
                if smoothing:
                    p.sub_(smoothing / p.shape[1])
                p.scatter_add_(1, t, torch.full_like(t, smoothing - 1, dtype=torch.float32))
                if soft is not None and taught is not None:
                    p.mul_(1 - soft.share).add_(taught[1], alpha=soft.share)
                if bent is not None:
                    p.mul_(bent)
                torch.mm(p.mul_(scale).to(h.dtype), weight, out=grad[at:at + some])
        ctx.save_for_backward(grad)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_losses: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = ctx.saved_tensors
        return grad * of_losses[:, None].to(grad.dtype), None, None, None, None, None, None, None


def logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, scale: float, cap: float) -> Tensor:
    """Scores of every word. [tokens, width] -> [tokens, words], fp32

    Args:
        scale: the product is multiplied by it (Granite, Cohere); 1 for most.
        cap: scores are bent into -cap to cap by tanh (Gemma 2); 0 for most.
    """
    scores = torch.nn.functional.linear(hidden, weight, bias).float()
    if scale != 1:
        scores.mul_(scale)
    return torch.tanh(scores.div_(cap)).mul_(cap) if cap else scores


class Vocabulary:
    """The head of a language model.

    Args:
        backbone: opened with `vocabulary=True`.

    Raises:
        UserError: the model has no head, or one that is computed in a way that is not known here: what this class
            gives for a few tokens is held against the model's own.
    """

    def __init__(self, backbone: Backbone) -> None:
        head, config = backbone.root.get_output_embeddings(), backbone.root.config
        if head is None:
            raise UserError(f"{type(backbone.root).__name__} has no vocabulary to write with.",
                            "Take a generative model: seedbed models recommend --task chat")
        self.backbone, self.weight, self.bias = backbone, head.weight, getattr(head, "bias", None)
        if self.bias is None and hasattr(backbone.root, "final_logits_bias"):  # BART, Marian: [1, words]
            self.bias = backbone.root.final_logits_bias[0].to(head.weight.dtype)
        text = config.get_text_config()
        self.scale = float(getattr(text, "logit_scale", None) or getattr(text, "lm_head_multiplier", None)
                           or 1 / (getattr(text, "logits_scaling", None) or 1))
        if getattr(text, "scale_decoder_outputs", False):  # T5 with one table for input and output
            self.scale = text.d_model**-0.5
        self.cap = float(getattr(text, "final_logit_softcapping", None) or 0)
        self._prove()

    def losses(self, hidden: Tensor, targets: Tensor, smoothing: float = 0.0, soft: Soft | None = None) -> Tensor:
        """Cross-entropy of each target word in nats. [tokens, width], [tokens] -> [tokens], fp32

        Args:
            smoothing: share of the target's weight that all words get alike (Szegedy et al. 2016, "Rethinking the
                Inception architecture", section 7).
            soft: what a teacher thinks of these tokens, and its share of the loss.
        """
        out: Tensor = TokenLoss.apply(  # type: ignore[no-untyped-call]
            hidden, self.weight, self.bias, targets, self.scale, self.cap, smoothing, soft)
        return out

    def logits(self, hidden: Tensor) -> Tensor:
        """[tokens, width] -> [tokens, words], fp32"""
        return logits(hidden, self.weight, self.bias, self.scale, self.cap)

    @torch.no_grad()  # in inference mode the first pass of layers that are shared out would make buffers for good
    def _prove(self) -> None:
        ids = torch.arange(5, 13, device=self.weight.device)[None] % len(self.weight)
        given, batch = {"input_ids": ids}, Batch(ids, torch.tensor([8], device=ids.device))
        if self.backbone.paired:
            given["decoder_input_ids"], batch = ids, replace(batch, source=batch)
        training = self.backbone.root.training
        self.backbone.root.eval()
        own = self.backbone.root(**given).logits[0].float()
        mine = self.logits(self.backbone.hidden(batch)[0, -8:])
        self.backbone.root.train(training)
        # a model that scales rounds elsewhere than here: each score may differ by what its own rounding is
        rounding = 0.0 if self.scale == 1 else torch.finfo(self.weight.dtype).eps
        off = float(((own - mine).abs() - rounding * own.abs()).max() / own.std())
        if not off < TOLERANCE:
            raise UserError(f"{type(self.backbone.root).__name__} scores its words in a way that is not known here "
                            f"(logits differ by {off:.2g} of their spread).",
                            "Take another model, and report this one.")
