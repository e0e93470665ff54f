"""From an Altair chart to a PNG, an SVG file, or the SVG inside the page whose colours follow the reader's theme.

Charts are drawn in the light colours of `PALETTE`. Inside the page each of these becomes the CSS variable of that
name, so one drawing serves light, dark and print. The palette is Okabe and Ito's, which colour-blind readers can
tell apart (https://jfly.uni-koeln.de/color/).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import altair as alt

PALETTE = {
    "ink": "#16191d",
    "soft": "#5a616b",
    "mark": "#7b838d",
    "line": "#e2e4e8",
    "paper": "#fefefe",
    "accent": "#0072b2",
    "warn": "#d55e00",
}
"""Name of the CSS variable and its light value. The values differ, so that a colour names its variable."""

INK, SOFT, MARK, LINE, PAPER, ACCENT, WARN = PALETTE.values()
FONT = "Arimo, Helvetica, Arial, sans-serif"
"""vl-convert carries Arimo, so that texts are measured alike on every machine; the page shows its own font."""
WIDE, HALF, NARROW = 840, 400, 340
"""Widths of a drawing in pixels: a whole column, half a column (which also fits a phone), a phone."""
WIDER = 1.2
"""Words are measured so much larger than the page shows them: the reader's own font may be wider than Arimo."""
FONT_SIZE = 12
PADDING = {"left": 6, "top": 8, "right": 8, "bottom": 2}
SVG = "http://www.w3.org/2000/svg"


@dataclass(frozen=True)
class Drawing:
    """One chart.

    Args:
        key: short name, unique in the page.
        title: what it shows, for readers who cannot see it.
        text: the same content in words.
        wide: the chart for a screen or paper.
        narrow: the chart for a phone; None where the wide one is small enough for both.
    """

    key: str
    title: str
    text: str
    wide: alt.TopLevelMixin
    narrow: alt.TopLevelMixin | None = None


def finish(chart: Any, width: int, height: int) -> Any:
    """Give a chart its size and the look of the page.

    Args:
        width: of the whole drawing, words beside the plot included, in pixels.
        height: of the plot without its axes, in pixels.
    """
    size = FONT_SIZE * WIDER
    axis = {"labelFont": FONT, "labelFontSize": size, "labelColor": SOFT, "titleFont": FONT, "titleFontSize": size,
            "titleFontWeight": "normal", "titleColor": SOFT, "titlePadding": 8, "labelPadding": 6, "gridColor": LINE,
            "domain": False, "ticks": False, "labelLimit": 1000}
    return chart.properties(
        width=width, height=height, padding=PADDING,
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
    ).configure(background="transparent", axis=axis, view={"stroke": None}, mark={"aria": False},
                text={"font": FONT, "fontSize": size, "color": INK})


def svg(chart: Any) -> str:
    """The chart as an SVG file in light colours. Draws without the network."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(chart.to_dict(validate=False)))


def png(chart: Any, scale: float = 2) -> bytes:
    """The chart as a PNG on white, `scale` pixels a point. Draws without the network."""
    import vl_convert

    return bytes(vl_convert.vegalite_to_png(chart.properties(background=PAPER).to_dict(), scale=scale))


def page(chart: Any, key: str, title: str, text: str) -> str:
    """The chart as an SVG element for the page: themed, named for screen readers, alike at every run.

    Args:
        key: unique in the page; ids inside the drawing begin with it.
        title, text: what it shows; what it says, in words.
    """
    root = ElementTree.fromstring(_NOT_XML.sub(" ", svg(chart)))
    _strip(root)
    for number, element in enumerate(root.iter(f"{{{SVG}}}clipPath")):
        _rename(root, element.attrib["id"], f"{key}-clip-{number}")
    width, height = root.attrib["width"], root.attrib["height"]
    root.attrib.clear()
    root.attrib.update({"viewBox": f"0 0 {width} {height}", "width": width, "height": height, "role": "img",
                        "aria-labelledby": f"{key}-title {key}-text"})
    for at, (tag, words) in enumerate((("title", title), ("desc", text))):
        element = ElementTree.Element(f"{{{SVG}}}{tag}", {"id": f"{key}-{'title' if tag == 'title' else 'text'}"})
        element.text = words
        root.insert(at, element)
    written = ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)
    return re.sub(r' xmlns:\w+="[^"]*"', "", re.sub(r"(</?)ns\d+:", r"\1", written))


def file(chart: Any, key: str, title: str, text: str) -> str:
    """The chart as an SVG file of its own that follows the reader's theme, as the page does."""
    from pathlib import Path

    style = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
    themes = style[style.index(":root {"):style.index("* {")]
    inner = page(chart, key, title, text)
    at = inner.index(">")
    look = f"<style>{themes} svg {{ background: var(--paper); font: {FONT_SIZE}px system-ui, {FONT}; }}</style>"
    return f'{inner[:at]} xmlns="{SVG}">{look}{inner[at + 1:]}'


_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_NAMES = {value: name for name, value in PALETTE.items()}
_DROPPED = ("class", "pointer-events", "font-family", "aria-hidden", "aria-roledescription", "role",
            "stroke-miterlimit")


def _strip(parent: ElementTree.Element) -> None:
    """Drop what draws nothing, round what is too exact to see, and put variables for colours."""
    for child in list(parent):
        empty = child.tag == f"{{{SVG}}}path" and child.get("class") in ("background", "foreground")
        _strip(child)
        if (empty and "fill" not in child.attrib) or (child.tag == f"{{{SVG}}}g" and len(child) == 0):
            parent.remove(child)
            continue
        for name, value in list(child.attrib.items()):
            if name in _DROPPED or (name == "opacity" and value == "1"):
                del child.attrib[name]
            elif name in ("fill", "stroke") and value.lower() in _NAMES:
                child.attrib[name] = f"var(--{_NAMES[value.lower()]})"
            elif name == "font-size":
                child.attrib[name] = f"{float(value.removesuffix('px')) / WIDER:.4g}px"
            elif name in ("transform", "d", "x", "y", "x2", "y2", "width", "height"):
                child.attrib[name] = re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found.group()):.2f}", value)
        said = child.attrib.pop("aria-label", None)
        if said and child.tag != f"{{{SVG}}}g":  # a mark's own words become the hint under the mouse
            ElementTree.SubElement(child, f"{{{SVG}}}title").text = said


def _rename(root: ElementTree.Element, old: str, new: str) -> None:
    for element in root.iter():
        for name, value in element.attrib.items():
            if value == old and name == "id":
                element.attrib[name] = new
            elif value == f"url(#{old})":
                element.attrib[name] = f"url(#{new})"
