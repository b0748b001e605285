"""Marks and axes of plots, as SVG: the same figures give the same bytes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 560, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 110, 28, 48
# Readable on light and on dark pages.
INK, GRID = "#808080", "#80808040"
COLOURS = ("#2f7ed8", "#d9730d", "#3a9d5d", "#b04fc4", "#c03c3c")
SPAN = WIDTH - LEFT - RIGHT
_TICKS = 4

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """A label, and the values at both ends."""

    label: str
    low: float
    high: float

    def part(self, value: float) -> float:
        """Where a value lies, from 0 to 1; beyond the ends, at the end."""
        return min(max((value - self.low) / ((self.high - self.low) or 1.0), 0.0), 1.0)

    def ticks(self) -> list[float]:
        return [self.low + (self.high - self.low) * i / _TICKS for i in range(_TICKS + 1)]


def picture(parts: Iterable[str], width: int = WIDTH, height: int = HEIGHT) -> str:
    """A whole file."""
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="12" fill="{INK}">\n{body}\n</svg>\n'
    )


def axes(x: Axis, y: Axis) -> Iterator[str]:
    for tick in y.ticks():
        _, up = place(x, y, x.low, tick)
        yield f'<path d="M{LEFT} {up:.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>'
        yield text(LEFT - 8, up + 4, f"{tick:.3g}", "end")
    for tick in x.ticks():
        right, _ = place(x, y, tick, y.low)
        yield text(right, HEIGHT - BOTTOM + 18, f"{tick:.3g}", "middle")
    yield text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x.label, "middle")
    yield text(4, 14, y.label, "start")


def place(x: Axis, y: Axis, right: float, up: float) -> tuple[float, float]:
    return (
        LEFT + SPAN * x.part(right),
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y.part(up),
    )


def path(places: Points, colour: str, width: float = 2) -> str:
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    return f'<path d="M{line}" fill="none" stroke="{colour}" stroke-width="{width:g}"/>'


def dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}" fill-opacity="0.6"/>'


def ring(x: float, y: float, radius: float) -> str:
    return f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="none" stroke="{GRID}"/>'


def around(middle: tuple[float, float], angle: float, radius: float) -> tuple[float, float]:
    return middle[0] + radius * math.sin(angle), middle[1] - radius * math.cos(angle)


def box(left: float, upper: float, width: float, colour: str) -> str:
    height = HEIGHT - BOTTOM - upper
    return (
        f'<rect x="{left:.1f}" y="{upper:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'fill="{colour}"/>'
    )


def cell(left: float, top: float, size: float, share: float) -> str:
    place = f'x="{left:g}" y="{top:g}" width="{size:g}" height="{size:g}" stroke="{GRID}"'
    filled = f'<rect {place} fill="{COLOURS[0]}" fill-opacity="{share:.2f}"/>'
    if share < 0.005:
        return filled
    return filled + text(left + size / 2, top + size / 2 + 4, f"{100 * share:.0f}", "middle")


def legend(name: str, index: int, colour: str) -> str:
    y = TOP + 14 + 18 * index
    return f'<text x="{WIDTH - RIGHT + 8}" y="{y}" fill="{colour}">{escape(name)}</text>'


def text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def upright(x: float, y: float, words: str) -> str:
    return f'<text transform="translate({x:.1f} {y:.1f}) rotate(-90)">{escape(words)}</text>'
