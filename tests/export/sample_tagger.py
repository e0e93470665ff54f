"""A bundle of a tiny model that marks entities, as `seedbed train --task entities` leaves it, to be exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tiny
import torch

from seedbed.data.marks import Span
from seedbed.engines.tagger import Tagger
from seedbed.export.bundle import Bundle, open_bundle
from seedbed.export.manifest import FORMAT, EngineEntry, Manifest, files_of
from seedbed.models.backbone import Backbone
from seedbed.models.windows import windows
from seedbed.tasks.entities import IGNORED, Entities

TASK = Entities(("BAD", "GOOD"), whole=True)


def spans(text: str) -> list[Span]:
    """Where the words stand that mean something."""
    found, at = list[Span](), 0
    for word in text.split(" "):
        if word in tiny.GOOD or word in tiny.BAD:
            found.append(Span(at, at + len(word), "GOOD" if word in tiny.GOOD else "BAD"))
        at += len(word) + 1
    return found


def fitted(family: str = "bert", max_tokens: int = 24) -> Tagger:
    """A frozen body with a logistic head over each token; tags that no token has are never likely."""
    from sklearn.linear_model import LogisticRegression

    backbone = Backbone.open(tiny.model(family), max_tokens=max_tokens)
    texts, given, told = tiny.sentences(120)[0], list[np.ndarray](), list[np.ndarray]()
    for text, cut in zip(texts, windows(backbone.tokenizer, texts, max_tokens, backbone.causal), strict=True):
        tags = TASK.encode(text, spans(text), cut.offsets).tags
        for one in cut.windows:
            with torch.inference_mode():
                hidden = backbone(backbone.batch([one.ids]), pool=False)[0].float().numpy()
            given.append(hidden[one.places])
            told.append(tags[one.tokens])
    x, y = np.concatenate(given), np.concatenate(told)
    head = LogisticRegression(C=1, max_iter=2000).fit(x[y != IGNORED], y[y != IGNORED])
    weight, bias = np.zeros((len(TASK.tags), backbone.width), np.float32), np.full(len(TASK.tags), -9, np.float32)
    weight[head.classes_], bias[head.classes_] = head.coef_, head.intercept_
    return Tagger(backbone, TASK, torch.from_numpy(weight), torch.from_numpy(bias))


def made(folder: Path, family: str = "bert", max_tokens: int = 24) -> Bundle:
    """A bundle of it in `folder`."""
    (folder / "model").mkdir(parents=True)
    fitted(family, max_tokens).save(folder / "model")
    Manifest(format=FORMAT, seedbed="0.1.0", name="marks", created="2026-11-30T00:00:00+00:00", task=TASK.to_dict(),
             data_hash="ab" * 32, scores={}, licences={}, engines=[
                 EngineEntry(kind="tagger", folder="model", files=files_of(folder, "model"))]).write(folder)
    return open_bundle(folder)
