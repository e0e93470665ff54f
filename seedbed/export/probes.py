"""Made-up texts with the reference's answers: with them a bundle proves itself anywhere, without a text of yours."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from ..errors import CorruptFile
from ..records import Record
from ..tasks.classify import Floats

FILE = "probes.json"
SHORT, MEDIUM, LIMIT, ODD = "short", "medium", "at the limit", "odd"
KINDS = (SHORT, MEDIUM, LIMIT, ODD)
COUNTS = {SHORT: 12, MEDIUM: 12, LIMIT: 3}
ODDITIES = ("", " ", "ÀÉÎ Straße naïve", "好 的 東西 👍🏽", "line\none\ttab  spaces ", "3.14 % & <b> @x #y",
            "ﬁ ｆｕｌｌ ℌ")
"""What normalization, cutting and unknown characters change."""


class Probes(Record):
    """Texts, and what the reference made of each."""

    texts: list[str]
    kinds: list[str]
    """One of `KINDS` for each text."""
    tokens: list[list[int]]
    logits: list[list[float]]

    @property
    def scores(self) -> Floats:
        """[texts, labels]"""
        return np.asarray(self.logits, np.float32)

    def of(self, kind: str) -> list[int]:
        """Places of the texts of a kind."""
        return [i for i, one in enumerate(self.kinds) if one == kind]

    def write(self, path: Path) -> None:
        path.write_text(self.model_dump_json(), encoding="utf-8")

    @classmethod
    def open(cls, path: Path) -> Probes:
        """Read what `write` wrote.

        Raises:
            CorruptFile: it cannot be read.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as problem:
            raise CorruptFile(f"{path} cannot be read: {str(problem).splitlines()[0]}.",
                              "Copy the bundle again, or export again from its run.") from None


def make(reference: Any, seed: int = 0) -> Probes:
    """Texts of words that the model's tokenizer knows, in three lengths, and odd ones; the reference answers each
    alone.

    Args:
        reference: a `TransformerHead`.
        seed: draws the words.
    """
    backbone, pick = reference.backbone, random.Random(seed)
    words = _words(backbone.tokenizer)
    lengths = {SHORT: (1, 4), MEDIUM: (12, 39), LIMIT: (backbone.max_tokens + 8, backbone.max_tokens + 8)}
    texts, kinds = [], []
    for kind, count in COUNTS.items():
        for _ in range(count):
            some = pick.choices(words, k=pick.randint(*lengths[kind]))
            texts.append(" ".join(word.title() if pick.random() < 0.2 else word for word in some))
            kinds.append(kind)
    texts, kinds = [*texts, *ODDITIES], [*kinds, *[ODD] * len(ODDITIES)]
    alone = np.concatenate([reference.logits([text]) for text in texts])
    return Probes(texts=texts, kinds=kinds, tokens=backbone.tokens(texts), logits=alone.tolist())


def _words(tokenizer: Any) -> Sequence[str]:
    """Tokens that are words: letters only, three at the least where there are enough of them."""
    known = sorted({"".join(c for c in token if c.isalpha()) for token in tokenizer.get_vocab()
                    if not token.startswith(("[", "<"))})
    long = [word for word in known if len(word) >= 3]
    return long if len(long) >= 20 else [word for word in known if word] or ["a"]
