"""The data of an evaluation's plots, clip by clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from recipes.mini.composer.instruments import INSTRUMENTS
from recipes.mini.evaluation.clip_analysis import ClipAnalysis
from recipes.mini.evaluation.long_clips import thirds_lufs
from recipes.mini.evaluation.melody import Followed
from recipes.mini.evaluation.reference_songs import Material
from recipes.mini.evaluation.seam import Seam
from toccata.analysis.key import Key, parse_key
from toccata.analysis.spectrum import Samples


@dataclass(frozen=True)
class Points:
    """Pairs (requested, detected) of clips whose captions name the fact.

    chroma: agreement with the own melody and with another. thirds: loudness of the first and of
    the last third of each minute, in LUFS. flux: the mean from 1 s before to 1 s after a seam, and
    at the same time in the uncut songs.
    """

    tempi: Sequence[tuple[float, float]]
    keys: Sequence[tuple[Key, Key]]
    genres: Sequence[tuple[str, str]]
    families: Sequence[tuple[str, str]]
    chroma: tuple[Sequence[float], Sequence[float]]
    thirds: Sequence[tuple[float, float]]
    flux: tuple[Sequence[float], Sequence[float]]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def points(
    songs: Material,
    minutes: Sequence[Samples],
    analyses: Sequence[ClipAnalysis],
    melodies: Followed,
    cut: tuple[Seam, Seam],
) -> Points:
    """Collect the points: `analyses` of clips for captions, `cut` of continuations and songs."""
    pairs = [(song.named, one) for song, one in zip(songs.captioned, analyses, strict=True)]
    return Points(
        tempi=[(named.bpm, one.bpm) for named, one in pairs if named.bpm is not None],
        keys=[(parse_key(named.key), one.key) for named, one in pairs if named.key],
        genres=[(named.genre, one.genre) for named, one in pairs if named.genre],
        families=[
            (INSTRUMENTS[named.lead].family, one.family) for named, one in pairs if named.lead
        ],
        chroma=(melodies.right, melodies.wrong),
        thirds=[thirds_lufs(samples) for samples in minutes],
        flux=(cut[0].curve, cut[1].curve),
    )
