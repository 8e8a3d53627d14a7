"""An SVG drawing for pages: texts, boxes and lines in colours that a light and a dark screen both show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

# A phone shows a page 360 pixels wide, margins included, and the platform does not scale images down.
WIDTH = 320
# name: light, dark. The ground is part of the drawing, so that texts stand out whatever the page behind is.
COLOURS = {
    "ground": ("#ffffff", "#1b1f24"),
    "ink": ("#1b1f24", "#e8eaed"),
    "quiet": ("#57606a", "#a8b1bb"),
    "edge": ("#8c959f", "#6e7781"),
    "plain": ("#eef1f4", "#2d333b"),
    "window": ("#b6d7f5", "#1f4f7a"),
    "layers": ("#f6c88a", "#8a5200"),
    "call": ("#b3261e", "#ff8a80"),
    "curve": ("#0b57a4", "#7cc0ff"),
}


class Drawing:
    """Elements from top to bottom; coordinates and sizes are CSS pixels."""

    def __init__(self, title: str, height: int) -> None:
        self._title, self._height = title, height
        self._elements: list[str] = []

    def text(self, x: float, y: float, words: str, style: str = "", anchor: str = "start") -> None:
        """Words with their baseline at y; style: any of bold, small, quiet, call, separated by spaces."""
        named = f' class="{style}"' if style else ""
        at = f' text-anchor="{anchor}"' if anchor != "start" else ""
        self._elements.append(f'<text x="{_number(x)}" y="{_number(y)}"{named}{at}>{escape(words)}</text>')

    def box(self, x: float, y: float, width: float, height: float, colour: str, round_by: int = 0) -> None:
        """A filled rectangle with an edge."""
        place = f'x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" height="{_number(height)}"'
        self._elements.append(f'<rect {place} rx="{round_by}" class="box {colour}"/>')

    def line(self, points: Iterable[Sequence[float]], style: str = "edge", arrow: bool = False) -> None:
        """A line through points (x, y), with an arrow at its end where wanted."""
        path = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
        end = ' marker-end="url(#arrow)"' if arrow else ""
        self._elements.append(f'<polyline points="{path}" class="line {style}"{end}/>')

    def svg(self) -> str:
        """The file's content."""
        size = f'width="{WIDTH}" height="{self._height}" viewBox="0 0 {WIDTH} {self._height}"'
        return "\n".join(
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
                f"<title>{escape(self._title)}</title>",
                f"<style>{_styles(0)}@media (prefers-color-scheme: dark) {{ {_colours(1)}}}</style>",
                '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
                'orient="auto"><path d="M0 0L8 4L0 8z" class="head"/></marker></defs>',
                f'<rect width="{WIDTH}" height="{self._height}" rx="6" class="ground"/>',
                *self._elements,
                "</svg>",
                "",
            )
        )


def _styles(theme: int) -> str:
    """All rules of a theme: forms and colours."""
    forms = "text { font: 12px sans-serif } .bold { font-weight: bold } .small { font-size: 11px } "
    return forms + ".box { stroke-width: 1 } .line { fill: none; stroke-width: 1.5 } " + _colours(theme)


def _colours(theme: int) -> str:
    colour = {name: pair[theme] for name, pair in COLOURS.items()}
    fills = " ".join(f".{name} {{ fill: {colour[name]} }}" for name in ("ground", "plain", "window", "layers"))
    texts = (
        f"text {{ fill: {colour['ink']} }} .quiet {{ fill: {colour['quiet']} }} text.call {{ fill: {colour['call']} }}"
    )
    strokes = " ".join(f".line.{name} {{ stroke: {colour[name]} }}" for name in ("edge", "call", "curve"))
    return f"{fills} {texts} {strokes} .box {{ stroke: {colour['edge']} }} .head {{ fill: {colour['edge']} }} "


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
