"""How a band plays a form: who begins, where the drums thin out, who is early or late."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from recipes.mini.composer.composition import BASS, CHORDS, DRUMS, LEAD
from recipes.mini.composer.genres import Genre

_INTRO_SHARE = 0.25
# Those who may begin, if they are in the band.
_BEGINNERS = ((CHORDS,), (DRUMS, BASS), (CHORDS, BASS), (CHORDS, DRUMS))
_BREAK_SHARE, _CRASH_SHARE, _ENDING_SHARE = 0.35, 0.5, 0.1
_LATE_SHARE = 0.6
_LEAD_SHIFTS = (0, 0, 0, 0, 0, 1, 1, -1)  # frames


@dataclass(frozen=True)
class Arrangement:
    """`late` are drum strokes and `lead_shift` the lead, moved by frames for the whole song."""

    intro_bars: int
    beginners: frozenset[int]  # channels that play in the intro
    lead_rest_bars: int
    breaks: bool
    crashes: bool
    ends: bool
    late: frozenset[str]
    lead_shift: int


def draw_arrangement(
    rng: np.random.Generator, genre: Genre, drums: bool, channels: Collection[int]
) -> Arrangement:
    """The arrangement for a band with these pitched channels."""
    band = {*channels, DRUMS} if drums else set(channels)
    beginners = frozenset(_BEGINNERS[int(rng.integers(len(_BEGINNERS)))]) & band
    has_intro = rng.random() < _INTRO_SHARE and bool(beginners) and beginners != band
    return Arrangement(
        intro_bars=int(rng.integers(1, 3)) if has_intro else 0,
        beginners=beginners,
        lead_rest_bars=int(rng.random() < 0.1) if LEAD in band else 0,
        breaks=bool(rng.random() < _BREAK_SHARE),
        crashes=genre.crash and bool(rng.random() < _CRASH_SHARE),
        ends=bool(rng.random() < _ENDING_SHARE) and bool(channels),
        late=frozenset(genre.late if rng.random() < _LATE_SHARE else ()),
        lead_shift=int(rng.choice(_LEAD_SHIFTS)),
    )
