"""What a composed piece is: notes on the codec's frame grid, and the facts that are true of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SAMPLE_RATE_HZ = 32_000
HOP = 640  # samples per frame
FRAMES_PER_SECOND = SAMPLE_RATE_HZ // HOP
FRAMES_PER_MINUTE = FRAMES_PER_SECOND * 60

LEAD, CHORDS, BASS, PAD, DRUMS = 0, 1, 2, 3, 9  # MIDI channels

# Beats at which the four sixteenths of a beat fall.
SWINGS: Mapping[str, tuple[float, float, float, float]] = {
    "straight": (0.0, 0.25, 0.5, 0.75),
    "eighths": (0.0, 1 / 3, 2 / 3, 5 / 6),
    "sixteenths": (0.0, 0.3, 0.5, 0.8),
}


@dataclass(frozen=True)
class Note:
    """One note; `start_frame` and `frames` count codec frames of 20 ms."""

    start_frame: int
    frames: int
    channel: int
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Facts:
    """What a caption may say. `key` is "" for drums alone, `kit` is "" without drums."""

    genre: str
    bpm: int
    key: str  # "A minor"
    mood: str
    instruments: tuple[str, ...]
    drums: bool
    meter: str  # "4/4"
    kit: str = ""


@dataclass(frozen=True)
class Composition:
    """A finished piece of `frames` frames; `programs` maps a channel to its MIDI program."""

    facts: Facts
    notes: tuple[Note, ...]
    programs: Mapping[int, int]
    frames: int


@dataclass(frozen=True)
class Grid:
    """Musical time to frames: a step is a sixteenth, moved by the swing."""

    bpm: int
    beats_per_bar: int
    swing: str

    @property
    def steps_per_bar(self) -> int:
        return 4 * self.beats_per_bar

    def frame(self, bar: int, step: int) -> int:
        """The frame of a step, which may lie beyond its bar."""
        beat, quarter = divmod(step, 4)
        beats = bar * self.beats_per_bar + beat + SWINGS[self.swing][quarter]
        return round(beats * FRAMES_PER_MINUTE / self.bpm)
