"""The plot of a run's training and validation losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from toccata.evaluation import plots
from toccata.evaluation.plots import Points
from toccata.finetuning.run_files import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_POINTS = 100


def losses_svg(rows: Sequence[Row]) -> str:
    """Plot the losses by step: of training, averaged over neighbouring steps, and held out.

    Args:
        rows: Those of the run's log; losses are in nats per code.

    Returns:
        A whole SVG file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    training = [(row["step"], row["loss"]) for row in rows if "loss" in row]
    held_out = [(row["step"], row["held_out"]) for row in rows if "held_out" in row]
    lines = {"training": _thinned(training), "held out": held_out}

    def paint(axes: Axes) -> None:
        plots.draw_lines(axes, {name: points for name, points in lines.items() if points})
        plots.label(axes, "step", "nats per code")

    return plots.svg(paint)


def _thinned(points: Points) -> Points:
    """At most `MAX_POINTS`, each the mean of its neighbours."""
    size = -(-len(points) // MAX_POINTS)
    groups = [points[i : i + size] for i in range(0, len(points), max(size, 1))]
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]
