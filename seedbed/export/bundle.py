"""The bundle: a folder that holds a model and all that is needed to answer with it and to trust it."""

from __future__ import annotations

import errno
import math
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..engines.base import LABELS, TAGS, VECTOR, Classifier, load_classifier
from ..engines.marks import Tagged
from ..errors import Busy, CorruptFile, DataError, QualityFloor, UserError
from ..evaluate.result import Abstention
from ..progress import SILENT, Progress
from ..records import Estimate, Record
from ..tasks.classify import Classify, Floats
from .beside import beside
from .engine import AUTO, choose
from .labels import PARITY_LIMIT, Labels
from .manifest import AGAIN, CARD, FORMAT, MANIFEST, REFERENCE, EngineEntry, Manifest, Parity, files_of, used
from .tags import Tags
from .yardstick import READS, yardstick

MODEL = "model"
WORDS = {LABELS: "labels of texts", VECTOR: "vectors of texts", TAGS: "entities"}


class Prediction(Record):
    """The answer for one text."""

    label: str | list[str]
    """A list for a multi-label task."""
    confidence: float
    """Calibrated probability of the decision; for multi-label of the least sure of its labels."""
    scores: dict[str, float]
    """Calibrated probability of each label."""
    sure: bool
    """The confidence reaches the threshold. Never, when no threshold is known to keep the target error."""


class Bundle:
    """An open bundle of a model that reads. The model is loaded at the first answer, or by `warm`.

    Args:
        folder: where it lies.
        manifest: what it says of itself.
        engine: the form of the model that answers: a name in the manifest, or `auto`.
        progress: is told which form answers, and why another does not.

    Raises:
        UserError: the bundle holds no such form, or a model that writes.
    """

    def __init__(self, folder: Path, manifest: Manifest, engine: str = AUTO, progress: Progress = SILENT) -> None:
        self.folder, self.manifest = folder, manifest
        self.kind = str(manifest.task.get("task", Classify.name))
        """Of task: one of `yardstick.READS`."""
        if self.kind not in READS:
            raise self._other(LABELS)
        self._engine, self._progress = engine, progress
        names = [one.name for one in manifest.engines]
        if engine not in (AUTO, *names):
            raise UserError(f"The bundle {folder} holds no engine {engine!r}.",
                            f"Known: {', '.join((AUTO, *names))}. Make one with: seedbed export {folder}")
        try:
            self.yard = yardstick(manifest)
        except (KeyError, TypeError) as problem:
            raise CorruptFile(f"{folder / MANIFEST} names no labels.", AGAIN) from problem

    @cached_property
    def _chosen(self) -> tuple[str, Any]:
        return choose(self.folder, self.manifest, self.yard, self._engine, self._progress)

    def must_give(self, gives: str) -> None:
        """Raises UserError where the model gives something else; `gives` as `engines.base` names it."""
        if self.yard.gives != gives:
            raise self._other(gives)

    def _other(self, gives: str) -> UserError:
        return UserError(f"{self.folder} holds a model for the task {self.kind}, which gives no {WORDS[gives]}.",
                         f"Use it with: {used(self.kind, str(self.folder))}")

    @property
    def task(self) -> Classify:
        """The labels.

        Raises:
            UserError: the model gives none.
        """
        self.must_give(LABELS)
        assert isinstance(self.yard, Labels)
        return self.yard.task

    @property
    def model(self) -> Any:
        """The form that answers, opened."""
        return self._chosen[1]

    @cached_property
    def classifier(self) -> Classifier:
        """The same of a model that gives labels; UserError of another."""
        self.must_give(LABELS)
        model: Classifier = self.model
        return model

    @property
    def engine(self) -> str:
        """Name of the form that answers: `reference`, `openvino-int8` ..."""
        return self._chosen[0]

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def threshold(self) -> float | None:
        """Confidence from which an answer counts as sure; None when none keeps the target error."""
        return self.manifest.abstention.threshold if self.manifest.abstention else None

    def warm(self) -> None:
        """Load the model and answer once, so that the first real answer is not slow."""
        if self.yard.gives == LABELS:
            self.predict(["warm"])
        else:
            self.yard.ask(self.model, ["warm"])

    def predict(self, texts: Sequence[str], *, threshold: float | None = None) -> list[Prediction]:
        """Answers in the order of `texts`.

        Args:
            texts: any number of texts; an empty one gets the model's guess and is never sure.
            threshold: from which confidence an answer is sure, 0 to 1; the bundle's own when None.

        Raises:
            UserError: the threshold is no probability.
            DataError: something among the texts is not a text.
        """
        limit, texts = self._limit(threshold), _list_of(texts, "predict")
        if not texts:
            return []
        probabilities = self.task.probabilities(self.classifier.logits(texts), self.manifest.temperature)
        if not np.isfinite(probabilities).all():
            raise CorruptFile(f"The model in {self.folder} gives answers that are not numbers.", AGAIN)
        labels = self.task.words(self.task.decide(probabilities))
        confidence = self.task.confidence(probabilities).tolist()
        return [Prediction(label=label, confidence=sure, scores=dict(zip(self.task.labels, row, strict=True)),
                           sure=sure >= limit and not (text == "" or text.isspace()))
                for text, label, sure, row in zip(texts, labels, confidence, probabilities.tolist(), strict=True)]

    def embed(self, texts: Sequence[str]) -> Floats:
        """Vectors in the order of `texts`, [texts, width], fp32; their products are cosines.

        Raises:
            UserError: the model gives none.
            DataError: something among the texts is not a text.
        """
        self.must_give(VECTOR)
        found: Floats = self.model.vectors(_list_of(texts, "embed"))
        if not np.isfinite(found).all():
            raise CorruptFile(f"The model in {self.folder} gives vectors that are not numbers.", AGAIN)
        return found

    def tag(self, texts: Sequence[str], progress: Progress = SILENT) -> list[list[Tagged]]:
        """The entities of each text, in their order.

        Raises:
            UserError: the model gives none.
            DataError: something among the texts is not a text.
        """
        self.must_give(TAGS)
        assert isinstance(self.yard, Tags)
        return self.yard.marks(self.model).tag(_list_of(texts, "tag"), progress)

    def _limit(self, threshold: float | None) -> float:
        if threshold is None:
            return math.inf if self.threshold is None else self.threshold
        if not 0 <= threshold <= 1:
            raise UserError(f"The threshold is {threshold}, which is not between 0 and 1.",
                            "It is a probability: 0.9 takes answers that are 90 % likely to be right.")
        return threshold


