"""Plain texts as a model reads them: whole ones in windows, and source files with a gap that is filled last."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import UserError
from .fim import fim_of
from .literal import Literal
from .template import Row

CONTEXT = 16
"""Tokens of the window before that are read again, and not learned, where a long text goes on; an eighth of a window
at most."""
SPARE = 8
"""Tokens that a text may become longer by when it is cut in three and marked."""
FIRST = 0.5
"""Share of the texts with a gap in which the suffix stands first; both orders help each other (Bavarian et al. 2022,
section 4.3)."""


class Texts:
    """Reads plain texts with a model's tokenizer.

    What looks like a special token in a text is text: a file that speaks of `<|im_end|>` must not end there.

    Args:
        tokenizer: of transformers, a fast one.
        max_tokens: of one window.

    Raises:
        UserError: the tokenizer is a slow one.
    """

    def __init__(self, tokenizer: Any, max_tokens: int) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise UserError("The model's tokenizer is a slow one: it does not say where in a text its tokens stand.",
                            "Take a model whose folder has a tokenizer.json.")
        self.tokenizer, self.max_tokens, self.fim = tokenizer, max_tokens, fim_of(tokenizer)
        self._literal = Literal(tokenizer).letters

    @cached_property
    def head(self) -> list[int]:
        """What the tokenizer puts before every text."""
        bare, whole = (self._literal.encode("a", add_special_tokens=special).ids for special in (False, True))
        return next(list(whole[:at]) for at in range(len(whole)) if whole[at:at + len(bare)] == bare)

    @cached_property
    def _spaced(self) -> bool:
        """The tokenizer puts a space before every text, which is none inside a text (SentencePiece)."""
        return bool(self._literal.encode("x", add_special_tokens=False).tokens[0].startswith("▁"))

    def ids(self, text: str, *, inner: bool = False) -> list[int]:
        """Tokens of a text, without what stands before every text.

        Args:
            inner: it does not begin a text.
        """
        if not (inner and self._spaced):
            return list(self._literal.encode(text, add_special_tokens=False).ids)
        line, whole = (self._literal.encode(one, add_special_tokens=False).ids for one in ("\n", f"\n{text}"))
        return list(whole[len(line):] if whole[:len(line)] == line else whole)

    def windows(self, text: str, *, filled: float = 0.0, rng: np.random.Generator | None = None) -> list[Row]:
        """The rows of a text. Each of its tokens is learned once, and the token that ends it.

        A text that is longer than a window goes on in the next one, which begins with the last tokens of the one
        before: read, not learned. A window with a gap stands alone, and is learned wholly, marks included (Bavarian
        et al. 2022, "Efficient training of language models to fill in the middle").

        Args:
            filled: share of the windows with a gap, for models that have the tokens.
            rng: draws them.
        """
        made = self._literal.encode(text, add_special_tokens=False)
        end = self.tokenizer.eos_token_id
        ids, offsets = [*made.ids, *([] if end is None else [end])], made.offsets
        fim = self.fim is not None and filled > 0
        room = self.max_tokens - len(self.head) - (SPARE if fim else 0)
        context, rows, at = min(CONTEXT, self.max_tokens // 8), list[Row](), 0
        while at < len(ids):
            again = ids[max(0, at - context):at]
            new = ids[at:at + room - len(again)]
            row = None
            if fim and rng is not None and rng.random() < filled:
                last = min(at + len(new), len(offsets)) - 1
                row = self._gapped(text[offsets[at][0]:offsets[last][1]], rng) if last >= at else None
            kept = [*self.head, *again]
            rows.append(row or Row([*kept, *new], [i >= max(1, len(kept)) for i in range(len(kept) + len(new))]))
            at += len(new)
        return rows

    def _gapped(self, text: str, rng: np.random.Generator) -> Row | None:
        """A text cut at two places, its middle last; None if it does not fit a window then.

        Half of the cuts are at any character, as editors ask in the midst of a line; half between lines.
        """
        assert self.fim is not None
        lines = [at + 1 for at, letter in enumerate(text[:-1]) if letter == "\n"]
        places: Sequence[int] = lines if len(lines) > 1 and rng.random() < 0.5 else range(len(text) + 1)
        one, other = sorted(int(place) for place in rng.choice(places, 2, replace=False))
        middle = self.ids(text[one:other], inner=True)
        ids = [*self.gap(text[:one], text[other:], first=rng.random() < FIRST), *middle]
        ids += [] if self.fim.end is None else [self.fim.end]
        return Row(ids, [i > 0 for i in range(len(ids))]) if len(ids) <= self.max_tokens else None

    def gap(self, prefix: str, suffix: str, *, first: bool = False, most: int | None = None) -> list[int]:
        """The tokens that ask for what stands between two texts.

        Args:
            first: the suffix stands first.
            most: so many tokens at most: what is far from the gap is left out, three quarters of the rest before it.

        Raises:
            UserError: the model has no tokens for it.
        """
        if self.fim is None:
            raise UserError("The model has no tokens for fill-in-the-middle: it cannot be told what follows.",
                            "Take a code model that has them, or leave the suffix out and go on with the prefix.")
        before, after = self.ids(prefix), self.ids(suffix, inner=True)
        if most is not None:
            room = most - len(self.head) - 3
            kept = min(len(after), max(room // 4, room - len(before)))
            before, after = before[max(0, len(before) - room + kept):], after[:kept]
        return [*self.head, *self.fim.asked(before, after, first=first)]

    def beginning(self, text: str, most: int) -> list[int]:
        """The tokens that ask to go on with a text, so many at most: what is far from its end is left out."""
        ids, room = self.ids(text), most - len(self.head)
        return [*self.head, *ids[max(0, len(ids) - room):]]
