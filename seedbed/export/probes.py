"""Made-up texts with the reference's answers: with them a bundle proves itself anywhere, without a text of yours."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from ..engines.base import TAGS
from ..errors import CorruptFile
from ..records import Record
from ..tasks.classify import Floats

if TYPE_CHECKING:
    from ..engines.base import Reader

FILE = "probes.json"
SHORT, MEDIUM, LIMIT, ODD = "short", "medium", "at the limit", "odd"
KINDS = (SHORT, MEDIUM, LIMIT, ODD)
DIGITS = 7
"""Of the stored answers, after the point."""
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
    logits: list[list[float]] | list[list[list[float]]]
    """Of each text: of labels [labels], of a vector [width], log-probabilities of tags [tokens, tags]."""

    @property
    def answers(self) -> list[Floats]:
        """The same as arrays, one a text."""
        return [np.asarray(one, np.float32) for one in self.logits]

    @property
    def scores(self) -> Floats:
        """Those of a classifier together. [texts, labels]"""
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


def make(reference: Reader, seed: int = 0) -> Probes:
    """Texts of words that the model's tokenizer knows, in three lengths, and odd ones; the reference answers each
    alone.

    Args:
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
    tokens = backbone.tokens(texts)
    return Probes(texts=texts, kinds=kinds, tokens=tokens, logits=[
        np.round(answer(reference, row).astype(np.float64), DIGITS).tolist() for row in tokens])


def answer(reference: Reader, ids: Sequence[int]) -> Floats:
    """What a model says of one row of tokens, which its exported graph must say too: [labels], [width], or
    log-probabilities [tokens, tags]."""
    import torch

    backbone = reference.backbone
    with torch.inference_mode():
        found = backbone(backbone.batch([ids]), pool=reference.gives != TAGS)[0].float().cpu()
        if reference.weight is not None:
            found = found @ torch.as_tensor(reference.weight).T + torch.as_tensor(reference.bias)
        return np.asarray((found.log_softmax(-1) if reference.gives == TAGS else found).numpy(), np.float32)


def _words(tokenizer: Any) -> Sequence[str]:
    """Tokens that are words: letters only, three at the least where there are enough of them."""
    known = sorted({"".join(c for c in token if c.isalpha()) for token in tokenizer.get_vocab()
                    if not token.startswith(("[", "<"))})
    long = [word for word in known if len(word) >= 3]
    return long if len(long) >= 20 else [word for word in known if word] or ["a"]
