"""Make a model smaller, step by step: read, judge, take away, judge again, write. Methods are in `compress`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compress.config import HOW, CompressConfig
from ..errors import QualityFloor, UserError
from ..progress import SILENT, Progress

if TYPE_CHECKING:
    from ..compress.calibration import Calibration
    from ..compress.result import Compressed, Step
    from ..compress.whole import Whole
    from ..evaluate.figures import Figure
    from .subjects import Corpus, Subject


def shrink(model: str | Path, config: CompressConfig | None = None, *, out: str | Path,
           texts: str | Path | None = None, progress: Progress = SILENT) -> Compressed:
    """Take away what a model's texts do not need, and measure what that costs on texts that had no say in it.

    Args:
        model: a run of `seedbed run` or `seedbed train`, a bundle, a model folder, or a card.
        config: what is taken away, and how much.
        out: the folder to be, which must be new; a bundle where `model` is one.
        texts: a file of texts, or a folder of documents; a run has its own when none is named.
        progress: listener.

    Raises:
        UserError: it cannot be made smaller in this way. QualityFloor: it loses more than `config.floor`, or does
            not read texts as before. Nothing is written then.
    """
    from ..compress.result import RESULT, Compressed
    from ..compress.whole import Whole, size_of
    from ..export.beside import beside
    from ..models.runtime import runtime
    from ..options import check
    from .subjects import corpus, subject

    config, begun, out = config or CompressConfig(), time.monotonic(), Path(out).absolute()
    check(config)
    if not config.how:
        raise UserError("--how names nothing to take away.", f"Name one or more of: {', '.join(HOW)}.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already.", "Name another folder, or remove it first.")
    one = subject(str(model), progress)
    some = corpus(one, None if texts is None else str(texts), config, progress)
    progress.note(f"{len(some.calibration):,} texts decide what stays, {len(some.held):,} others judge.")
    progress.note(runtime().line)
    _refuse(one, config)  # before the long work
    before = one.judge(one.body, some, progress)
    whole = Whole.open(one.body)
    first, steps, notes = whole.parameters, list["Step"](), list[str]()
    out.parent.mkdir(parents=True, exist_ok=True)
    with beside(out) as part:
        for how in (name for name in HOW if name in config.how):
            steps.append(_STEPS[how](whole, one, some, config, progress))
            progress.note(steps[-1].said)
        part.mkdir()
        _save(whole, part, steps, one, some, notes)
        last, size = whole.parameters, {"before": size_of(one.body), "after": size_of(part)}
        del whole  # memory for the model that is judged
        figures, more = one.figures(before, one.judge(part, some, progress), some, config.seed)
        _hold(figures[0], config.floor)
        one.finish(part, out, figures, some)
    done = Compressed(
        created=datetime.now(UTC).isoformat(timespec="seconds"), model=str(model), kind=one.kind, texts=some.name,
        config={**asdict(config), "how": list(config.how)}, steps=steps, size=size,
        parameters={"before": first, "after": last},
        rows={"calibration": len(some.calibration), "judged": len(some.held)}, figures=figures,
        notes=[*notes, *more], seconds=time.monotonic() - begun)
    (out / RESULT).write_text(done.model_dump_json(indent=1), encoding="utf-8")
    return done


def _refuse(one: Subject, config: CompressConfig) -> None:
    """Raises UserError where the model's family cannot be made smaller as asked."""
    from transformers import AutoConfig

    from ..compress.families import refuse

    if how := [name for name in config.how if name != "vocabulary"]:
        refuse(AutoConfig.from_pretrained(one.body, local_files_only=True), how)


