"""The parts that are taken from a model, one after the other: words, layers, heads, units of the MLPs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..compress.config import CompressConfig
from ..compress.result import Step
from ..progress import Progress

if TYPE_CHECKING:
    from ..compress.calibration import Calibration
    from ..compress.whole import Whole
    from .subjects import Corpus, Subject


def _vocabulary(whole: Whole, one: Subject, some: Corpus, config: CompressConfig, progress: Progress) -> Step:
    from ..compress.vocabulary import trim

    had = int(whole.model.config.vocab_size)
    kept = trim(whole, [row.ids for row in one.rows(whole.tokenizer, some.calibration)], config.words)
    return Step(how="vocabulary", said=f"{len(kept):,} of {had:,} words of the vocabulary stay.", before=had,
                after=len(kept), parameters=whole.parameters, kept=kept)


def _layers(whole: Whole, one: Subject, some: Corpus, config: CompressConfig, progress: Progress) -> Step:
    from ..compress.layers import drop

    had = int(whole.model.config.num_hidden_layers)
    kept = drop(whole, _calibration(whole, one, some, config, progress), config.keep, config.layers)
    gone = ", ".join(str(at + 1) for at in range(had) if at not in kept)
    return Step(how="layers", said=f"{len(kept)} of {had} layers stay" + (f"; those that go are {gone}." if gone else
                                                                          "."),
                before=had, after=len(kept), parameters=whole.parameters, kept=kept)


def _heads(whole: Whole, one: Subject, some: Corpus, config: CompressConfig, progress: Progress) -> Step:
    from ..compress.heads import behead

    had = int(whole.model.config.num_attention_heads)
    kept = behead(whole, _calibration(whole, one, some, config, progress), config.keep)
    now = int(whole.model.config.num_attention_heads)
    return Step(how="heads", said=f"{now} of {had} attention heads of each layer stay.", before=had, after=now,
                parameters=whole.parameters, kept=kept)


def _mlp(whole: Whole, one: Subject, some: Corpus, config: CompressConfig, progress: Progress) -> Step:
    from ..compress.mlp import narrow

    had = int(whole.model.config.intermediate_size)
    kept = narrow(whole, _calibration(whole, one, some, config, progress), config.keep)
    now = int(whole.model.config.intermediate_size)
    return Step(how="mlp", said=f"{now:,} of {had:,} units of each layer's MLP stay.", before=had, after=now,
                parameters=whole.parameters, kept=kept)


def _calibration(whole: Whole, one: Subject, some: Corpus, config: CompressConfig, progress: Progress) -> Calibration:
    """Some of the texts that decide."""
    import numpy as np

    from ..compress.calibration import Calibration
    count = len(some.calibration)
    drawn = np.random.default_rng(config.seed).permutation(count)[:config.calibrated]
    rows = one.rows(whole.tokenizer, [some.calibration[at] for at in sorted(drawn.tolist())])
    return Calibration(whole, rows, one.writes, progress)


PARTS: dict[str, Callable[[Whole, Subject, Corpus, CompressConfig, Progress], Step]] = {
    "layers": _layers, "heads": _heads, "mlp": _mlp, "vocabulary": _vocabulary}
