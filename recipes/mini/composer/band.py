"""Who plays in a song."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recipes.mini.composer.composition import BASS, CHORDS, LEAD, PAD
from recipes.mini.composer.genres import Genre

_DRUMS_ONLY_SHARE = 0.025
_BASS_SHARE, _BASS_SHARE_WITHOUT_DRUMS = 0.97, 0.8


def draw_band(rng: np.random.Generator, genre: Genre) -> tuple[str, dict[int, str]]:
    """The kit, "" without drums, and the instrument of every channel."""
    with_drums = rng.random() < genre.drum_share
    kit = _one(rng, genre.kits) if with_drums else ""
    if with_drums and rng.random() < _DRUMS_ONLY_SHARE:
        return kit, {}
    if not with_drums and rng.random() < genre.solo_share:
        soloist = _one(rng, genre.solo_instruments)
        return kit, {LEAD: soloist, CHORDS: soloist, BASS: soloist}
    return kit, _draw_players(rng, genre, with_drums)


def _draw_players(rng: np.random.Generator, genre: Genre, with_drums: bool) -> dict[int, str]:
    band = {CHORDS: _one(rng, genre.chord_instruments)}
    if rng.random() < genre.lead_share:
        band[LEAD] = _one(rng, genre.lead_instruments)
    bass_share = _BASS_SHARE if with_drums else _BASS_SHARE_WITHOUT_DRUMS
    if genre.bass_instruments and rng.random() < bass_share:
        band[BASS] = _one(rng, genre.bass_instruments)
    if rng.random() < genre.pad_share:
        band[PAD] = _one(rng, genre.pad_instruments)
    return band


def _one(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]