def _save(whole: Whole, part: Path, steps: list[Step], one: Subject, some: Corpus, notes: list[str]) -> None:
    """Write the smaller model; where it has fewer words, prove its tokenizer on all texts."""
    from transformers import AutoTokenizer

    from ..compress.vocabulary import prove, save_tokenizer

    whole.save(part)
    for step in (step for step in steps if step.how == "vocabulary"):
        save_tokenizer(part, step.kept)
        small = AutoTokenizer.from_pretrained(part, local_files_only=True)
        for name, texts in (("calibration", some.calibration), ("judged", some.held)):
            other = prove(whole.tokenizer, small, step.kept, [text.plain for text in texts], one.writes)
            notes.append(f"{len(texts) - other:,} of {len(texts):,} {name} texts are cut into the very same tokens.")
        if not one.writes and (unknown := whole.tokenizer.unk_token_id) is not None:
            rates = [_rate(tokenizer, [text.plain for text in some.held], id) for tokenizer, id in (
                (whole.tokenizer, unknown), (small, small.unk_token_id))]
            notes.append(f"Tokens of the judged texts that are unknown: {rates[0]:.2%} before, {rates[1]:.2%} after.")


def _rate(tokenizer: Any, texts: list[str], unknown: int) -> float:
    """Share of the tokens that stand for something that has none."""
    ids: list[int] = [id for row in tokenizer(texts)["input_ids"] for id in row]
    return ids.count(unknown) / max(1, len(ids))


def _hold(lead: Figure, floor: float | None) -> None:
    """Raises QualityFloor unless the leading figure is proven to lose no more than it may."""
    if floor is not None and lead.gain is not None and lead.gain.low < -floor:
        raise QualityFloor(
            f"The smaller model loses {-lead.gain.value:.3f} ({-lead.gain.high:.3f} to {-lead.gain.low:.3f}) in "
            f"{lead.title}: that it is no more than {floor:g} is not proven. Nothing was written.",
            "Raise --keep or --floor, or heal it afterwards: seedbed train FILE --model FOLDER --teacher ORIGINAL")


def _vocabulary(whole: Whole, one: Subject, some: Corpus, config: CompressConfig, progress: Progress) -> Step:
    from ..compress.result import Step
    from ..compress.vocabulary import trim

    had = int(whole.model.config.vocab_size)
    kept = trim(whole, [row.ids for row in one.rows(whole.tokenizer, some.calibration)], config.words)
    return Step(how="vocabulary", said=f"{len(kept):,} of {had:,} words of the vocabulary stay.", before=had,
                after=len(kept), parameters=whole.parameters, kept=kept)


def _layers(whole: Whole, one: Subject, some: Corpus, config: CompressConfig, progress: Progress) -> Step:
    from ..compress.layers import drop
    from ..compress.result import Step

    had = int(whole.model.config.num_hidden_layers)
    kept = drop(whole, _calibration(whole, one, some, config, progress), config.keep, config.layers)
    gone = ", ".join(str(at + 1) for at in range(had) if at not in kept)
    return Step(how="layers", said=f"{len(kept)} of {had} layers stay" + (f"; those that go are {gone}." if gone else
                                                                          "."),
                before=had, after=len(kept), parameters=whole.parameters, kept=kept)


def _heads(whole: Whole, one: Subject, some: Corpus, config: CompressConfig, progress: Progress) -> Step:
    from ..compress.heads import behead
    from ..compress.result import Step

    had = int(whole.model.config.num_attention_heads)
    kept = behead(whole, _calibration(whole, one, some, config, progress), config.keep)
    now = int(whole.model.config.num_attention_heads)
    return Step(how="heads", said=f"{now} of {had} attention heads of each layer stay.", before=had, after=now,
                parameters=whole.parameters, kept=kept)


def _mlp(whole: Whole, one: Subject, some: Corpus, config: CompressConfig, progress: Progress) -> Step:
    from ..compress.mlp import narrow
    from ..compress.result import Step

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


_STEPS: dict[str, Callable[[Whole, Subject, Corpus, CompressConfig, Progress], Step]] = {
    "layers": _layers, "heads": _heads, "mlp": _mlp, "vocabulary": _vocabulary}
