"""What an evaluation looks like: one SVG for each question."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recipes.mini.evaluation.long_clips import MAX_DRIFT_LU
from recipes.mini.evaluation.points import Points
from recipes.mini.evaluation.report import Report
from toccata.evaluation.plots import (
    COLOURS,
    INK,
    columns,
    draw_lines,
    label,
    start_at_zero,
    svg,
)
from toccata.evaluation.plots import Points as Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BPM = (40.0, 200.0)
_LUFS = (-28.0, -8.0)
_BINS = 20
# The circle of fifths, as semitones from the requested tonic.
_FIFTHS = tuple(7 * step % 12 for step in range(12))
_CELL_PT, _MARGIN_PT = 22.0, 130.0

Plot = Callable[[Report, Points], str]


def plots(report: Report, points: Points) -> dict[str, str]:
    """Every plot by the name of its file."""
    return {name: plot(report, points) for name, plot in PLOTS.items()}


def tempo(_: Report, points: Points) -> str:
    """Detected tempo by requested tempo, over lines at half, once and twice the tempo."""

    def paint(axes: Axes) -> None:
        for slope in (0.5, 1.0, 2.0):
            axes.axline((0.0, 0.0), slope=slope, color=INK)
        _scatter(axes, points.tempi, _BPM, "clips")
        label(axes, "requested tempo, bpm", "detected tempo, bpm")

    return svg(paint)


def loudness(_: Report, points: Points) -> str:
    """Loudness at the end by loudness at the start, between lines at the largest drift."""

    def paint(axes: Axes) -> None:
        for drift_lu in (-MAX_DRIFT_LU, MAX_DRIFT_LU):
            axes.axline((0.0, drift_lu), slope=1.0, color=INK)
        _scatter(axes, points.thirds, _LUFS, "minutes")
        label(axes, "first third, LUFS", "last third, LUFS")

    return svg(paint)


def _scatter(axes: Axes, points: Curve, limits: tuple[float, float], name: str) -> None:
    """A dot for each point; what is beyond the limits stands on them."""
    x, y = (np.clip(column, *limits) for column in columns(points))
    axes.plot(x, y, "o", alpha=0.6, markersize=5, clip_on=False, label=name, gid=name)
    axes.set_xlim(*limits)
    axes.set_ylim(*limits)


def keys(_: Report, points: Points) -> str:
    """How far around the circle of fifths the detected tonic is from the requested one."""
    steps = [(detected[0] - requested[0]) % 12 for requested, detected in points.keys]
    shares = [steps.count(step) / (len(steps) or 1) for step in _FIFTHS]
    angles = [2 * math.pi * place / len(_FIFTHS) for place in range(len(_FIFTHS))]

    def paint(axes: Axes) -> None:
        axes.set_theta_zero_location("N")  # type: ignore[attr-defined]
        axes.set_theta_direction(-1)  # type: ignore[attr-defined]
        axes.set_rorigin(-0.4)  # type: ignore[attr-defined]
        axes.bar(angles, shares, width=0.2)
        axes.set_xticks(angles, ["same", *(f"+{step}" for step in _FIFTHS[1:])])
        axes.set_yticks([0.25, 0.5, 0.75, 1.0], labels=[])
        axes.set_ylim(0.0, 1.0)

    return svg(paint, (360.0, 360.0), projection="polar")


def genres(_: Report, points: Points) -> str:
    """Detected genres (columns) by requested genre (rows)."""
    return _matrix(points.genres)


def families(_: Report, points: Points) -> str:
    """Detected families of the lead (columns) by requested family (rows)."""
    return _matrix(points.families)


def _matrix(pairs: Sequence[tuple[str, str]]) -> str:
    """The share of each pair (row, column) in its row, in percent; the higher, the darker."""
    names = sorted({name for pair in pairs for name in pair})
    counts = np.zeros((len(names), len(names)))
    for row, column in pairs:
        counts[names.index(row), names.index(column)] += 1
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size_pt = _MARGIN_PT + _CELL_PT * len(names)
    return svg(partial(_paint_matrix, names=names, shares=shares), (size_pt, size_pt))


def _paint_matrix(axes: Axes, names: Sequence[str], shares: NDArray[np.float64]) -> None:
    from matplotlib.patches import Rectangle

    for row, column in np.argwhere(shares >= 0.005):
        share = float(shares[row, column])
        axes.add_patch(Rectangle((column, row), 1, 1, color=COLOURS[0], alpha=share))
        ink = "white" if share > 0.5 else INK
        axes.text(
            column + 0.5, row + 0.5, f"{100 * share:.0f}", ha="center", va="center", color=ink
        )
    edges, middles = np.arange(len(names) + 1), np.arange(len(names)) + 0.5
    axes.set_xticks(middles, names, rotation=90)
    axes.set_yticks(middles, names)
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(visible=False)
    axes.grid(which="minor")
    axes.tick_params(which="both", length=0, labelbottom=False, labeltop=True)
    axes.set(xlim=(0, len(names)), ylim=(len(names), 0), aspect="equal")


def chroma(_: Report, points: Points) -> str:
    """How many clips agree with the melody they follow, and with another, to what degree."""

    def paint(axes: Axes) -> None:
        names = ["its own", "another"]
        axes.hist(points.chroma, _BINS, range=(0.0, 1.0), color=COLOURS[:2], label=names)
        label(axes, "agreement with the melody", "clips")

    return svg(paint)


def guidance(report: Report, _: Points) -> str:
    """Adherence to the prompt and the share of degenerate clips, by guidance."""
    by_cfg = {float(name): one for name, one in report.guidance.items()}
    curves: dict[str, Curve] = {
        "all facts": [(cfg, one.adherence) for cfg, one in by_cfg.items()],
        "degenerate": [(cfg, one.unhealthy) for cfg, one in by_cfg.items()],
    }
    for name in ("tempo_accuracy", "genre_accuracy", "instrument_accuracy"):
        curves[name.removesuffix("_accuracy")] = [
            (cfg, one.rates[name]) for cfg, one in by_cfg.items() if name in one.rates
        ]

    def paint(axes: Axes) -> None:
        draw_lines(axes, {name: curve for name, curve in curves.items() if curve}, marker="o")
        axes.set_ylim(0.0, 1.0)
        label(axes, "guidance", "share of clips")

    return svg(paint)


def seam(_: Report, points: Points) -> str:
    """Spectral flux around the seam of a continuation, and at the same time in uncut songs."""
    continued, uncut = (_over_time(curve) for curve in points.flux)

    def paint(axes: Axes) -> None:
        draw_lines(axes, {"continued": continued, "uncut songs": uncut})
        start_at_zero(axes)
        label(axes, "seconds from the seam", "spectral flux")

    return svg(paint)


def _over_time(curve: Sequence[float]) -> Curve:
    """A curve that runs from 1 s before the seam to 1 s after it."""
    return [(2 * index / len(curve) - 1, value) for index, value in enumerate(curve)]


PLOTS: Mapping[str, Plot] = {
    "tempo.svg": tempo,
    "keys.svg": keys,
    "genres.svg": genres,
    "families.svg": families,
    "chroma.svg": chroma,
    "loudness.svg": loudness,
    "guidance.svg": guidance,
    "seam.svg": seam,
}
