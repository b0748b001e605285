"""Draw line charts as SVG; the same figures give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toccata.evaluation import plots
from toccata.evaluation.plots import Points

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Chart:
    """A chart of lines by name; x has a logarithmic scale, and y starts at 0."""

    x_label: str
    y_label: str
    lines: Mapping[str, Points]


def svg(chart: Chart) -> str:
    """Draw a chart.

    Returns:
        A whole SVG file; the same figures give the same bytes.
    """

    def paint(axes: Axes) -> None:
        xs = sorted({x for points in chart.lines.values() for x, _ in points})
        axes.set_xscale("log", base=2)
        plots.draw_lines(axes, chart.lines, marker="o")
        axes.set_xticks(xs, [f"{x:g}" for x in xs])
        plots.start_at_zero(axes)
        plots.label(axes, chart.x_label, chart.y_label)

    return plots.svg(paint)
