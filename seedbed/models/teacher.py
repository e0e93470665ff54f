"""What a teacher thinks of tokens, its likeliest words alone, and how far a student is from it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

FLOOR = -100.0
"""Log-probabilities are not told apart below it: e to it is nothing in fp32."""


@dataclass(frozen=True)
class Soft:
    """A teacher's distribution before each of some tokens: its k likeliest words, and all others as one.

    With all words among the k the divergence is exact. With fewer it is that of the distributions in which all other
    words are one: never more than the exact one (the log sum inequality), and the student is free to share out what
    it gives to the others.

    Args:
        words: [tokens, k] ids of the likeliest words.
        logs: [tokens, k + 1] their log-probabilities at the temperature, and that of all others together, fp32.
        temperature: divides the scores of both (Hinton et al. 2015, "Distilling the knowledge in a neural network");
            the divergence is multiplied by its square, so that its gradient keeps its size.
        share: of the divergence in the loss; the rest is cross-entropy.
        reverse: KL(student || teacher), which leaves out what the teacher would not say (Gu et al. 2023, "MiniLLM"),
            instead of KL(teacher || student), which covers all that it would.
    """

    words: Tensor
    logs: Tensor
    temperature: float = 1.0
    share: float = 0.5
    reverse: bool = False

    def divergence(self, scores: Tensor, at: slice, wanted: bool) -> tuple[Tensor, Tensor]:
        """Of a student from the teacher, at some of the tokens, in nats.

        Args:
            scores: [some, words] of the student; not changed.
            wanted: the gradient is asked for.

        Returns:
            [some] the divergence, and [some, words] its gradient to the scores (empty if it is not wanted).
        """
        words, q = (one[at].to(scores.device) for one in (self.words, self.logs))
        q = q.clamp(min=FLOOR)
        logs = (scores / self.temperature).log_softmax(-1)
        mine = logs.gather(1, words)
        others = logs.exp_().scatter_(1, words, 0.0)                          # [some, words] outside the k
        rest = others.sum(-1, keepdim=True)
        p = torch.cat((mine, rest.log()), 1).clamp(min=FLOOR)                 # [some, k + 1]
        here, there = p.exp(), q.exp()
        if self.reverse:
            apart = (here * (p - q)).sum(-1)
            slope = here * (p - q - apart[:, None])
        else:
            apart = (there * (q - p)).sum(-1)
            slope = here - there
        square = self.temperature ** 2
        if not wanted:
            return apart * square, scores.new_empty(0)
        # what holds for all others together is shared out as the student shares them
        grad = others.mul_(slope[:, -1:] / rest.clamp(min=1e-30)).scatter_(1, words, slope[:, :-1])
        return apart * square, grad.mul_(self.temperature)
