"""Plots as SVG text, drawn by matplotlib (extra `train` or `eval`).

The same data give the same bytes, so that a committed plot can be checked against its data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

from toccata.extras import missing_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = Sequence[tuple[float, float]]

# Readable on light and on dark pages.
INK, GRID = "#808080", "#80808040"
COLOURS = ("#2f7ed8", "#d9730d", "#3a9d5d", "#b04fc4", "#c03c3c")
SIZE_PT = (560.0, 320.0)
_POINTS_PER_INCH = 72.0
_STYLE: Any = {
    "svg.hashsalt": "toccata",  # element ids are random without it
    "svg.fonttype": "none",  # text stays text
    "font.size": 12.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.prop_cycle": f"cycler(color={list(COLOURS)})",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), INK),
}


def svg(
    paint: Callable[[Axes], None],
    size_pt: tuple[float, float] = SIZE_PT,
    projection: str | None = None,
) -> str:
    """Draw one plot.

    Args:
        paint: Draws on the axes that it is called with.
        size_pt: Width and height in points.
        projection: matplotlib's name for the kind of axes, such as "polar"; None: rectangular.

    Returns:
        A whole SVG file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("matplotlib, which draws the plots,", "train") from error
    width, height = (length / _POINTS_PER_INCH for length in size_pt)
    text = StringIO()
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(figure.add_subplot(projection=projection))
        # The date and the version would differ from run to run.
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def label(axes: Axes, x_label: str, y_label: str) -> None:
    """Name both axes, and put the legend of what has a label beside the plot."""
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def draw_lines(axes: Axes, lines: Mapping[str, Points], marker: str = "") -> None:
    """Draw a line through the points of each name, in x order as given."""
    for name, points in lines.items():
        axes.plot(*columns(points), marker=marker, label=name, gid=name, linewidth=2)


def start_at_zero(axes: Axes) -> None:
    """Let y go from 0 to a little above the highest point."""
    axes.update_datalim([(axes.get_xlim()[0], 0.0)], updatex=False)
    axes.autoscale(axis="y")
    axes.set_ylim(bottom=0.0)


def columns(points: Points) -> tuple[list[float], list[float]]:
    """The x and the y of points."""
    return [x for x, _ in points], [y for _, y in points]
