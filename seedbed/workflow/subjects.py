"""What is compressed: a model that writes, a classifier's bundle, or an encoder. Each reads texts and is judged."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compress.config import CompressConfig
from ..errors import UserError
from ..progress import Progress
from .forms import set_apart

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..data.turns import Conversation
    from ..evaluate.figures import Figure
    from ..export.bundle import Bundle
    from ..export.manifest import Manifest
    from ..models.template import Row


@dataclass(frozen=True)
class Corpus:
    """Texts of one model.

    Args:
        name: where they are from, for people.
        calibration: those that decide what stays.
        held: those that the model is judged by, none of them among the others.
        targets: labels of the held ones; None where there are none.
    """

    name: str
    calibration: list[Conversation]
    held: list[Conversation]
    targets: list[Any] | None = None


class Subject(ABC):
    """One kind of model.

    Args:
        name: as it was named.
        place: its folder: of a run, a bundle or a model.
        body: the folder that transformers opens.
    """

    kind: str
    writes = False
    """Any text must come back from its tokens."""

    def __init__(self, name: str, place: Path, body: Path) -> None:
        self.name, self.place, self.body = name, place, body

    @abstractmethod
    def rows(self, tokenizer: Any, some: Sequence[Conversation]) -> list[Row]:
        """The tokens of each text, whole, and which of them are learned."""

    @abstractmethod
    def judge(self, folder: Path, corpus: Corpus, progress: Progress) -> Any:
        """What a folder's model makes of the held texts: `figures` compares two of these."""

    @abstractmethod
    def figures(self, before: Any, after: Any, corpus: Corpus, seed: int) -> tuple[list[Figure], list[str]]:
        """Figures before and after, and what else is worth saying."""

    def finish(self, part: Path, out: Path, figures: list[Figure], corpus: Corpus) -> None:
        """Give the folder its name."""
        part.rename(out)


class Writing(Subject):
    """A model that writes, judged by how well it foretells texts (or, of conversations, the assistant's words)."""

    kind, writes = "writer", True

    def rows(self, tokenizer: Any, some: Sequence[Conversation]) -> list[Row]:
        from transformers import AutoConfig

        from ..compress.loss import MAX_TOKENS
        from ..models.template import Row, Template
        from ..models.texts import Texts

        config = AutoConfig.from_pretrained(self.body, local_files_only=True)
        template, texts = Template.of(tokenizer, config, 1 << 20), Texts(tokenizer, MAX_TOKENS)
        def plain(text: str) -> Row:
            ids = texts.ids(text)
            return Row([*texts.head, *ids], [False] * len(texts.head) + [True] * len(ids))
        return [template.row(one) if one.messages or template.start is not None else plain(one.text) for one in some]

    def judge(self, folder: Path, corpus: Corpus, progress: Progress) -> Any:
        from ..compress.loss import open_writer, told

        return told(open_writer(folder), corpus.held, progress, "judge")

    def figures(self, before: Any, after: Any, corpus: Corpus, seed: int) -> tuple[list[Figure], list[str]]:
        from ..evaluate.writing import fallen

        fit, notes = ~(before.cut | after.cut), list[str]()
        if not fit.all():
            notes.append(f"{int((~fit).sum())} of {len(fit)} judged texts are longer than the model's window and do "
                         "not count.")
        if fit.sum() < 2:
            raise UserError(f"{int(fit.sum())} texts to judge by fit the model's window.", "Give shorter texts.")
        whole = before.size[fit]
        first, last = (one.nats[fit] / np.log(2) for one in (before, after))
        lead = fallen("bits_per_byte", "bits a byte", first, last, whole)
        tokens = fallen("tokens_per_byte", "tokens a byte", before.tokens[fit].astype(float),
                        after.tokens[fit].astype(float), whole)
        return [lead, tokens] if (before.tokens != after.tokens).any() else [lead], notes

    def finish(self, part: Path, out: Path, figures: list[Figure], corpus: Corpus) -> None:
        """Of a run or a bundle a bundle again, else a model folder. The saved model is the one that was judged."""
        from datetime import UTC, datetime

        from ..export.beside import beside
        from ..export.bundle import MODEL
        from ..export.manifest import CARD, EngineEntry, Manifest, files_of

        folder = bundle_in(self.place)
        if folder is None:
            part.rename(out)
            return
        said = Manifest.open(folder)
        with beside(out) as made:
            made.mkdir()
            part.rename(made / MODEL)
            (made / CARD).write_text(_card(folder, said, figures, corpus), encoding="utf-8")
            said.model_copy(update={
                "created": datetime.now(UTC).isoformat(timespec="seconds"), "probes": None, "adapter_hash": None,
                "scores": {one.name: one.after for one in figures}, "engines": [EngineEntry(
                    kind=said.reference.kind, folder=MODEL, files=files_of(made, MODEL))]}).write(made)
            made.rename(out)


