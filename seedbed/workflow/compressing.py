"""Make a model smaller, step by step: read, judge, take away, judge again, write. Methods are in `compress`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compress.config import HOW, CompressConfig
from ..errors import QualityFloor, UserError
from ..progress import SILENT, Progress
from .parts import PARTS

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
    config, out = config or CompressConfig(), Path(out).absolute()
    work = Shrinking(model, config, out, texts, progress)
    return work.take([(how, config.keep) for how in config.how], out, config.floor)


class Shrinking:
    """A model that is to be made smaller, with the texts that decide what stays and those that judge.

    Args:
        model, texts, progress: as `shrink` takes them.
        out: the folder to be.
        spare: of a run's rows that decide leave out those that `forms.set_apart` keeps.

    Raises:
        UserError: nothing is to be taken away, the folder is taken, or the model cannot be made smaller so.
    """

    def __init__(self, model: str | Path, config: CompressConfig, out: Path, texts: str | Path | None = None,
                 progress: Progress = SILENT, *, spare: bool = False) -> None:
        from ..models.runtime import runtime
        from ..options import check
        from .subjects import corpus, subject

        check(config)
        if not config.how:
            raise UserError("--how names nothing to take away.", f"Name one or more of: {', '.join(HOW)}.")
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UserError(f"{out} is there already.", "Name another folder, or remove it first.")
        self.model, self.config, self.progress = str(model), config, progress
        self.one = subject(self.model, progress)
        self.some = corpus(self.one, None if texts is None else str(texts), config, progress, spare=spare)
        learned, held = len(self.some.calibration), len(self.some.held)
        progress.note(f"{learned:,} texts decide what stays, {held:,} others judge.")
        progress.note(runtime().line)
        _refuse(self.one, config)  # before the long work

    @cached_property
    def _before(self) -> Any:
        """What the model makes of the texts that judge."""
        return self.one.judge(self.one.body, self.some, self.progress)

    def take(self, parts: Sequence[tuple[str, float]], out: Path, floor: float | None = None) -> Compressed:
        """Take parts away, judge, and write the smaller model.

        Args:
            parts: words of `--how`, each with the share of it that stays.
            out: the folder to be.
            floor: the most that the leading figure may lose, where that is to be proven.

        Raises:
            As `shrink`.
        """
        from ..compress.result import RESULT, Compressed
        from ..compress.whole import Whole, size_of
        from ..export.beside import beside

        one, some, config, progress = self.one, self.some, self.config, self.progress
        before, begun = self._before, time.monotonic()
        whole = Whole.open(one.body)
        first, steps, notes = whole.parameters, list["Step"](), list[str]()
        out.parent.mkdir(parents=True, exist_ok=True)
        with beside(out) as part:
            for how, keep in sorted(parts, key=lambda each: HOW.index(each[0])):
                steps.append(PARTS[how](whole, one, some, replace(config, keep=keep), progress))
                progress.note(steps[-1].said)
            part.mkdir()
            _save(whole, part, steps, one, some, notes)
            last, size = whole.parameters, {"before": size_of(one.body), "after": size_of(part)}
            del whole  # memory for the model that is judged
            figures, more = one.figures(before, one.judge(part, some, progress), some, config.seed)
            _hold(figures[0], floor)
            one.finish(part, out, figures, some)
        done = Compressed(
            created=datetime.now(UTC).isoformat(timespec="seconds"), model=self.model, kind=one.kind, texts=some.name,
            config={**asdict(config), "how": [how for how, _ in parts], "keep": dict(parts)}, steps=steps, size=size,
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
