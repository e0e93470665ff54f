"""A bundle of a tiny encoder with a head that was fitted to texts, for what is exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tiny
from sample_bundle import make

from seedbed.engines.transformer import TransformerHead
from seedbed.export.bundle import Bundle
from seedbed.models.backbone import Backbone
from seedbed.tasks.classify import Classify

LABELS = ("bad", "good")


def fitted(family: str = "bert", max_tokens: int = 24) -> TransformerHead:
    """A frozen body with a logistic head over its vectors."""
    from sklearn.linear_model import LogisticRegression

    texts, targets = tiny.sentences(160)
    backbone = Backbone.open(tiny.model(family), max_tokens=max_tokens)
    head = LogisticRegression(C=10, max_iter=500).fit(backbone.embed(texts).numpy(), targets)
    weight = np.concatenate([-head.coef_, head.coef_]) / 2
    return TransformerHead(backbone, weight, np.concatenate([-head.intercept_, head.intercept_]) / 2)


def made(folder: Path, family: str = "bert", max_tokens: int = 24, **changes: Any) -> Bundle:
    """A bundle of it in `folder`."""
    return make(folder, classifier=fitted(family, max_tokens), task=Classify(LABELS), temperature=1.0,
                sample_texts=tiny.sentences(20, 5)[0], **changes)
