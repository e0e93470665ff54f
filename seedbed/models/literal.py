"""Marks of a model, such as `<|im_end|>`, in what somebody says: they are read as letters, never as marks."""

from __future__ import annotations

import json
import re
from functools import cached_property
from typing import Any, TypeVar

from .fim import KNOWN

T = TypeVar("T")
SIGN = "\U0010fffd"
"""Stands after the first letter of a mark that somebody says, while a template is rendered; of private plane 16."""
ALIASES = 0x100000
"""The first character of that plane: a mark that a template writes is a run of one of them while it is read."""


class Literal:
    """A tokenizer to which marks are letters, but for those that stand for a template's own.

    Args:
        tokenizer: of transformers. A slow one knows no difference, and is left as it is.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    @cached_property
    def _values(self) -> dict[str, Any]:
        """What the tokenizer is made of. Some families list the marks of fill-in-the-middle as plain tokens."""
        fast = getattr(self.tokenizer, "backend_tokenizer", None)
        values: dict[str, Any] = json.loads(fast.to_str()) if fast is not None else {"added_tokens": []}
        for token in values["added_tokens"]:
            token["special"] = token["special"] or token["content"] in KNOWN
        return values

    @cached_property
    def _marks(self) -> dict[str, dict[str, Any]]:
        """By alias: what is known of each mark. An alias is as long as its mark, so that places stay."""
        special = [token for token in self._values["added_tokens"] if token["special"]]
        return {chr(ALIASES + at) * len(one["content"]): one for at, one in enumerate(special)}

    @cached_property
    def _any(self) -> str:
        """Matches any mark, the longest first."""
        return "|".join(sorted((re.escape(one["content"]) for one in self._marks.values()), key=len,
                               reverse=True)) or "(?!)"

    @cached_property
    def _theirs(self) -> re.Pattern[str]:
        """Marks that somebody says, and characters that must not be taken for an alias."""
        return re.compile(f"[{chr(ALIASES)}-{SIGN}]|{self._any}")

    @cached_property
    def letters(self) -> Any:
        """A copy of the tokenizer (of the package tokenizers) without marks, that neither cuts nor fills up."""
        from tokenizers import Tokenizer

        made = Tokenizer.from_str(json.dumps(self._values))
        made.encode_special_tokens = True
        made.no_truncation()
        made.no_padding()
        return made

    @cached_property
    def _reader(self) -> tuple[Any, dict[int, int], re.Pattern[str], dict[str, str]]:
        """A copy that reads aliases as tokens; the mark's token for each alias's; marks of a template; their aliases.
        """
        from tokenizers import AddedToken, Tokenizer

        made = Tokenizer.from_str(self.letters.to_str())
        made.encode_special_tokens = True
        made.add_tokens([AddedToken(alias, lstrip=one["lstrip"], rstrip=one["rstrip"], normalized=False)
                         for alias, one in self._marks.items()])
        return (made, {made.token_to_id(alias) or 0: one["id"] for alias, one in self._marks.items()},
                re.compile(f"(?:{self._any})(?!{SIGN})"),
                {one["content"]: alias for alias, one in self._marks.items()})

    def said(self, value: T) -> T:
        """A value that a template is given, with `SIGN` in each mark of its texts.

        Characters of plane 16, which stand for nothing, become U+FFFD.
        """
        if isinstance(value, str):
            return self._theirs.sub(lambda one: f"{one[0][0]}{SIGN}{one[0][1:]}" if one[0] < chr(ALIASES)
                                   else "\ufffd", value)  # type: ignore[return-value]
        if isinstance(value, dict):
            return {self.said(name): self.said(one) for name, one in value.items()}  # type: ignore[return-value]
        return [self.said(one) for one in value] if isinstance(value, list) else value  # type: ignore[return-value]

    def read(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Tokens of a rendered text, and where each stands in the text without `SIGN`."""
        reader, tokens, ours, aliases = self._reader
        made = reader.encode(ours.sub(lambda one: aliases[one[0]], text).replace(SIGN, ""), add_special_tokens=False)
        return [tokens.get(token, token) for token in made.ids], list(made.offsets)
