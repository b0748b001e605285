"""Kinds of plots: dots, lines, heights, a matrix and a circle, each a whole SVG file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from recipes.mini.evaluation import svg
from recipes.mini.evaluation.svg import Axis, Points


def scatter(x: Axis, y: Axis, sets: Mapping[str, Points], lines: Mapping[str, Points]) -> str:
    """Dots by name, over lines without one."""
    parts = [*svg.axes(x, y)]
    parts += [
        svg.path([svg.place(x, y, *point) for point in points], svg.INK)
        for points in lines.values()
    ]
    for (name, points), colour in zip(sets.items(), svg.COLOURS, strict=False):
        places = [svg.place(x, y, *point) for point in points]
        parts += [svg.dot(*place, colour) for place in places]
        parts.append(svg.legend(name, list(sets).index(name), colour))
    return svg.picture(parts)


def lines(x: Axis, y: Axis, sets: Mapping[str, Points]) -> str:
    """Lines by name."""
    parts = [*svg.axes(x, y)]
    for index, ((name, points), colour) in enumerate(zip(sets.items(), svg.COLOURS, strict=False)):
        parts.append(svg.path([svg.place(x, y, *point) for point in points], colour))
        parts.append(svg.legend(name, index, colour))
    return svg.picture(parts)


def histogram(x: Axis, y_label: str, sets: Mapping[str, Sequence[float]], bins: int = 20) -> str:
    """How many values of each set fall between two ticks, sets side by side."""
    counted = {name: _counts(x, values, bins) for name, values in sets.items()}
    top = max(max(counts) for counts in counted.values())
    y = Axis(y_label, 0, max(4 * math.ceil(top / 4), 4))  # so that ticks are whole numbers
    parts = [*svg.axes(x, y)]
    step, width = (x.high - x.low) / bins, svg.SPAN / bins / len(sets)
    for index, (name, counts) in enumerate(counted.items()):
        for bin_, count in enumerate(counts):
            left, upper = svg.place(x, y, x.low + bin_ * step, count)
            parts.append(svg.box(left + index * width, upper, width, svg.COLOURS[index]))
        parts.append(svg.legend(name, index, svg.COLOURS[index]))
    return svg.picture(parts)


def matrix(names: Sequence[str], pairs: Iterable[tuple[str, str]]) -> str:
    """Rows are what was asked, columns what was heard; the higher a row's share, the darker."""
    cell, left, top = 22, 120, 120
    counts = {(row, column): 0 for row in names for column in names}
    for pair in pairs:
        counts[pair] = counts.get(pair, 0) + 1
    parts: list[str] = []
    for i, row in enumerate(names):
        total = sum(counts[row, column] for column in names) or 1
        parts.append(svg.text(left - 6, top + cell * i + 15, row, "end"))
        parts.append(svg.upright(left + cell * i + 15, top - 6, row))
        for j, column in enumerate(names):
            share = counts[row, column] / total
            parts.append(svg.cell(left + cell * j, top + cell * i, cell, share))
    size = cell * len(names)
    return svg.picture(parts, left + size + 8, top + size + 8)


def circle(names: Sequence[str], shares: Sequence[float]) -> str:
    """A bar outward for each name, clockwise from the top; 1 reaches the rim."""
    middle, inner, rim = (svg.WIDTH / 2, svg.HEIGHT / 2), 40.0, 140.0
    parts = [svg.ring(*middle, inner + (rim - inner) * part / 4) for part in range(5)]
    for index, (name, share) in enumerate(zip(names, shares, strict=True)):
        angle = 2 * math.pi * index / len(names)
        start, end = (svg.around(middle, angle, inner + (rim - inner) * r) for r in (0.0, share))
        parts.append(svg.path([start, end], svg.COLOURS[0], 12))
        x, y = svg.around(middle, angle, rim + 16)
        parts.append(svg.text(x, y + 4, name, "middle"))
    return svg.picture(parts)


def _counts(x: Axis, values: Sequence[float], bins: int) -> list[int]:
    places = [min(int(x.part(value) * bins), bins - 1) for value in values]
    return [places.count(bin_) for bin_ in range(bins)]
