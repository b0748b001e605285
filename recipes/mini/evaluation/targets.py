"""What a good model reaches, and whether this one does: a table for a model card."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from recipes.mini.evaluation.guidance import MAX_UNHEALTHY, serves
from recipes.mini.evaluation.report import Report

_CHROMA_TIMES = 3.0


@dataclass(frozen=True)
class Verdict:
    """One line of the table: figures as text, and whether they reach the bar."""

    what: str
    figure: str
    bar: str
    songs: str
    passed: bool


@dataclass(frozen=True)
class _Least:
    """A share that is to be reached; `figure` names it in the report and in its ceiling."""

    figure: str
    what: str
    share: float


_BARS = (
    _Least("tempo_accuracy", "a named tempo is heard, within 4 %, octaves forgiven", 0.85),
    _Least("key_accuracy", "a named key is heard, tonic and mode", 0.70),
    _Least("drums_accuracy", "drums, or no drums, as asked", 0.95),
    _Least("instrument_accuracy", "the family of the leading instrument is heard", 0.80),
    _Least("genre_accuracy", "the genre is heard", 0.60),
    _Least("chroma_right", "agreement with the melody given", 0.60),
    _Least("continuation_key_accuracy", "a continuation keeps the key, tonic and mode", 0.80),
    _Least("continuation_tempo_accuracy", "a continuation keeps the tempo", 0.80),
    _Least(
        "steady_accuracy", "a minute has no hole, no loop and keeps its level within 2 LU", 0.95
    ),
)
_MAX_FRECHET_RATIO = 2.5


def verdicts(report: Report) -> list[Verdict]:
    """Every bar, and how the report stands to it."""
    shares = [_of_share(report, bar) for bar in _BARS]
    return [*shares, *_others(report)]


def table(report: Report) -> str:
    """As Markdown."""
    head = ["| what | reached | bar | the songs themselves | |", "|---|---|---|---|---|"]
    rows = [
        f"| {line.what} | {line.figure} | {line.bar} | {line.songs} | "
        f"{'pass' if line.passed else 'fail'} |"
        for line in verdicts(report)
    ]
    return "\n".join([*head, *rows]) + "\n"


def _of_share(report: Report, bar: _Least) -> Verdict:
    reached = float(getattr(report, bar.figure))
    songs = _percent(report.ceiling[bar.figure]) if bar.figure in report.ceiling else ""
    least = f"at least {_percent(bar.share)}"
    return Verdict(bar.what, _percent(reached), least, songs, reached >= bar.share)


def _others(report: Report) -> Iterator[Verdict]:
    least = _CHROMA_TIMES * report.chroma_wrong
    yield Verdict(
        "agreement with another melody",
        _percent(report.chroma_wrong),
        "at most a third of that with the melody given",
        "",
        report.chroma_right >= least,
    )
    yield Verdict(
        "Fréchet distance to held-out songs, over that between their halves",
        f"{report.frechet_ratio:.2f}",
        f"at most {_MAX_FRECHET_RATIO:g}",
        f"1 ({report.frechet_codec_ratio:.2f} after the codec)",
        report.frechet_ratio <= _MAX_FRECHET_RATIO,
    )
    yield _of_seam(report)
    yield _of_guidance(report)


def _of_seam(report: Report) -> Verdict:
    seam = report.seam
    return Verdict(
        "rank of the flux at a seam among that at the same place of other beats",
        f"{seam['rank']:.3f} ({seam['low']:.3f} to {seam['high']:.3f})",
        "0.5 or less, within 95 % certainty",
        f"{seam['songs_rank']:.3f}",
        not seam["detectable"],
    )


def _of_guidance(report: Report) -> Verdict:
    lines = report.guidance.items()
    return Verdict(
        f"facts heard at guidance {', '.join(name for name, _ in lines)}",
        ", ".join(_percent(one.adherence) for _, one in lines),
        f"it rises, and at most {_percent(MAX_UNHEALTHY)} collapse",
        "",
        serves(report.guidance),
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
