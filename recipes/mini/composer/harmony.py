"""Keys, chords by scale degree, and the pitches that realise them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from toccata.analysis.key import key_name

MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 10)
# Scale steps left out by the pentatonic of each mode.
_MAJOR_AVOID = (3, 6)
_MINOR_AVOID = (1, 5)


@dataclass(frozen=True)
class Chord:
    """`root`, `tones` and `scale` are pitch classes; `tones` starts with the root."""

    root: int
    tones: tuple[int, ...]
    scale: tuple[int, ...]


@dataclass(frozen=True)
class Key:
    """`tonic` is a pitch class."""

    tonic: int
    minor: bool

    @property
    def name(self) -> str:
        return key_name((self.tonic, "minor" if self.minor else "major"))

    def chord(self, symbol: str, sevenths: bool, pentatonic: bool) -> Chord:
        """`symbol` is a degree "1".."7".

        A "!" raises the leading tone (the dominant of minor), a "~" adds a minor seventh, which
        turns a major chord into that of the blues.
        """
        steps = list(MINOR if self.minor else MAJOR)
        if symbol.endswith("!"):
            steps[6] = 11
        degree = int(symbol[0]) - 1
        size = 4 if sevenths else 3
        tones = tuple((self.tonic + steps[(degree + 2 * i) % 7]) % 12 for i in range(size))
        if symbol.endswith("~"):
            tones = (*tones[:3], (tones[0] + 10) % 12)
        avoid = (_MINOR_AVOID if self.minor else _MAJOR_AVOID) if pentatonic else ()
        scale = {(self.tonic + step) % 12 for i, step in enumerate(steps) if i not in avoid}
        return Chord(tones[0], tones, tuple(sorted(scale | set(tones))))


def voicing(chord: Chord, centre: int) -> list[int]:
    """Close position within an octave around `centre`: neighbours share or step to tones."""
    low = centre - 6
    return sorted(low + (tone - low) % 12 for tone in chord.tones)


def power_chord(chord: Chord, centre: int) -> list[int]:
    """Root, fifth, octave: what distortion leaves of a chord anyway."""
    root = nearest(chord.root, centre)
    return [root, root + (chord.tones[2] - chord.root) % 12, root + 12]


def open_position(chord: Chord, centre: int) -> list[int]:
    """Root, then the other tones above its fifth: wide, as strings and pads are written."""
    low = nearest(chord.root, centre - 7)
    return [low] + [low + 7 + (tone - low - 7) % 12 for tone in chord.tones[1:]]


def rootless(chord: Chord, centre: int) -> list[int]:
    """Close position of all tones but the root, which the bass has."""
    return [pitch for pitch in voicing(chord, centre) if pitch % 12 != chord.root]


VOICINGS: Mapping[str, Callable[[Chord, int], list[int]]] = {
    "close": voicing, "power": power_chord, "open": open_position, "rootless": rootless,
}  # fmt: skip


def nearest(pitch_class: int, centre: int) -> int:
    """The pitch of that class in [centre - 6, centre + 6)."""
    low = centre - 6
    return low + (pitch_class - low) % 12


def ladder(pitch_classes: tuple[int, ...], low: int, high: int) -> list[int]:
    """All pitches of those classes within [low, high], rising."""
    return [pitch for pitch in range(low, high + 1) if pitch % 12 in pitch_classes]
