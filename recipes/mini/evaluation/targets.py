"""Targets of a good model, and whether a report reaches them: a table for a model card."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from recipes.mini.evaluation.guidance import MAX_UNHEALTHY, serves
from recipes.mini.evaluation.report import Report

_CHROMA_TIMES = 3.0


@dataclass(frozen=True)
class TargetResult:
    """One line of the table: a metric and its target as text, and whether it is reached."""

    what: str
    figure: str
    bar: str
    songs: str
    passed: bool


@dataclass(frozen=True)
class _Least:
    """A minimum share; `figure` is its name in the report and in the upper bound."""

    figure: str
    what: str
    share: float


_BARS = (
    _Least("tempo_accuracy", "a named tempo is detected, within 4 % or an octave", 0.85),
    _Least("key_accuracy", "a named key is detected, tonic and mode", 0.70),
    _Least("drums_accuracy", "drums, or no drums, as requested", 0.95),
    _Least("instrument_accuracy", "the family of the leading instrument is detected", 0.80),
    _Least("genre_accuracy", "the genre is detected", 0.60),
    _Least("chroma_right", "agreement with the input melody", 0.60),
    _Least("continuation_key_accuracy", "a continuation keeps the key, tonic and mode", 0.80),
    _Least("continuation_tempo_accuracy", "a continuation keeps the tempo", 0.80),
    _Least(
        "steady_accuracy", "a minute has no silence, no loop and keeps its level within 2 LU", 0.95
    ),
)
_MAX_FRECHET_RATIO = 2.5


def results(report: Report) -> list[TargetResult]:
    """Compare a report with every target."""
    shares = [_of_share(report, bar) for bar in _BARS]
    return [*shares, *_others(report)]


def table(report: Report) -> str:
    """The results as a Markdown table."""
    head = ["| metric | result | target | reference songs | |", "|---|---|---|---|---|"]
    rows = [
        f"| {line.what} | {line.figure} | {line.bar} | {line.songs} | "
        f"{'pass' if line.passed else 'fail'} |"
        for line in results(report)
    ]
    return "\n".join([*head, *rows]) + "\n"


def _of_share(report: Report, bar: _Least) -> TargetResult:
    reached = float(getattr(report, bar.figure))
    songs = _percent(report.ceiling[bar.figure]) if bar.figure in report.ceiling else ""
    least = f"at least {_percent(bar.share)}"
    return TargetResult(bar.what, _percent(reached), least, songs, reached >= bar.share)


def _others(report: Report) -> Iterator[TargetResult]:
    least = _CHROMA_TIMES * report.chroma_wrong
    yield TargetResult(
        "agreement with another melody",
        _percent(report.chroma_wrong),
        "at most a third of that with the input melody",
        "",
        report.chroma_right >= least,
    )
    yield TargetResult(
        "Fréchet distance to held-out songs, over that between their halves",
        f"{report.frechet_ratio:.2f}",
        f"at most {_MAX_FRECHET_RATIO:g}",
        f"1 ({report.frechet_codec_ratio:.2f} after the codec)",
        report.frechet_ratio <= _MAX_FRECHET_RATIO,
    )
    yield _of_seam(report)
    yield _of_guidance(report)


def _of_seam(report: Report) -> TargetResult:
    seam = report.seam
    return TargetResult(
        "rank of the flux at a seam among that at the same place of other beats",
        f"{seam['rank']:.3f} ({seam['low']:.3f} to {seam['high']:.3f})",
        "0.5 or less, within 95 % certainty",
        f"{seam['songs_rank']:.3f}",
        not seam["detectable"],
    )


def _of_guidance(report: Report) -> TargetResult:
    lines = report.guidance.items()
    return TargetResult(
        f"facts detected at guidance {', '.join(name for name, _ in lines)}",
        ", ".join(_percent(one.adherence) for _, one in lines),
        f"it rises, and at most {_percent(MAX_UNHEALTHY)} are degenerate",
        "",
        serves(report.guidance),
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
