"""What marks entities, whatever runs it: log-probabilities of each token's tags, and the spans that they mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..models.windows import windows
from ..progress import SILENT, Progress
from ..records import Record
from ..tasks.entities import Entities, Found, Offsets
from .exported import Exported

Logs = tuple[NDArray[np.float32], Offsets]
"""Of one text: log-probabilities of its tokens' tags [tokens, tags], and where the tokens stand."""


class Tagged(Record):
    """A span that was found: characters `start` to `end` (not included) of the text, in Unicode code points."""

    label: str
    start: int
    end: int
    text: str
    confidence: float
    """Probability of the tag of its least sure token."""


class Marks(ABC):
    """A model that gives every token of a text its tags.

    Args:
        task: the labels, and how tags become spans.
    """

    task: Entities

    @abstractmethod
    def logs(self, texts: Sequence[str], progress: Progress = SILENT) -> list[Logs]:
        """Of each text."""

    def tag(self, texts: Sequence[str], progress: Progress = SILENT) -> list[list[Tagged]]:
        """The entities of each text, in their order."""
        return [[Tagged(label=one.label, start=one.start, end=one.end, text=text[one.start:one.end],
                        confidence=one.confidence) for one in found]
                for text, found in zip(texts, self.spans(texts, progress), strict=True)]

    def spans(self, texts: Sequence[str], progress: Progress = SILENT) -> list[list[Found]]:
        """The same as spans of the task."""
        return [self.task.decode(text, log, offsets)
                for text, (log, offsets) in zip(texts, self.logs(texts, progress), strict=True)]


class ExportedMarks(Marks):
    """The same of an exported form; longer texts than its `max_tokens` are read in windows, as the reference does.

    Args:
        artefact: gives the tags' log-probabilities.
    """

    def __init__(self, artefact: Exported, task: Entities) -> None:
        self.artefact, self.task = artefact, task

    def logs(self, texts: Sequence[str], progress: Progress = SILENT) -> list[Logs]:
        """Of each text."""
        artefact = self.artefact
        cuts = windows(artefact.tokenizer, texts, artefact.max_tokens, artefact.causal)
        logs = [np.zeros((len(cut.offsets), len(self.task.tags)), np.float32) for cut in cuts]
        rows = [(text, one) for text, cut in enumerate(cuts) for one in cut.windows if len(one.places)]
        progress.start("tag", len(rows), "windows")
        for some in artefact.batches([len(one.ids) for _, one in rows]):
            for each, i in zip(artefact.each([rows[i][1].ids for i in some]), some, strict=True):
                text, one = rows[i]
                logs[text][one.tokens] = each[one.places]
            progress.advance("tag", len(some))
        progress.done("tag")
        return [(log, cut.offsets) for log, cut in zip(logs, cuts, strict=True)]
