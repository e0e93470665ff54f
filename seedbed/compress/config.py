"""What compression is told. Flags, Python and docs come from these fields."""

from __future__ import annotations

from dataclasses import dataclass

from ..options import option

HOW = ("layers", "heads", "mlp", "vocabulary")
"""What can be taken away, in the order in which it is: the vocabulary last, since until then texts are read with all
of it."""
WAYS = ("influence", "block", "greedy")


@dataclass(frozen=True)
class CompressConfig:
    """Making a model smaller."""

    how: tuple[str, ...] = option((), "What is taken away, always in this order.", choices=HOW)
    keep: float = option(0.8, "Share of the layers, heads and MLP width that stays, of each that --how names; with "
                              "--search the least that is tried.", minimum=0.05, maximum=1)
    search: bool = option(False, "Try plans of --how from little to much, each in every form of a run's model, and "
                                 "write the smallest that is proven to keep the floor.")
    layers: str = option("influence", "Which layers go. influence: those that change least; block: neighbours that "
                                      "change least together; greedy: each is tried, again and again (slow).",
                         choices=WAYS)
    calibrated: int = option(64, "Texts by which the importance of layers, heads and MLP units is measured.",
                             minimum=1)
    words: int = option(0, "Keep so many tokens at least: what the texts do not need are the commonest of the rest.",
                        minimum=0)
    floor: float | None = option(None, "Most that may be lost: of right answers; of a model that writes by how much "
                                       "the loss may rise, in nats a token; or with --how of the figure that leads "
                                       "(bits a byte, cosine). Nothing is written unless that is proven.",
                                 minimum=0.0001)
    text: str | None = option(None, "Column with the texts; guessed for classifiers when not named.")
    label: str | None = option(None, "Column with the labels, of texts for a classifier: it is judged by them then.")
    ask: str | None = option(None, "Column with the questions or documents, for models that answer; with --answer.")
    answer: str | None = option(None, "Column with what the model writes.")
    encoding: str | None = option(None, "Encoding of the file, such as cp1252; found out when not said.")
    delimiter: str | None = option(None, "Character between columns (or `tab`); found out when not said.")
    judged: int = option(200, "Texts, held out of all the rest, that the model is judged by before and after.",
                         minimum=2)
    seed: int = option(0, "Fixes everything random.", minimum=0)
