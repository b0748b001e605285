"""Metrics of a report that combine several measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recipes.mini.evaluation import adherence, continuation
from recipes.mini.evaluation.clip_analysis import ClipAnalysis, analyze_all
from recipes.mini.evaluation.degenerate import find_defects
from recipes.mini.evaluation.generation import GUIDANCE, GeneratedClips
from recipes.mini.evaluation.guidance import Guided, guided
from recipes.mini.evaluation.long_clips import Likeness, steadiness
from recipes.mini.evaluation.reference_songs import Material
from recipes.mini.evaluation.seam import Seam
from recipes.mini.evaluation.tagger_frechet import distances
from toccata.analysis.spectrum import RATE_HZ, Samples
from toccata.analysis.tagger import Tagger


@dataclass(frozen=True)
class Analyses:
    """Analyses of the clips for captions, of their songs, and of these after the codec."""

    generated: Sequence[ClipAnalysis]
    songs: Sequence[ClipAnalysis]
    coded: Sequence[ClipAnalysis]


def frechet_figures(analyses: Analyses) -> dict[str, Any]:
    """Frechet distances, and their ratios to that between halves of the songs."""
    real = [one.embedding for one in analyses.songs]
    generated = distances([one.embedding for one in analyses.generated], real)
    coded = distances([one.embedding for one in analyses.coded], real)
    return {
        "frechet_ratio": generated.ratio,
        "frechet_codec_ratio": coded.ratio,
        "frechet": {
            "made": round(generated.made, 4),
            "coded": round(coded.made, 4),
            "halves": round(generated.halves, 4),
        },
    }


def seam_figures(joined: Seam, uncut: Seam) -> dict[str, Any]:
    """Ranks of continuations, and of songs without a seam."""
    of_songs = {f"songs_{name}": figure for name, figure in uncut.to_json().items()}
    return {**joined.to_json(), **of_songs, "detectable": joined.detectable}


def by_guidance(
    songs: Material, made: GeneratedClips, analyses: Sequence[ClipAnalysis], tagger: Tagger
) -> dict[str, Guided]:
    """Metrics by rising guidance; `analyses` are of the clips for captions."""
    first = songs.captioned[: songs.guided]
    found = {
        cfg: guided(clips, analyze_all(clips, tagger), first) for cfg, clips in made.guided.items()
    }
    found[GUIDANCE] = guided(made.captioned[: songs.guided], analyses[: songs.guided], first)
    return {f"{cfg:g}": found[cfg] for cfg in sorted(found)}


def ceiling(analyses: Analyses, songs: Material, most: Likeness) -> dict[str, float]:
    """The real-data upper bound: the same metrics on the songs."""
    rest = continuation.new_parts([song.audio for song in songs.continued])
    minutes = [steadiness(song.audio, most).steady for song in songs.long]
    return {
        **adherence.rates(analyses.songs, songs.captioned),
        **continuation.kept(rest, songs.continued),
        "steady_accuracy": adherence.share(minutes),
    }


def unhealthy(clips: Sequence[Samples]) -> int:
    """Count degenerate clips."""
    return sum(find_defects(samples, RATE_HZ).any for samples in clips)


def counts(songs: Material) -> dict[str, int]:
    """How many clips each metric was computed of."""
    of_sets = ("captioned", "melodic", "continued", "long")
    sizes = {name: len(getattr(songs, name)) for name in of_sets}
    return {**adherence.counts(songs.captioned), **sizes, "guided": songs.guided}
