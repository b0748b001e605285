"""How tempi, keys, meters and drums are written."""

from __future__ import annotations

from collections.abc import Mapping

SLOW_BELOW_BPM, FAST_FROM_BPM = 85, 120
TEMPO_WORDS: Mapping[str, tuple[str, ...]] = {
    "slow": ("slow", "slow", "slow", "downtempo", "slow tempo", "slow-paced", "leisurely"),
    "medium": ("mid-tempo", "medium tempo", "moderate", "medium-paced", "midtempo"),
    "fast": ("fast", "fast", "fast-paced", "up-tempo", "uptempo", "quick", "fast tempo"),
}
BPM_FORMS = (
    "{} bpm", "{} bpm", "{} BPM", "{} BPM", "{}bpm", "{}BPM", "{} beats per minute",
)  # fmt: skip
# A tempo word before the number, where nothing need follow it.
BPM_LABELS = ("tempo {}", "tempo: {}", "tempo {} bpm", "tempo: {} BPM", "bpm {}", "bpm: {}")
METERS = ("3/4", "3/4 time", "three-four time", "in 3/4", "3/4 time signature")

NO_DRUMS = (
    "no drums", "no drums", "no drums", "without drums", "without drums", "drumless", "drum-less",
    "no percussion", "without percussion", "without any drums", "beatless", "no drums at all",
    "no beat", "zero drums", "leave out the drums", "no drum beat", "drums off",
)  # fmt: skip
DRUMS = (
    "drums", "drums", "drums", "a drum beat", "steady drums", "percussion", "a drum groove",
    "tight drums", "a solid drum beat",
)  # fmt: skip
# Endings of words that promise drums.
BEAT_WORDS = ("beat", "beats", "groove", "grooves", "drum", "drums", "drum and bass")

_ENHARMONIC: Mapping[str, str] = {
    "C#": "Db", "Db": "C#", "D#": "Eb", "Eb": "D#", "F#": "Gb", "Gb": "F#", "G#": "Ab",
    "Ab": "G#", "A#": "Bb", "Bb": "A#",
}  # fmt: skip
# {s}: the tonic with its sign, {l}: in letters.
KEY_FORMS: Mapping[str, tuple[str, ...]] = {
    "major": (
        "{s} major", "{s} major", "{s} major", "{s} major", "{s} maj", "{s}maj", "{l} major",
        "{l} major", "{s} Major", "{l} maj", "major {s}",
    ),
    "minor": (
        "{s} minor", "{s} minor", "{s} minor", "{s} minor", "{s}m", "{s} min", "{s}min",
        "{l} minor", "{l} minor", "{s} Minor", "{l} min", "minor {s}",
    ),
}  # fmt: skip


def tempo_class(bpm: int) -> str:
    """Name the tempo "slow" (below 85 bpm), "medium" or "fast" (from 120 bpm)."""
    if bpm < SLOW_BELOW_BPM:
        return "slow"
    return "medium" if bpm < FAST_FROM_BPM else "fast"


def key_forms(key: str) -> tuple[str, ...]:
    """Every way to write a key: "F# minor", "F#m", "F sharp minor", "Gb min" ...

    The spelling of `Facts` is listed three times for each of the other sign.
    """
    tonic, mode = key.split()
    other = _ENHARMONIC.get(tonic)
    tonics = (tonic, tonic, tonic, other) if other else (tonic,)
    return tuple(
        form.format(s=name, l=_letters(name)) for name in tonics for form in KEY_FORMS[mode]
    )


def _letters(tonic: str) -> str:
    return tonic[0] + {"#": " sharp", "b": " flat", "": ""}[tonic[1:]]
