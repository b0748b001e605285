"""The figures of a report that are put together from several measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recipes.mini.evaluation import adherence, continuation
from recipes.mini.evaluation.clip_analysis import Heard, hear_all
from recipes.mini.evaluation.degenerate import examine
from recipes.mini.evaluation.generation import GUIDANCE, Made
from recipes.mini.evaluation.guidance import Guided, guided
from recipes.mini.evaluation.long_clips import Likeness, steadiness
from recipes.mini.evaluation.reference_songs import Material
from recipes.mini.evaluation.seam import Seam
from recipes.mini.evaluation.tagger_frechet import distances
from toccata.analysis.spectrum import RATE_HZ, Samples
from toccata.analysis.tagger import Tagger


@dataclass(frozen=True)
class TagLogits:
    """What was heard in clips that were asked for, in their songs, and in these after the codec."""

    made: Sequence[Heard]
    songs: Sequence[Heard]
    coded: Sequence[Heard]


def frechet_figures(heard: TagLogits) -> dict[str, Any]:
    real = [one.embedding for one in heard.songs]
    made = distances([one.embedding for one in heard.made], real)
    coded = distances([one.embedding for one in heard.coded], real)
    return {
        "frechet_ratio": made.ratio,
        "frechet_codec_ratio": coded.ratio,
        "frechet": {
            "made": round(made.made, 4),
            "coded": round(coded.made, 4),
            "halves": round(made.halves, 4),
        },
    }


def seam_figures(joined: Seam, uncut: Seam) -> dict[str, Any]:
    """Of continuations, and of songs in which nothing changes hands."""
    of_songs = {f"songs_{name}": figure for name, figure in uncut.to_json().items()}
    return {**joined.to_json(), **of_songs, "detectable": joined.detectable}


def by_guidance(
    songs: Material, made: Made, heard: Sequence[Heard], tagger: Tagger
) -> dict[str, Guided]:
    """From the least guidance to the most; `heard` in the clips that were asked for."""
    first = songs.asked[: songs.guided]
    found = {
        cfg: guided(clips, hear_all(clips, tagger), first) for cfg, clips in made.guided.items()
    }
    found[GUIDANCE] = guided(made.asked[: songs.guided], heard[: songs.guided], first)
    return {f"{cfg:g}": found[cfg] for cfg in sorted(found)}


def ceiling(heard: TagLogits, songs: Material, most: Likeness) -> dict[str, float]:
    """The same measures on the songs themselves."""
    rest = continuation.new_parts([song.audio for song in songs.continued])
    minutes = [steadiness(song.audio, most).steady for song in songs.long]
    return {
        **adherence.rates(heard.songs, songs.asked),
        **continuation.kept(rest, songs.continued),
        "steady_accuracy": adherence.share(minutes),
    }


def unhealthy(clips: Sequence[Samples]) -> int:
    return sum(not examine(samples, RATE_HZ).well for samples in clips)


def counts(songs: Material) -> dict[str, int]:
    """How many clips each figure is of."""
    of_sets = ("asked", "melodic", "continued", "long")
    sizes = {name: len(getattr(songs, name)) for name in of_sets}
    return {**adherence.counts(songs.asked), **sizes, "guided": songs.guided}
