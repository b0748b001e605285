"""What an evaluation looks like: one SVG for each question."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from recipes.mini.evaluation import charts
from recipes.mini.evaluation.long_clips import MAX_DRIFT_LU
from recipes.mini.evaluation.points import Points
from recipes.mini.evaluation.report import Report
from recipes.mini.evaluation.svg import Axis
from recipes.mini.evaluation.svg import Points as Places

_BPM = (40.0, 200.0)
_LUFS = (-28.0, -8.0)
# The circle of fifths, as steps from the tonic that was asked for.
_FIFTHS = tuple(7 * step % 12 for step in range(12))
_STEPS = ("same", "+1", "+2", "+3", "+4", "+5", "+6", "+7", "+8", "+9", "+10", "+11")

Plot = Callable[[Report, Points], str]


def plots(report: Report, points: Points) -> dict[str, str]:
    """Every plot by the name of its file."""
    return {name: plot(report, points) for name, plot in PLOTS.items()}


def tempo(_: Report, points: Points) -> str:
    x, y = Axis("bpm asked for", *_BPM), Axis("bpm heard", *_BPM)
    lines = {f"x{times:g}": _line(times) for times in (0.5, 1.0, 2.0)}
    return charts.scatter(x, y, {"clips": points.tempi}, lines)


def _line(times: float) -> Places:
    """Where `times` the tempo asked for is heard, as far as the plot goes."""
    low, high = _BPM
    ends = max(low, low / times), min(high, high / times)
    return [(end, end * times) for end in ends]


def keys(_: Report, points: Points) -> str:
    """How far around the circle of fifths the tonic heard is from the one asked for."""
    steps = [(heard[0] - asked[0]) % 12 for asked, heard in points.keys]
    shares = [steps.count(step) / (len(steps) or 1) for step in _FIFTHS]
    return charts.circle([_STEPS[step] for step in _FIFTHS], shares)


def genres(_: Report, points: Points) -> str:
    return charts.matrix(_names(points.genres), points.genres)


def families(_: Report, points: Points) -> str:
    return charts.matrix(_names(points.families), points.families)


def _names(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return sorted({name for pair in pairs for name in pair})


def chroma(_: Report, points: Points) -> str:
    right, wrong = points.chroma
    x = Axis("agreement with the melody", 0.0, 1.0)
    return charts.histogram(x, "clips", {"its own": right, "another": wrong})


def loudness(_: Report, points: Points) -> str:
    x, y = Axis("first third, LUFS", *_LUFS), Axis("last third, LUFS", *_LUFS)
    low, high = _LUFS
    drifts = (-MAX_DRIFT_LU, MAX_DRIFT_LU)
    lines = {f"{by:+g} LU": [(low, low + by), (high, high + by)] for by in drifts}
    return charts.scatter(x, y, {"minutes": points.thirds}, lines)


def guidance(report: Report, _: Points) -> str:
    """Adherence and what it costs, by guidance."""
    by_cfg = {float(name): one for name, one in report.guidance.items()}
    x = Axis("guidance", min(by_cfg), max(by_cfg))
    curves: dict[str, Places] = {
        "all facts": [(cfg, one.adherence) for cfg, one in by_cfg.items()],
        "unhealthy": [(cfg, one.unhealthy) for cfg, one in by_cfg.items()],
    }
    for name in ("tempo_accuracy", "genre_accuracy", "instrument_accuracy"):
        curves[name.removesuffix("_hit")] = [
            (cfg, one.rates[name]) for cfg, one in by_cfg.items() if name in one.rates
        ]
    asked = {name: curve for name, curve in curves.items() if curve}
    return charts.lines(x, Axis("share of clips", 0.0, 1.0), asked)


def seam(_: Report, points: Points) -> str:
    joined, uncut = points.flux
    top = max([*joined, *uncut, 1e-6])
    x, y = Axis("seconds from the seam", -1.0, 1.0), Axis("spectral flux", 0.0, top)
    return charts.lines(x, y, {"continued": _over_time(joined), "uncut songs": _over_time(uncut)})


def _over_time(curve: Sequence[float]) -> Places:
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