def write(folder: Path, *, classifier: Classifier, task: Classify, name: str, data_hash: str,
          scores: Mapping[str, Estimate], sample_texts: Sequence[str], card: str, temperature: float = 1.0,
          abstention: Abstention | None = None, text_column: str | None = None, base_model: str | None = None,
          base_hash: str | None = None, adapter_hash: str | None = None, licences: Mapping[str, str] | None = None,
          replace: bool = False) -> Bundle:
    """Write a bundle, prove that it answers like the model in memory, and open it.

    Everything is written to a temporary folder beside `folder`, which gets its name when all is done.

    Args:
        folder: the bundle to be; must not exist yet, or be empty, unless `replace`.
        classifier: the trained model.
        task: its labels.
        name: what people call it, for instance the run's name.
        data_hash: hash of the frozen splits it was trained on.
        scores: by metric, on held-out rows.
        sample_texts: texts for the parity certificate, one at the least; fifty real ones are a good choice.
        card: the model card, Markdown.
        temperature: divides the logits.
        abstention: the threshold for a target error.
        text_column: the column that held the texts.
        base_model, base_hash, adapter_hash: what it was trained from.
        licences: of base and data.
        replace: take the place of a bundle that is already there.

    Raises:
        UserError: `folder` is taken. Busy: another process took it meanwhile.
        NoResources: the disk is full; nothing was written.
        QualityFloor: the saved model answers otherwise than the one in memory; nothing was written.
    """
    taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if taken and not (replace and (folder / MANIFEST).is_file()):
        raise UserError(f"{folder} is there already{' and is not a bundle' if replace else ''}.",
                        "Name another folder, or remove it first.")
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with beside(folder) as part:
        (part / MODEL).mkdir(parents=True)
        classifier.save(part / MODEL)
        parity = _parity(classifier, part / MODEL, task, temperature, sample_texts)
        (part / CARD).write_text(card, encoding="utf-8")
        files = files_of(part, MODEL)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        Manifest(format=FORMAT, seedbed=__version__, name=name, created=now,
                 task=task.to_dict(), text_column=text_column, base_model=base_model, base_hash=base_hash,
                 adapter_hash=adapter_hash, data_hash=data_hash, scores=dict(scores), temperature=temperature,
                 abstention=abstention, licences=dict(licences or {}), engines=[EngineEntry(
                     name=REFERENCE, kind=classifier.kind, folder=MODEL, files=files, parity=parity)]).write(part)
        old = part.with_suffix(".old")
        try:
            if taken:
                folder.rename(old)
            part.rename(folder)
        except OSError as problem:
            if problem.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise
            raise Busy(f"Another process wrote {folder} meanwhile.", "Name another folder.") from None
        finally:
            if old.exists() and not folder.exists():
                old.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
    return open_bundle(folder)


