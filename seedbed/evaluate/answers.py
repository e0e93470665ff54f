"""What written answers score, before and after training."""

from __future__ import annotations

from collections.abc import Sequence

from ..tasks.write import Write
from .cases import by_unit, figure
from .figures import Figure


def figures(task: Write, before: Sequence[str], after: Sequence[str], references: Sequence[str],
            inputs: Sequence[str], baseline: Sequence[str] | None = None, *, unit: Sequence[int] | None = None,
            seed: int = 0) -> list[Figure]:
    """The task's figures of two sets of answers to the same rows, the leading one first.

    Args:
        before, after: [rows] answers of the model as it was, and as it is.
        references: [rows] what should be written.
        inputs: [rows] what was asked.
        baseline: [rows] answers that need no model (`task.baseline`).
        unit: [rows] number of the row's unit: rows of one document are alike, so intervals are over units.
        seed: of the exchanges.

    Raises:
        ValueError: fewer than two rows, or not as many answers as rows.
    """
    sets = [answers for answers in (before, after, baseline) if answers is not None]
    if len(references) < 2 or any(len(answers) != len(references) for answers in sets):
        raise ValueError("answers are of two rows or more, and there is a reference for each")
    counts = [task.scores(answers, references, inputs) for answers in sets]
    return [figure(one.name, one.title, *(by_unit(each[one.name], unit) for each in counts), of=one.of, most=one.most,
                   seed=seed) for one in task.metrics]


def verdict(lead: Figure) -> str:
    """One sentence for people on the figure that leads: are the answers better?"""
    gain, before, after = lead.gain, lead.before, lead.after
    assert gain is not None
    said = f"{lead.title} went from {before.value:.3g} to {after.value:.3g}"
    spread = f"{gain.value:+.3g}, from {gain.low:+.3g} to {gain.high:+.3g}, n {gain.n}"
    if lead.change == "open":
        return f"Nothing is proven: {said}, and on {gain.n} unseen rows that could be chance ({spread})."
    if lead.change == "worse":
        return f"It answers worse than before: {said} ({spread})."
    if lead.needless:
        assert lead.baseline is not None
        return (f"It answers better than before, but no better than the baseline, which needs no model: {said} "
                f"({spread}), the baseline has {lead.baseline.value:.3g}.")
    return f"It answers better than before: {said} ({spread})."
