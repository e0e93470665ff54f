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
        figures, more = one.figures(before, one.judge(part, some, progress), some, config.seed)
        _hold(figures[0], config.floor)
        last, size = whole.parameters, {"before": size_of(one.body), "after": size_of(part)}
        del whole
        one.finish(part, out, figures, some)
    done = Compressed(
        created=datetime.now(UTC).isoformat(timespec="seconds"), model=str(model), kind=one.kind, texts=some.name,
        config={**asdict(config), "how": list(config.how)}, steps=steps, size=size,
        parameters={"before": first, "after": last},
        rows={"calibration": len(some.calibration), "judged": len(some.held)}, figures=figures,
        notes=[*notes, *more], seconds=time.monotonic() - begun)
    (out / RESULT).write_text(done.model_dump_json(indent=1), encoding="utf-8")
    return done


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
    """Raises QualityFloor where the leading figure surely lost more than it may."""
    if floor is not None and lead.gain is not None and lead.gain.high < -floor:
        raise QualityFloor(
            f"The smaller model loses {-lead.gain.value:.3f} ({-lead.gain.high:.3f} to {-lead.gain.low:.3f}) in "
            f"{lead.title}, more than the {floor:g} allowed. Nothing was written.",
            "Raise --keep or --floor, or heal it afterwards: seedbed train FILE --model FOLDER --teacher ORIGINAL")


def _vocabulary(whole: Whole, one: Subject, some: Corpus, config: CompressConfig, progress: Progress) -> Step:
    from ..compress.result import Step
    from ..compress.vocabulary import trim

    had = int(whole.model.config.vocab_size)
    kept = trim(whole, one.rows(whole.tokenizer, some.calibration), config.words)
    return Step(how="vocabulary", said=f"{len(kept):,} of {had:,} words of the vocabulary stay.", before=had,
                after=len(kept), parameters=whole.parameters, kept=kept)


_STEPS: dict[str, Callable[[Whole, Subject, Corpus, CompressConfig, Progress], Step]] = {
    "vocabulary": _vocabulary}
