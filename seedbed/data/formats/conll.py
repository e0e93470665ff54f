"""CoNLL columns: a token a line, its tag last, an empty line between sentences, `-DOCSTART-` between documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from ..tally import Tally
from .encoding import open_text
from .source import CHUNK, Chunk, Source, to_columns

SUFFIXES = (".conll", ".conll2003", ".iob", ".iob2", ".bio", ".bioes")
TAG = re.compile(r"O|[BIESLUM][-_]\S+")
LEAST, MOST_FIT = 3, 0.9
"""Lines that end in a tag, and their share, at the beginning of a file of another extension that is CoNLL."""
Row = dict[str, object]


def looks_like(start: str) -> bool:
    """Whether a text without telling extension is in columns of tokens and tags; its last line may be cut off."""
    lines = [line.split() for line in start.split("\n")[:-1] if not _aside(line)]
    fit = sum(len(cells) > 1 and bool(TAG.fullmatch(cells[-1])) for cells in lines)
    return fit >= max(LEAST, MOST_FIT * len(lines)) and any(cells[-1] != "O" for cells in lines)


def read_conll(source: Source, tally: Tally) -> Iterator[Chunk]:
    """One row a sentence: `tokens`, `tags`, and `document` where there are several."""
    sentences = _sentences(source, tally)
    while block := list(islice(sentences, CHUNK)):
        yield Chunk(to_columns([row for _, row in block]), [line for line, _ in block])


def _sentences(source: Source, tally: Tally) -> Iterator[tuple[int, Row]]:
    """Each sentence with the line where it begins. A sentence with a line that is no token is left out."""
    tokens, tags, first, bad, document = list[str](), list[str](), 0, "", 0

    def done() -> Iterator[tuple[int, Row]]:
        if bad:
            tally.skip("unreadable_row", first, bad)
        elif tokens:
            yield first, {"tokens": [*tokens], "tags": [*tags], **({"document": str(document)} if document else {})}

    for number, line in enumerate(open_text(source, tally).lines(), 1):
        cells = line.split()
        if not cells or cells[0] == "-DOCSTART-":
            yield from done()
            tokens, tags, first, bad = [], [], 0, ""
            document += bool(cells)
            continue
        if line.startswith("# ") and not TAG.fullmatch(cells[-1]):  # a comment; "#" can be a token
            continue
        first = first or number
        if len(cells) < 2 or not TAG.fullmatch(cells[-1]):
            bad = bad or f"line {number} does not end in a tag such as O or B-NAME"
        else:
            tokens.append(cells[0])
            tags.append(cells[-1])
    yield from done()


def _aside(line: str) -> bool:
    return not line.strip() or line.startswith(("# ", "-DOCSTART-"))
