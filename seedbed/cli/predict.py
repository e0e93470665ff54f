"""`seedbed predict`"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import show
from .embed import embed, embeds
from .mark import mark, tagger_in

if TYPE_CHECKING:
    from ..export.predict import Answered


def predict(
    bundle: Annotated[Path, typer.Argument(
        help="Folder of a bundle, or a run of `seedbed train --task entities` or `embed`.")],
    texts: Annotated[list[str] | None, typer.Argument(help="Texts to answer.", metavar="TEXT")] = None,
    file: Annotated[Path | None, typer.Option(
        help="Answer each row of a CSV, TSV, JSONL or text file instead.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the answered rows to this file.")] = None,
    text: Annotated[str | None, typer.Option(help="Column that holds the texts; found when left out.")] = None,
    threshold: Annotated[float | None, typer.Option(
        help="Confidence from which an answer is sure, 0 to 1; the bundle's own when left out.")] = None,
    engine: Annotated[str, typer.Option(
        help="Which form of the model answers; auto is the fastest that is proven here.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print JSON; JSONL for a file or standard input.")] = False,
) -> None:
    """Answer with a bundle: a text, a file or standard input.

    Without texts and --file it reads standard input, a text a line. A table keeps its rows and columns and gets
    label, confidence, sure and reason; rows that cannot be read keep their place, with the reason. A tagger gives
    each text with its entities, a model that embeds each text with its vector, a line of JSON each.
    """
    from ..errors import UserError
    from ..export.bundle import open_bundle

    if texts and (file or out or text):
        raise UserError("Texts were given together with --file, --out or --text.",
                        "Give either texts, or a file with its options.")
    if text and not file:
        raise UserError("--text names a column, but no --file was given.", "Add --file, or leave --text out.")
    if not texts and not file and sys.stdin.isatty():
        raise UserError("There is nothing to answer.",
                        "Give a text, name a file with --file, or pipe texts in, one a line.")
    if folder := tagger_in(bundle):
        if threshold is not None:
            raise UserError("--threshold is for labels of whole texts; a tagger gives each entity a confidence.",
                            "Leave it out, and choose by confidence.")
        mark(folder, texts, file, out, text, json, engine)
        return
    if folder := embeds(bundle):
        if threshold is not None:
            raise UserError("--threshold is for labels; a model that embeds gives vectors.", "Leave it out.")
        embed(folder, texts, file, out, text, engine)
        return
    opened = open_bundle(bundle, engine=engine, progress=show.bar())
    if texts:
        answers = opened.predict(texts, threshold=threshold)
        if json:
            show.json([{"text": one, **answer.model_dump()} for one, answer in zip(texts, answers, strict=True)])
            return
        show.table(("label", "confidence", "sure", "text"), [
            (answer.label if isinstance(answer.label, str) else ", ".join(answer.label) or None,
             f"{answer.confidence:.2f}", "yes" if answer.sure else "no", one)
            for one, answer in zip(texts, answers, strict=True)])
        return

    from ..export.predict import predict_file

    listener = show.bar()
    found = predict_file(opened, file or sys.stdin.buffer, out or sys.stdout.buffer, text=text, threshold=threshold,
                         as_json=json, progress=listener)
    for line in _told(found):
        (show.line if found.out else listener.note)(line)


def _told(found: Answered) -> list[str]:
    """What became of the rows, for people."""
    lines = [f"{found.read:,} rows read: {found.predicted:,} answered ({found.sure:,} surely), "
             f"{sum(found.skipped.values()):,} not."]
    for finding in found.findings:
        shown = ", ".join(map(str, finding.lines[:5])) + (" ..." if finding.count > 5 else "")
        where = f" Line{'s' if finding.count > 1 else ''} {shown}."
        lines.append(f"{finding.message}{where} {finding.fix}")
    if found.out:
        lines.append(f"Written to {found.out} with the columns {', '.join(found.columns)}.")
    return lines
