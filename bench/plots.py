"""Line charts as SVG: the same figures give the same bytes, and any viewer shows them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 120, 24, 48
# Readable on light and on dark pages.
INK, GRID = "#808080", "#80808040"
COLOURS = ("#2f7ed8", "#d9730d", "#3a9d5d", "#b04fc4")

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    """lines: points by name; x stands on a scale of powers of two, y starts at 0."""

    x_label: str
    y_label: str
    lines: Mapping[str, Points]


def svg(chart: Chart) -> str:
    body = "\n".join(_body(chart))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12" fill="{INK}">\n{body}\n</svg>\n'
    )


def _body(chart: Chart) -> Iterator[str]:
    xs = sorted({x for points in chart.lines.values() for x, _ in points})
    top = nice_top(max(y for points in chart.lines.values() for _, y in points))
    places = _x_places(xs)
    for part in range(5):
        y = _y_place(part * top / 4, top)
        yield f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>'
        yield _text(LEFT - 8, y + 4, f"{part * top / 4:g}", "end")
    for x in xs:
        yield _text(places[x], HEIGHT - BOTTOM + 18, f"{x:g}", "middle")
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, chart.x_label, "middle")
    yield _text(4, 14, chart.y_label, "start")
    for (name, points), colour in zip(chart.lines.items(), COLOURS, strict=False):
        yield from _line(name, [(places[x], _y_place(y, top)) for x, y in points], colour)


def _line(name: str, points: Points, colour: str) -> Iterator[str]:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for x, y in points:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
    x, y = points[-1]
    yield f'<text x="{x + 10:.1f}" y="{y + 4:.1f}" fill="{colour}">{name}</text>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def _x_places(xs: Sequence[float]) -> dict[float, float]:
    low, high = math.log2(xs[0]), math.log2(xs[-1])
    span = (high - low) or 1.0
    width = WIDTH - LEFT - RIGHT
    return {x: LEFT + width * (math.log2(x) - low) / span for x in xs}


def _y_place(y: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / top


def nice_top(highest: float) -> float:
    """1, 2, 4, 6, 8 or 10 times a power of ten, no lower than `highest`, which is above 0."""
    power = 10.0 ** math.floor(math.log10(highest))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= highest)