class Embedding(Subject):
    """An encoder, judged by how alike its vectors are to those that it gave before."""

    kind = "encoder"

    def rows(self, tokenizer: Any, some: Sequence[Conversation]) -> list[Row]:
        from ..models.template import Row

        return [Row(list(ids), [True] * len(ids)) for ids in tokenizer([one.plain for one in some])["input_ids"]]

    def judge(self, folder: Path, corpus: Corpus, progress: Progress) -> Any:
        from ..models.backbone import Backbone

        return Backbone.open(folder).embed([one.plain for one in corpus.held]).numpy()

    def figures(self, before: Any, after: Any, corpus: Corpus, seed: int) -> tuple[list[Figure], list[str]]:
        from ..evaluate.writing import fallen

        lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        alike = (before * after).sum(1) / np.maximum(lengths, 1e-12)
        ones = np.ones(len(alike))
        return [fallen("cosine", "cosine to its vectors before", ones, alike.astype(float), ones, more=True)], []


@dataclass(frozen=True)
class Said:
    """What a classifier answers. [rows, labels] logits."""

    logits: Any = field(repr=False)


class Labelling(Embedding):
    """A classifier's bundle: its body is compressed, its head is kept."""

    kind = "classifier"

    def __init__(self, name: str, place: Path, bundle: Bundle) -> None:
        from ..engines.transformer import BODY

        self.bundle, self.model = bundle, bundle.folder / bundle.manifest.engines[0].folder
        super().__init__(name, place, self.model / BODY)

    def judge(self, folder: Path, corpus: Corpus, progress: Progress) -> Any:
        return Said(self.headed(folder).logits([one.plain for one in corpus.held]))

    def headed(self, body: Path) -> Any:
        """The classifier with another body."""
        from ..engines.transformer import TransformerHead
        from ..models.backbone import Backbone

        return TransformerHead(Backbone.open(body), self._head.weight, self._head.bias)

    @cached_property
    def _head(self) -> Any:
        return self.bundle.classifier

    def figures(self, before: Any, after: Any, corpus: Corpus, seed: int) -> tuple[list[Figure], list[str]]:
        from ..evaluate.cases import figure, means

        task = self.bundle.task
        chosen = [np.asarray(task.decide(task.probabilities(one.logits))).reshape(len(corpus.held), -1)
                  for one in (before, after)]
        same = (chosen[0] == chosen[1]).all(axis=1)
        made = [figure("agreement", "same answer as before", means(np.ones(len(same))), means(same.astype(float)),
                       seed=seed)]
        if corpus.targets is not None:
            truth = np.asarray(task.encode(corpus.targets)).reshape(len(same), -1)
            right = [means((one == truth).all(axis=1).astype(float)) for one in chosen]
            made = [figure("accuracy", "share of right answers", *right, seed=seed), *made]
        apart = np.abs(before.logits - after.logits).max(axis=1)
        return made, [f"Logits: {int((apart == 0).sum())} of {len(apart)} texts to the last digit as before, "
                      f"{apart.max():.3g} apart at most."]

    def finish(self, part: Path, out: Path, figures: list[Figure], corpus: Corpus) -> None:
        """Write a bundle, proven to answer like the model that was judged. Its scores are of the judged texts."""
        from ..export import bundle

        said = self.bundle.manifest
        bundle.write(
            out, classifier=self.headed(part), task=self.bundle.task, name=said.name, data_hash=said.data_hash,
            scores={one.name: one.after for one in figures}, sample_texts=[one.plain for one in corpus.held[:50]],
            card=_card(self.bundle.folder, said, figures, corpus),
            temperature=said.temperature, abstention=None, text_column=said.text_column, base_model=said.base_model,
            base_hash=said.base_hash, licences=said.licences)
        shutil.rmtree(part)


def bundle_in(place: Path) -> Path | None:
    """The bundle of a run folder, or the folder itself where it is one; None where there is none."""
    from ..export.manifest import MANIFEST

    return next((folder for folder in (place / "bundle", place) if (folder / MANIFEST).is_file()), None)


def _card(folder: Path, said: Manifest, figures: list[Figure], corpus: Corpus) -> str:
    """A bundle's card, and what became of its figures."""
    from ..export.manifest import CARD

    card = (folder / CARD).read_text(encoding="utf-8") if (folder / CARD).is_file() else f"# {said.name}\n"
    told = "\n".join(f"- {one.title}: {one.after.value:.3f} ({one.after.low:.3f} to {one.after.high:.3f}, "
                     f"n {one.after.n}); before {one.before.value:.3f}" for one in figures)
    return (f"{card}\n## Compressed\n\nThe figures above are of the model before `seedbed compress` made it "
            f"smaller. Since then, on {len(corpus.held)} texts:\n\n{told}\n")


