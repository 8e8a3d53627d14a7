"""Plots as SVG that stands in the page itself: lines or points of several series, without a library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 460, 250
# Half of a number of seven digits stands right of the last tick.
LEFT, RIGHT, TOP, BOTTOM = 62, 24, 10, 40
# Told apart without colours, too: each has a mark of its own.
COLOURS = ("#2266aa", "#cc5533", "#2e8b57", "#8855aa", "#b8860b", "#008b8b", "#aa3377", "#777777")
MARKS = ("M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0", "M-4,-4h8v8h-8z", "M0,-5l5,9h-10z", "M0,-5l5,5l-5,5l-5,-5z")
TICKS = 5
Point = tuple[float, float]


class Series(NamedTuple):
    """Points (x, y) of one name, in the order in which a line leads through them."""

    name: str
    points: Sequence[Point]


class Panel(NamedTuple):
    """A plot; lines: whether each series is joined."""

    title: str
    x: str
    y: str
    series: Sequence[Series]
    lines: bool = True


def draw(panel: Panel) -> str:
    """The SVG of a panel with at least one point."""
    points = [point for series in panel.series for point in series.points]
    xs, ys = (ticks([point[axis] for point in points]) for axis in (0, 1))
    parts = [_axes(panel, xs, ys)]
    for number, series in enumerate(panel.series):
        colour, mark = COLOURS[number % len(COLOURS)], MARKS[number % len(MARKS)]
        placed = [_place(point, xs, ys) for point in series.points]
        if panel.lines and len(placed) > 1:
            way = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
            parts.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        for (x, y), (right, up) in zip(placed, series.points, strict=True):
            told = escape(f"{series.name}: {panel.x} {right:g}, {panel.y} {up:.4f}")
            shape = f'<path d="{mark}" fill="{colour}"><title>{told}</title></path>'
            parts.append(f'<g transform="translate({x:.1f},{y:.1f})">{shape}</g>')
    name = escape(f"{panel.title}: {panel.y} against {panel.x}; the numbers are in the table")
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">{"".join(parts)}</svg>'


def legend(panel: Panel) -> str:
    """The names of the series with their marks, as HTML."""
    items = []
    for number, series in enumerate(panel.series):
        colour, mark = COLOURS[number % len(COLOURS)], MARKS[number % len(MARKS)]
        key = f'<svg class="key" viewBox="-6 -6 12 12" aria-hidden="true"><path d="{mark}" fill="{colour}"/></svg>'
        items.append(f"<li>{key}{escape(series.name)}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'


def ticks(values: Sequence[float]) -> list[float]:
    """Round numbers, evenly apart, of which the first and the last hold all values between them."""
    least, most = min(values), max(values)
    span = (most - least) or abs(most) or 1.0
    power = 10 ** math.floor(math.log10(span / TICKS))
    step = next(power * times for times in (1, 2, 5, 10) if span / (power * times) <= TICKS)
    first, last = math.floor(least / step), math.ceil(most / step)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def _place(point: Point, xs: Sequence[float], ys: Sequence[float]) -> Point:
    right = (point[0] - xs[0]) / (xs[-1] - xs[0])
    up = (point[1] - ys[0]) / (ys[-1] - ys[0])
    return LEFT + right * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def _axes(panel: Panel, xs: Sequence[float], ys: Sequence[float]) -> str:
    parts = []
    for value in ys:
        _, y = _place((xs[0], value), xs, ys)
        parts.append(f'<path class="grid" d="M{LEFT},{y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.6g}</text>')
    for value in xs:
        x, _ = _place((value, ys[0]), xs, ys)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{value:.6g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(panel.x)}</text>')
    up = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text transform="translate(12,{up}) rotate(-90)" text-anchor="middle">{escape(panel.y)}</text>')
    return "".join(parts)
