"""Clip by clip: what the plots of an evaluation are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from recipes.mini.composer.instruments import INSTRUMENTS
from recipes.mini.evaluation.clip_analysis import Heard
from recipes.mini.evaluation.long_clips import thirds_lufs
from recipes.mini.evaluation.melody import Followed
from recipes.mini.evaluation.reference_songs import Material
from recipes.mini.evaluation.seam import Seam
from toccata.analysis.key import Key, parse_key
from toccata.analysis.spectrum import Samples


@dataclass(frozen=True)
class Points:
    """Pairs are (asked, heard), where the caption tells.

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
    heard: Sequence[Heard],
    sung: Followed,
    cut: tuple[Seam, Seam],
) -> Points:
    """`heard` in the clips of `songs.asked`; `cut`: of continuations and of uncut songs."""
    pairs = [(song.told, one) for song, one in zip(songs.asked, heard, strict=True)]
    return Points(
        tempi=[(told.bpm, one.bpm) for told, one in pairs if told.bpm is not None],
        keys=[(parse_key(told.key), one.key) for told, one in pairs if told.key],
        genres=[(told.genre, one.genre) for told, one in pairs if told.genre],
        families=[(INSTRUMENTS[told.lead].family, one.family) for told, one in pairs if told.lead],
        chroma=(sung.right, sung.wrong),
        thirds=[thirds_lufs(samples) for samples in minutes],
        flux=(cut[0].curve, cut[1].curve),
    )
