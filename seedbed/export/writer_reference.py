"""The model that forms of it are held against: a model that writes, run by torch in fp32."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..evaluate.costs import Pace
from ..models.paired import Paired, begun, said_in, source_of
from ..models.reach import window_of
from ..models.template import Row, Template
from ..tasks.classify import Floats

SIZES = {"short": 16, "medium": 64, "long": 320}
"""Tokens of the texts that are compared, of an encoder-decoder of the sources; fewer where the context is shorter."""
ANSWERS = {"short": 192, "medium": 64, "long": 48}
"""Tokens that its decoder was given to each: what T5 adds for a distance changes up to 128 tokens."""
BEYOND, FAR = 64, "far"
"""Tokens after a window that is longer than these texts: they alone are compared of a text that reaches past it."""
TIMED = 32
"""Tokens that are read one by one to tell the pace."""
SAID = ("The city lies at the mouth of a river; in 1755 an earthquake destroyed most of it, and it was built anew. ",
        "Der Vertrag läuft bis zum 31. Dezember 2027 und verlängert sich um je 12 Monate. ",
        "def area(width: float, height: float) -> float:\n    return width * height  # m²\n\n",
        "Привет! 今日は3時に会いましょう 👍, ok?\t\tYes:   no.\n\n",
        "{\"id\": 7041, \"total\": 99.50, \"paid\": null}\n")
"""Texts in several scripts, with digits, spaces and code: what tokenizers cut in different ways."""


class Scores(Protocol):
    """What gives logits."""

    def logits(self, ids: Sequence[int], last: int = 1) -> Floats:
        """Logits of every word after each of the last tokens. [last, words]"""


@dataclass(frozen=True)
class Parts:
    """What a model was made of: an adapter, merged into a base.

    Args:
        model: folder of the base, with the values that the adapter was trained on.
        adapter: folder of the adapter, as PEFT writes it.
        base: the base, opened.
    """

    model: Path
    adapter: Path
    base: Reference


@dataclass(frozen=True)
class Reference:
    """The model that was exported, in fp32.

    Args:
        root: transformers' model.
        template: of it.
        ends: tokens at which it stops.
        context: tokens that it reads.
        rows: that it has not learned from; the loss on them is compared.
        unit: number of each row's unit: rows of one unit are alike. None where each stands alone.
        learned: rows that it has learned from; they show which weights matter.
        known: what each of them costs, once it was asked.
        original: the model that parts were taken from to make this one, with the same rows as it reads them; what is
            lost counts from there. None where nothing was taken.
        apart: what it was made of, where forms have base and adapter apart.
    """

    root: Any
    template: Template
    ends: set[int]
    context: int
    rows: Sequence[Row] = ()
    learned: Sequence[Row] = ()
    unit: Sequence[int] | None = None
    known: dict[int, Floats] = field(default_factory=dict)
    original: Reference | None = None
    apart: Parts | None = None

    @classmethod
    def open(cls, model: Path, rows: Sequence[Row] = (), learned: Sequence[Row] = (),
             unit: Sequence[int] | None = None, original: Reference | None = None,
             apart: Parts | None = None) -> Reference:
        """Of a model folder."""
        import torch

        from ..engines.writer import Writer
        from ..models.backbone import Backbone

        writer = Writer(Backbone.open(model, dtype=torch.float32, vocabulary=True, max_tokens=1 << 30))
        return cls(writer.backbone.root, writer.template, writer.ends, writer.max_tokens, rows, learned, unit,
                   original=original, apart=apart)

    def logits(self, ids: Sequence[int], last: int = 1) -> Floats:
        """Logits of every word after each of the last tokens. [last, words]"""
        import torch

        source = source_of(ids)
        with torch.inference_mode():
            read, given = (torch.tensor([list(some)], device=self.root.device)
                           for some in (ids[:source], ids[source:]))
            said = self.root(input_ids=read, decoder_input_ids=given) if source else self.root(
                input_ids=given, logits_to_keep=last)
            found: Floats = said.logits[0, -last:].float().cpu().numpy()
        return found

    @cached_property
    def places(self) -> list[int]:
        """Which of `rows` are compared: those of which a token is learned within the context. Where parts were taken
        away a row must fit both models whole, since its tokens are others where the vocabulary was trimmed."""
        before = self.original or self
        return [at for at, (row, first) in enumerate(zip(self.rows, before.rows, strict=True))
                if first.within(before.context).count
                and (before is self or (self.holds(row) and before.holds(first)))]

    def holds(self, row: Row) -> bool:
        """Whether the model reads a row whole."""
        return not row.cut and len(row.within(self.context).ids) == len(row.ids)

    @cached_property
    def told(self) -> tuple[list[Row], NDArray[np.int64], list[int] | None]:
        """Those of `rows` that are compared; the learned tokens of each, as the original counts them; their units."""
        before = self.original or self
        return [self.rows[at] for at in self.places], np.array([
            before.rows[at].within(before.context).count for at in self.places]), (
            None if self.unit is None else [self.unit[at] for at in self.places])

    @cached_property
    def before(self) -> NDArray[np.float64]:
        """What each of these rows costs the original. [rows] nats"""
        before = self.original or self
        return np.array([float(before.nats(before.rows[at]).sum()) for at in self.places])

    def rise(self, model: Scores) -> float:
        """How much more a learned token of `learned` costs a form than the original, in nats."""
        before = self.original or self
        pairs = [(row, first) for row, first in zip(self.learned, before.learned, strict=True)
                 if first.within(before.context).count and self.holds(row) and before.holds(first)]
        more = sum(float(nats(model, row, self.context).sum() - before.nats(first).sum()) for row, first in pairs)
        return more / max(1, sum(first.count for _, first in pairs))

    def nats(self, row: Row) -> Floats:
        """What each learned token of one of `rows` costs, asked once. [learned tokens]"""
        if id(row) not in self.known:
            self.known[id(row)] = nats(self, row, self.context)
        return self.known[id(row)]

    @cached_property
    def importance(self) -> dict[str, Floats]:
        """How much an error in each column of a weight matters, by the weight's name: the mean square of what is
        multiplied with it, over the tokens of `learned` (what llama.cpp calls an importance matrix). [width] each"""
        sums, tokens = dict[str, Any](), sum(len(row.ids[:self.context]) for row in self.learned)

        def add(name: str, entered: Any) -> None:
            sums[name] = sums.get(name, 0) + entered.square().sum(0).double()
        self._watch(add)
        return {f"{name}.weight": (total / tokens).float().cpu().numpy() for name, total in sums.items()}

    @cached_property
    def largest(self) -> dict[str, Floats]:
        """The largest magnitude in each column of what enters a linear layer, over the tokens of `learned`, by the
        layer's name. [width] each"""
        found = dict[str, Floats]()

        def see(name: str, entered: Any) -> None:
            most = entered.abs().amax(0).float().cpu().numpy()
            found[name] = np.maximum(found[name], most) if name in found else most
        self._watch(see)
        return found

    def _watch(self, see: Callable[[str, Any], None]) -> None:
        """Read `learned`, and show what enters each linear layer, by its name. [tokens, width]"""
        import torch

        hooks = [module.register_forward_pre_hook(
            lambda module, given, name=name: see(name, given[0].flatten(0, -2)))
            for name, module in self.root.named_modules() if isinstance(module, torch.nn.Linear)]
        try:
            with torch.inference_mode():
                for row in self.learned:
                    self.root.base_model(input_ids=torch.tensor([row.ids[:self.context]], device=self.root.device))
        finally:
            for one in hooks:
                one.remove()

    @cached_property
    def said(self) -> dict[str, Floats]:
        """Its logits after the tokens of `texts` that are compared, asked once. [tokens, words] each"""
        return {size: self.logits(ids, self.compared(size)) for size, ids in self.texts().items()}

    def pace(self) -> Pace:
        """How fast it reads and writes here, with a cache."""
        return paced(self.root, self.texts()["long"])

    def texts(self) -> dict[str, list[int]]:
        """Tokens to compare, by size; of an encoder-decoder a source and what its decoder was given. One reaches past
        the window of a model that looks back only so far."""
        words = self.template.tokenizer("".join(SAID), split_special_tokens=True, verbose=False)["input_ids"]
        sizes, window = dict(SIZES), window_of(self.root.config) or 0
        if window + BEYOND > max(SIZES.values()):
            sizes[FAR] = window + BEYOND
        most = min(max(sizes.values()), self.context - 1)
        stream = (list(words) * (most // max(1, len(words)) + 1))[:most]
        if self.template.start is None:
            return {name: stream[:size] for name, size in sizes.items()}
        return {name: Paired(stream[:size], [self.template.start, *reversed(stream)][:ANSWERS[name]])
                for name, size in SIZES.items()}

    def compared(self, size: str) -> int:
        """How many of the last tokens of a text are compared: all that it could go on from, but of the far one."""
        return BEYOND if size == FAR else said_in(self.texts()[size])

    @property
    def walked(self) -> list[int]:
        """The text that is read token by token, and written on: it reaches past the window, where there is one."""
        texts, window = self.texts(), window_of(self.root.config) or 0
        return next((ids for ids in (texts["medium"], texts["long"]) if len(ids) > window), [*texts.values()][-1])

    @property
    def spoken(self) -> list[list[int]]:
        """Beginnings of `walked` that are read with the same tokens where they are given as a text, as some runtimes
        take nothing else: the longest first. All of it where there are none."""
        words, ids = self.template.tokenizer, self.walked
        found = [ids[:end] for end in range(len(ids), len(ids) // 2, -1) if words(
            words.decode(ids[:end]), add_special_tokens=False, verbose=False)["input_ids"] == ids[:end]]
        return found or [ids]


def paced(root: Any, ids: Sequence[int]) -> Pace:
    """How fast a model of transformers reads these tokens and writes the last of them, with a cache."""
    import torch

    from ..engines.cache import cache_of, read_once

    source, kept = source_of(ids), dict[str, Any]()

    @torch.inference_mode()
    def read(every: Sequence[int], new: int) -> None:
        given = torch.tensor([list(every[max(source, len(every) - new):])], device=root.device)
        if not kept:
            kept.update(read_once(root, torch.tensor([list(every[:source])], device=root.device)) if source else {
                "past_key_values": cache_of(root.config), "logits_to_keep": 1})
        root(**{"decoder_input_ids" if source else "input_ids": given}, use_cache=True, **kept)

    return timed(ids, read)


def timed(ids: Sequence[int], read: Callable[[Sequence[int], int], object]) -> Pace:
    """How fast tokens are read together, and then one by one.

    Args:
        ids: of an encoder-decoder the source, and what its decoder was given.
        read: takes all tokens so far, and how many of them are new.
    """
    first = len(ids) - min(TIMED, said_in(ids) // 2)
    begun_at = time.monotonic()
    read(begun(ids, first), first)
    between = time.monotonic()
    for at in range(first, len(ids)):
        read(begun(ids, at + 1), 1)
    done = time.monotonic()
    return Pace(reads=first / (between - begun_at), writes=(len(ids) - first) / (done - between))


def nats(model: Scores, row: Row, context: int) -> Floats:
    """What each learned token of a row costs. [learned tokens]"""
    row = row.within(context)
    ids, places = row.ids, [i for i, learned in enumerate(row.learned) if learned and i]
    said = logs(model.logits(begun(ids, len(ids) - 1), len(ids) - places[0]))
    return np.asarray(-said[np.array(places) - places[0], [ids[i] for i in places]])


def logs(logits: Floats) -> Floats:
    """Log-probabilities."""
    wide = np.asarray(logits, np.float64)
    wide = wide - wide.max(-1, keepdims=True)
    return np.asarray(wide - np.log(np.exp(wide).sum(-1, keepdims=True)))
