"""Many prompts answered together: a batch reads the weights once for all its rows, and writing waits for that."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..data.turns import Turn
from ..options import check
from ..progress import SILENT, Progress
from .cache import cache_of, read_once
from .sampling import Sampling
from .writer import Writer

ROWS, TOKENS = 16, 4096
"""Rows and prompt tokens of one batch, at most."""


def answers(writer: Writer, asked: Sequence[Sequence[Turn]], sampling: Sampling = Sampling(),
            progress: Progress = SILENT) -> list[str]:
    """The assistant's next turn in each conversation, as `Writer.answer` would write it, in batches.

    With a temperature each row draws by itself: its text does not depend on its company.

    Args:
        asked: the turns of each conversation so far.

    Raises:
        UserError: a prompt fills the model's whole context; a value is out of bounds.
    """
    prompts = [writer.asked(turns) for turns in asked]
    return continued(writer, prompts, sampling, progress)


def continued(writer: Writer, prompts: Sequence[list[int]], sampling: Sampling = Sampling(),
              progress: Progress = SILENT) -> list[str]:
    """What follows tokens that leave room to go on, in batches; as `answers`.

    Raises:
        UserError: a value is out of bounds.
    """
    check(sampling)
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    out, work = [""] * len(prompts), "answer"
    progress.start(work, len(prompts), "texts")
    while order:
        rows = max(1, min(ROWS, TOKENS // len(prompts[order[0]])))
        some, order = order[:rows], order[rows:]
        for place, text in zip(some, _batch(writer, [prompts[i] for i in some], some, sampling), strict=True):
            out[place] = text
        progress.advance(work, len(some))
    progress.done(work)
    return out


@torch.inference_mode()
def _batch(writer: Writer, prompts: list[list[int]], places: list[int], sampling: Sampling) -> list[str]:
    made: list[list[int]] = [[] for _ in prompts]
    texts, stops = [""] * len(prompts), [one for one in sampling.stop if one]
    most = [min(sampling.max_tokens, writer.room(ids)) for ids in prompts]
    drawings = [writer.drawing(sampling, place) for place in places]
    left, alive = list(range(len(prompts))), [True] * len(prompts)
    steps = (_Decoder if writer.backbone.paired else _Steps)(writer, prompts)
    while any(alive):
        scores = steps.scores().float().cpu()  # the same draw on every device
        for at, row in enumerate(left):
            if not alive[row]:
                continue
            token = drawings[row].next(scores[at])
            alive[row] = token not in writer.ends
            if alive[row]:
                made[row].append(token)
                texts[row] = writer.backbone.tokenizer.decode(made[row], skip_special_tokens=True) if stops else ""
                alive[row] = len(made[row]) < most[row] and not drawings[row].ended and not any(
                    stop in texts[row] for stop in stops)
        going = [at for at, row in enumerate(left) if alive[row]]
        if 2 * len(going) > len(left):  # some that have ended go along: each new number of rows costs memory for good
            going = list(range(len(left)))
        left = [left[at] for at in going]
        if left:
            steps.add([made[row][-1] if alive[row] else 0 for row in left], [alive[row] for row in left], going)
    return [_until(writer.backbone.tokenizer.decode(ids, skip_special_tokens=True), stops) for ids in made]


def _until(text: str, stops: Sequence[str]) -> str:
    return text[:min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]


class _Steps:
    """Prompts padded on the left, so that all rows go on at the same place, and what the model keeps of them."""

    def __init__(self, writer: Writer, prompts: list[list[int]]) -> None:
        self.root, self.device = writer.backbone.root, writer.backbone.device
        wide = writer.backbone.width_of(max(map(len, prompts)))
        pad = writer.backbone.tokenizer.pad_token_id or 0
        self.ids = self.put([[pad] * (wide - len(ids)) + ids for ids in prompts])             # [rows, tokens]
        self.mask = self.put([[0] * (wide - len(ids)) + [1] * len(ids) for ids in prompts])
        self.cache = cache_of(self.root.config)
        self.placed = "position_ids" in inspect.signature(self.root.forward).parameters

    def put(self, values: list[Any]) -> Tensor:
        """Numbers where the model is."""
        return torch.tensor(values, device=self.device)

    def scores(self) -> Tensor:
        """Of the next token of each row. [rows, words]"""
        places = (self.mask.cumsum(1) - 1).clamp(min=0)[:, -self.ids.shape[1]:]
        given = {"position_ids": places} if self.placed else {}
        out: Tensor = self.root(input_ids=self.ids, attention_mask=self.mask, past_key_values=self.cache,
                                use_cache=True, logits_to_keep=1, **given).logits
        return out[:, -1]

    def add(self, tokens: list[int], alive: list[bool], kept: list[int]) -> None:
        """Go on with these rows alone, each with its token; the token of one that has ended does not count."""
        if len(kept) < len(self.mask):
            chosen = self.put(kept)
            self.cache.reorder_cache(chosen)
            self.mask = self.mask[chosen]
        self.ids = self.put(tokens)[:, None]
        self.mask = torch.cat((self.mask, self.put(alive).long()[:, None]), 1)


class _Decoder(_Steps):
    """Sources that an encoder read once, padded on the right; what is written begins at the same place for all."""

    def __init__(self, writer: Writer, prompts: list[list[int]]) -> None:
        self.root, self.device = writer.backbone.root, writer.backbone.device
        source = writer.backbone.padded(prompts)
        self.given = read_once(self.root, source.ids, source.mask)
        self.ids = self.put([[writer.template.start]] * len(prompts))

    def scores(self) -> Tensor:
        out: Tensor = self.root(decoder_input_ids=self.ids, use_cache=True, **self.given).logits
        return out[:, -1]

    def add(self, tokens: list[int], alive: list[bool], kept: list[int]) -> None:
        if len(kept) < len(self.ids):
            chosen, read = self.put(kept), self.given["encoder_outputs"]
            read.last_hidden_state = read.last_hidden_state[chosen]
            if self.given["attention_mask"] is not None:
                self.given["attention_mask"] = self.given["attention_mask"][chosen]
            self.given["past_key_values"].reorder_cache(chosen)
        self.ids = self.put(tokens)[:, None]
