"""What a genre is made of, and the list of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Patterns = tuple[str, ...]
DrumPattern = Mapping[str, str]  # stroke name -> pattern


@dataclass(frozen=True)
class Genre:
    """The constrained grammar of one genre; patterns are in the notation of patterns.py."""

    name: str
    words: tuple[str, ...]  # what a caption may call it
    bpm: tuple[int, int]
    minor_share: float
    major_moods: tuple[str, ...]
    minor_moods: tuple[str, ...]
    major_chords: tuple[str, ...]  # degrees, one a bar: 4, 8 or 12
    minor_chords: tuple[str, ...]
    chord_instruments: tuple[str, ...]
    chord_patterns: Patterns
    lead_instruments: tuple[str, ...]
    lead_patterns: Patterns
    bass_instruments: tuple[str, ...] = ()
    bass_patterns: Patterns = ()
    pad_instruments: tuple[str, ...] = ()
    solo_instruments: tuple[str, ...] = ()
    kits: tuple[str, ...] = ()
    drum_patterns: tuple[DrumPattern, ...] = ()
    fills: tuple[DrumPattern, ...] = field(default=())
    drum_share: float = 0.0
    pad_share: float = 0.0
    lead_share: float = 0.85
    solo_share: float = 0.0
    beats_per_bar: int = 4
    swing: str = "straight"
    sevenths: bool = False
    pentatonic: bool = False
    voicing: str = "close"  # one of harmony.VOICINGS
    late: tuple[str, ...] = ()  # strokes that may come a frame late
    crash: bool = False


def all_genres() -> tuple[Genre, ...]:
    """Every genre, in the order in which `compose` draws from them."""
    from recipes.mini.composer.genres_acoustic import ACOUSTIC
    from recipes.mini.composer.genres_band import BAND
    from recipes.mini.composer.genres_dance import DANCE
    from recipes.mini.composer.genres_electric import ELECTRIC
    from recipes.mini.composer.genres_world import WORLD

    return ELECTRIC + DANCE + BAND + WORLD + ACOUSTIC
