"""A larger classifier of the same labels says what it thinks of the texts that candidates learn from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..export.bundle import open_bundle
from ..tasks.classify import Floats
from ..train.config import TrainConfig
from .config import Job, RunConfig, typed
from .prepare import Data


class Teaching:
    """A teacher's scores of texts, each text asked once.

    Raises:
        NotFound, CorruptFile: there is no bundle. DataError: it has other labels, or there is no further text.
    """

    def __init__(self, job: Job[RunConfig, TrainConfig], data: Data) -> None:
        place = Path(str(job.config.teacher))
        self.bundle = open_bundle(place / "bundle" if (place / "bundle").is_dir() else place)
        mine, its = data.task, self.bundle.task
        if (mine.labels, mine.multi_label) != (its.labels, its.multi_label):
            raise DataError(f"The teacher knows other labels: {', '.join(its.labels[:8])}; the rows have "
                            f"{', '.join(mine.labels[:8])}.", "Train a teacher on the same labels first.")
        self.progress, self.said = job.progress, dict[str, Floats]()
        if self.bundle.manifest.data_hash != data.hash:
            job.progress.note("The teacher was trained on other rows or splits: if it has seen these test rows, the "
                              "figures flatter what it taught.")
        known = {*data.train.texts, *data.selection.texts, *data.test.texts}
        self.unlabelled = [one for one in _texts(job) if one not in known]

    def soft(self, texts: Sequence[str]) -> Floats:
        """Scores, calibrated, of these texts and then of the further ones. [rows, labels]"""
        wanted = [*texts, *self.unlabelled]
        new = [one for one in dict.fromkeys(wanted) if one not in self.said]
        if new:
            self.progress.note(f"The teacher reads {len(new):,} texts.")
            scores = self.bundle.classifier.logits(new) / np.float32(self.bundle.manifest.temperature)
            self.said.update(zip(new, scores, strict=True))
        return np.stack([self.said[one] for one in wanted])


def _texts(job: Job[RunConfig, TrainConfig]) -> list[str]:
    """The texts of `--unlabeled`, each once."""
    config = job.config
    if config.unlabeled is None:
        return []
    from ..data.read import read

    reading = read(config.unlabeled, text=config.text, labelled=False, encoding=config.encoding,
                   delimiter=typed(config.delimiter))
    texts = list(dict.fromkeys(reading.dataset.texts))
    job.progress.note(f"Of {reading.read:,} rows without labels the teacher labels {len(texts):,}, each text once"
                      + "".join(f"; left out: {count:,} {reason}" for reason, count in reading.skipped.items()) + ".")
    return texts