def open_bundle(folder: str | Path, *, verify: bool = False, engine: str = AUTO,
                progress: Progress = SILENT) -> Bundle:
    """Open a bundle. Sizes are always checked, the model itself is loaded at the first answer.

    Args:
        folder: the bundle.
        verify: check the hash of every file as well, which reads all of them.
        engine: which form of the model answers: `reference`, the name of an exported one, or `auto`, the fastest of
            those whose runtime is here and that still answer as they were certified. Files of other forms than the
            one that is named are not looked at.
        progress: is told which form answers where there are several.

    Raises:
        NotFound: it is not there, or not a bundle.
        CorruptFile: a file is missing, cut short or changed; the message names it.
        UserError: a newer Seedbed wrote it; its model writes; there is no such engine in it.
    """
    folder = Path(folder)
    manifest = Manifest.open(folder)
    bundle = Bundle(folder, manifest, engine, progress)
    for file in manifest.files if engine == AUTO else next(e for e in manifest.engines if e.name == engine).files:
        file.check(folder, whole=verify)
    return bundle


def _list_of(texts: Sequence[str], verb: str) -> list[str]:
    """The texts that a verb was given.

    Raises:
        DataError: something among them is not a text, or they are one text.
    """
    if isinstance(texts, str):
        raise DataError(f"{verb} was given one text where it takes a list of texts.",
                        f"Put it in brackets: {verb}([text]).")
    texts = list(texts)
    for at, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"Item {at} of the texts is {type(text).__name__}, not a text.",
                            "Give strings; use \"\" for a missing one.")
    return texts


def _parity(classifier: Classifier, saved: Path, task: Classify, temperature: float, texts: Sequence[str]) -> Parity:
    """Compare the model in memory with the one just saved."""
    if not texts:
        raise ValueError("parity needs sample texts")
    here, there = classifier.logits(texts), load_classifier(saved).logits(texts)
    if here.shape != (len(texts), len(task.labels)):
        raise ValueError(f"the model gives {here.shape[1]} scores a text for {len(task.labels)} labels")
    mine, other = task.probabilities(here, temperature), task.probabilities(there, temperature)
    same = (task.decide(mine) == task.decide(other)).reshape(len(texts), -1).all(axis=1)
    off = float(np.abs(mine - other).max())
    if not off <= PARITY_LIMIT:  # not a number is refused as well
        raise QualityFloor(
            f"The saved model answers otherwise than the trained one: a probability is off by {off:.3g}, and "
            f"{int((~same).sum())} of {len(texts)} decisions differ. Nothing was written.",
            "This is a defect of the engine, not of your data: report it, and choose another candidate meanwhile.")
    return Parity(n=len(texts), max_difference=float(np.abs(here - there).max()), max_probability_difference=off,
                  agreement=float(same.mean()))
