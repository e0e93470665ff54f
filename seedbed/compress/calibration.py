"""Texts by which it is seen what a model does not need: its loss on them, and what its parts contribute."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..models.template import Row
from ..progress import SILENT, Progress
from .whole import Whole

LONGEST = 512
"""Tokens of a text that are read."""
AT_ONCE, SCORES = 1024, 1 << 26
"""Tokens of a forward pass, and scores of words that it may hold: what is kept for the backward pass is a few times
that."""


class Calibration:
    """A model's rows to be calibrated by, in batches of similar length.

    A model that writes is judged by its cross-entropy of what is learned of them; any other by how far its last
    activations are from those that it had when this was made (1 - cosine, a token).

    Args:
        whole: the model, which may be changed between the calls.
        rows: tokens, and which of them are learned.
        writes: it is a model that writes.
        progress: listener.
    """

    def __init__(self, whole: Whole, rows: Sequence[Row], writes: bool, progress: Progress = SILENT) -> None:
        self.whole, self.writes, self.progress = whole, writes, progress
        kept = [Row(row.ids[:LONGEST], row.learned[:LONGEST]) for row in rows]
        kept = [row for row in kept if row.count]
        most = min(AT_ONCE, SCORES // int(whole.model.config.vocab_size)) if self.writes else AT_ONCE
        self.batches = list[list[Row]]()
        for row in sorted(kept, key=lambda row: -len(row.ids)):
            last = self.batches[-1] if self.batches else []
            if last and len(last[0].ids) * (len(last) + 1) <= most:
                last.append(row)
            else:
                self.batches.append([row])
        self.first = [] if self.writes else [self._last(batch) for batch in self.batches]

    @property
    def texts(self) -> int:
        return sum(map(len, self.batches))

    def run(self, batch: Sequence[Row]) -> tuple[Any, Tensor]:
        """What the model gives for a batch, and which of its places are tokens. mask: [rows, tokens]"""
        wide = max(len(row.ids) for row in batch)
        ids, mask = torch.zeros(len(batch), wide, dtype=torch.long), torch.zeros(len(batch), wide, dtype=torch.long)
        for at, row in enumerate(batch):
            ids[at, :len(row.ids)], mask[at, :len(row.ids)] = torch.tensor(row.ids), 1
        model = self.whole.model if self.writes else self.whole.model.base_model
        return model(input_ids=ids, attention_mask=mask, use_cache=False), mask.bool()

    def loss(self, work: str = "") -> float:
        """Mean over all tokens, as the model is now."""
        with torch.inference_mode(), computing(self.whole):
            total = sum(float(self.losses(at).sum()) for at in self.through(work))
        return total / sum(row.count if self.writes else len(row.ids) for batch in self.batches for row in batch)

    def losses(self, at: int) -> Tensor:
        """The summed loss of each row of a batch. [rows]"""
        batch = self.batches[at]
        out, mask = self.run(batch)
        if not self.writes:
            alike = nn.functional.cosine_similarity(out.last_hidden_state, self.first[at], dim=-1)
            return ((1 - alike) * mask).sum(1)
        learned = torch.zeros_like(mask)
        for number, row in enumerate(batch):
            learned[number, 1:len(row.ids)] = torch.tensor(row.learned[1:])
        targets = torch.zeros(mask.shape, dtype=torch.long)
        for number, row in enumerate(batch):
            targets[number, :len(row.ids)] = torch.tensor(row.ids)
        scores = out.logits[:, :-1].transpose(1, 2).float()                  # [rows, words, tokens - 1]
        each = nn.functional.cross_entropy(scores, targets[:, 1:], reduction="none")
        return (each * learned[:, 1:]).sum(1)

    def watch(self, modules: Sequence[nn.Module], see: Callable[[int, Tensor, Tensor], None], work: str,
              gradient: bool = False) -> None:
        """Run all texts and look at what enters some modules.

        Args:
            see: is given the number of a module, what entered it [rows, tokens, width] without padding (zeros), and
                the loss's gradient to that (with `gradient`; else the mask of tokens [rows, tokens]).
            work: what is reported.
        """
        entered = dict[int, Tensor]()

        def hook(number: int) -> Callable[..., None]:
            def keep(module: nn.Module, given: tuple[Tensor, ...], said: dict[str, Any]) -> None:
                entered[number] = given[0] if given else said["hidden_states"]
                if gradient:
                    entered[number].retain_grad()
            return keep

        def root(module: nn.Module, given: Any, out: Tensor) -> Tensor:
            return out.requires_grad_()
        hooks = [module.register_forward_pre_hook(hook(number), with_kwargs=True)
                 for number, module in enumerate(modules)]
        if gradient:
            hooks.append(self.whole.model.get_input_embeddings().register_forward_hook(root))
        try:
            with computing(self.whole), torch.set_grad_enabled(gradient):
                for at in self.through(work):
                    if gradient:
                        self.losses(at).sum().backward()  # type: ignore[no-untyped-call]
                        for number, one in entered.items():
                            assert one.grad is not None
                            see(number, one.detach(), one.grad)
                    else:
                        _, mask = self.run(self.batches[at])
                        for number, one in entered.items():
                            see(number, one, mask)
                    entered.clear()
        finally:
            for each in hooks:
                each.remove()

    def _last(self, batch: Sequence[Row]) -> Tensor:
        with torch.inference_mode(), computing(self.whole):
            out: Tensor = self.run(batch)[0].last_hidden_state
        return out

    def through(self, work: str) -> Iterator[int]:
        """The numbers of the batches, reported."""
        if work:
            self.progress.start(work, self.texts, "texts")
        for at, batch in enumerate(self.batches):
            yield at
            if work:
                self.progress.advance(work, len(batch))
        if work:
            self.progress.done(work)


@contextmanager
def computing(whole: Whole) -> Iterator[None]:
    """Within it the model is in fp32, whatever it is stored in: a CPU may compute nothing else quickly. Values come
    back as they were, since fp32 holds each of them."""
    dtype = whole.model.dtype
    whole.model.to(torch.float32)
    try:
        yield
    finally:
        whole.model.to(dtype)
