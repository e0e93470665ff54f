"""The report: one HTML page that holds everything it shows, verdict first, and needs neither network nor script."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..figures import TuneResult
from ..result import Result

if TYPE_CHECKING:
    from .drawing import Drawing

NAME = "report.html"


def write(result: Result | TuneResult, folder: Path) -> Path:
    """Write `report.html` into `folder`, which is made if need be; an earlier one is replaced whole or not at all.

    The same result gives the same bytes.

    Args:
        result: what a run of `seedbed run` or `seedbed train` found.
        folder: where the page goes, as a rule the run's folder.

    Returns:
        The page's path.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, part = folder / NAME, folder / f".{NAME}.{os.getpid()}"
    try:
        part.write_text(html(result), encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def html(result: Result | TuneResult) -> str:
    """The page."""
    from altair.utils.schemapi import debug_mode

    with debug_mode(False):  # every part of a chart would be held against Vega-Lite's schema: half of the time
        return _html(result)


def _html(result: Result | TuneResult) -> str:
    import jinja2
    from markupsafe import Markup

    from . import tuned
    from .facts import facts

    here = Path(__file__).parent
    loader = jinja2.Environment(loader=jinja2.FileSystemLoader(here), autoescape=True, finalize=_printable,
                                undefined=jinja2.StrictUndefined)
    if isinstance(result, TuneResult):
        drawn, name = tuned.drawings(result), "tuned.html"
        said = tuned.facts(result)
    else:
        drawn, name = drawings(result), "page.html"
        said = facts(result, {d.key for d in drawn})
    charts = {d.key: {"svg": Markup(_figure(d)), "kind": "two" if d.narrow is not None else "one"} for d in drawn}
    style = Markup(re.sub(r"\n\s*", "\n", (here / "style.css").read_text(encoding="utf-8")))
    return str(loader.get_template(name).render(said, r=result, charts=charts, style=style))


def drawings(result: Result) -> list[Drawing]:
    """Every chart that this result has figures for; each can be drawn as page, SVG and PNG (see `drawing`)."""
    from . import charts, smaller, story

    scores = story.found(result)
    metric = story.found_metric(result)
    made = [charts.verdict(result), charts.candidates(result)]
    if scores:
        made += [charts.classes(scores), charts.confusion(scores)]
    if result.winner.calibration:
        made.append(charts.calibration(result.winner.calibration))
    made += [charts.coverage(result.coverage, result.abstention),
             charts.slices(result.slices, metric, scores.score.value if scores else None)]
    if result.curve:
        made.append(charts.learning(result.curve, metric))
    for candidate in result.candidates:
        made += charts.history(candidate, metric)
    if result.frontier:
        made += smaller.drawings(result.frontier)
    made.append(charts.balance(result.health.labels))
    return [d for d in made if d]


def _figure(one: Drawing) -> str:
    from .drawing import page

    wide = page(one.wide, one.key, one.title, one.text)
    return wide + ("" if one.narrow is None else page(one.narrow, f"{one.key}-phone", one.title, one.text))


def _printable(value: Any) -> Any:
    """Halves of pairs and control characters cannot be written as HTML; a replacement stands for them."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]", "\ufffd", value)
    return value