def subject(name: str, progress: Progress) -> Subject:
    """What a name means: a run, a bundle, a model folder, or a card.

    Raises:
        NotFound: there is none. UserError: it cannot be made smaller.
    """
    from ..catalog.cards import card
    from ..catalog.fetch import model_places, pull
    from ..export.bundle import open_bundle
    from ..export.manifest import Manifest
    from ..models.folder import open_folder
    from ..tasks.classify import Classify

    place = Path(name)
    folder = bundle_in(place)
    if folder is not None and Manifest.open(folder).task.get("task") == Classify.name:
        opened = open_bundle(folder)
        if opened.manifest.engines[0].kind != "transformer":
            raise UserError(f"{folder} holds a model of the kind {opened.manifest.engines[0].kind}, which has no "
                            "layers.", "It is small already. Name a run whose winner is a transformer.")
        return Labelling(name, place, opened)
    if not place.is_dir():
        body = open_folder(pull(card(name), progress))
        place = body
    else:
        body = open_folder(model_places(place)[0])
    if (body / "tagger.json").is_file():
        raise UserError(f"{body} marks entities, and taggers are not made smaller yet.",
                        "Compress its base model first: seedbed train --task entities --model FOLDER")
    return kind_of(body)(name, place, body)


def kind_of(body: Path) -> Callable[[str, Path, Path], Subject]:
    """By what a model folder's config says."""
    from transformers import AutoConfig

    from ..models.backbone import is_encoder
    from ..models.paired import is_paired

    config = AutoConfig.from_pretrained(body, local_files_only=True)
    plain = str((config.architectures or [""])[0]).endswith("Model")
    return Embedding if (plain or is_encoder(config)) and not is_paired(config) else Writing


def corpus(one: Subject, texts: str | None, config: CompressConfig, progress: Progress, *,
           spare: bool = False) -> Corpus:
    """The texts of a file, or a run's own: its training rows decide, its test rows judge.

    Args:
        spare: leave out the rows that `forms.set_apart` keeps.

    Raises:
        UserError: none were named, and the model is not of a run. DataError: they cannot be read.
    """
    from ..data import duplicates
    from ..data.conversations import COLUMN, conversations
    from ..data.freeze import MANIFEST, open_splits
    from ..data.split import split
    from ..data.turns import Conversation
    from .courses import enough

    if texts is None:
        if not (one.place / MANIFEST).is_file():
            raise UserError(f"{one.name} has no texts of its own, by which it could be seen what it needs.",
                            "Name a file of your texts: --texts FILE")
        dataset, name = open_splits(one.place), f"the rows of {one.name}"
    else:
        dataset, name = _read(one, texts, config, progress), texts
    if not len(dataset.part("test")):
        near = duplicates.find(dataset.texts, seed=config.seed, progress=progress).near.tolist()
        free = dataset.with_column("split", [None] * len(dataset))
        dataset = split(free, fractions=(0.8, 0.0, 0.2), seed=config.seed, clusters=near)
    learn, judge = dataset.part("train"), dataset.part("test")
    if spare:
        learn, _ = set_apart(learn, config.seed)
    if len(judge) > config.judged:
        drawn = np.random.default_rng(config.seed).choice(len(judge), config.judged, replace=False)
        judge = judge.take(sorted(drawn.tolist()))
    enough(len(learn), len(judge))
    first, held = (conversations(part) if COLUMN in part.table.column_names else
                   [Conversation(text=text) for text in part.texts] for part in (learn, judge))
    if texts is None and COLUMN in dataset.table.column_names:
        first, held = _as_taught(one.place, dataset, first), _as_taught(one.place, dataset, held)
    targets = judge.targets if one.kind == "classifier" and all(t is not None for t in judge.targets) else None
    return Corpus(name, first, held, targets)


def _as_taught(run: Path, dataset: Dataset, some: list[Conversation]) -> list[Conversation]:
    """A run's rows as its task asks them."""
    from ..train.config import TextConfig
    from .answering import asked_as, task_of
    from .config import RunFolder, TuneConfig, read_config

    _, config, _ = read_config(RunFolder(run), TuneConfig, TextConfig)
    return asked_as(task_of(config, dataset), config, some) if config.ask else some


def _read(one: Subject, texts: str, config: CompressConfig, progress: Progress) -> Any:
    from ..data.conversations import read_conversations
    from ..data.documents import read_documents
    from ..data.read import read
    from .config import typed
    from .courses import said_of

    how: dict[str, Any] = {"encoding": config.encoding, "delimiter": typed(config.delimiter), "progress": progress}
    if one.writes and not config.text:
        reading = read_documents(texts, **how) if Path(texts).is_dir() else read_conversations(
            texts, ask=config.ask, answer=config.answer, **how)
        said_of(reading, progress)
        return reading.dataset
    reading = read(texts, text=config.text, label=config.label, labelled=config.label is not None, **how)
    progress.note(f"{reading.kept:,} of {reading.read:,} rows read.")
    return reading.dataset
