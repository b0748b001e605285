"""Kotekan, a style that mini does not know: it is none of the composer's genres.

Two mallets share one line of sixteenths after the Balinese kotekan telu: of three neighbouring
tones one plays the lower two, the other the upper two. A music box plays the melody they adorn, and
a gong opens every second bar. The five tones are those of pelog selisir as a piano has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recipes.mini.captions import NamedFacts
from recipes.mini.composer.composition import (
    BASS,
    CHORDS,
    FRAMES_PER_SECOND,
    LEAD,
    PAD,
    SAMPLE_RATE_HZ,
    Composition,
    Facts,
    Grid,
    Note,
)
from recipes.mini.composer.examples import Example
from recipes.mini.composer.instruments import INSTRUMENTS
from recipes.mini.composer.render import Renderer
from toccata.audio.files import write
from toccata.audio.waveform import Waveform

NAME = "kotekan"
SCALE = (1, 2, 4, 8, 9)  # pitch classes: C#, D, E, G#, A
POLOS, SANGSIH, MELODY, GONG = LEAD, CHORDS, PAD, BASS
INSTRUMENT_OF: Mapping[int, str] = {
    POLOS: "marimba", SANGSIH: "vibraphone", MELODY: "music box", GONG: "vibraphone",
}  # fmt: skip
SLOWEST_BPM, FASTEST_BPM = 124, 148
SHORTEST_S, LONGEST_S = 12.0, 20.0
BY_NAME = "kotekan, {bpm} bpm"
CAPTIONS = (
    BY_NAME,
    "kotekan, {bpm} bpm, interlocking mallets",
    "{bpm} bpm kotekan, marimba and vibraphone",
    "kotekan with a gong, {bpm} bpm, no drums",
)

# Half a bar of sixteenths: which of the three tones sounds.
_FIGURES = ("01210212", "12012101", "02120121", "21012010")
_PLAYS: Mapping[int, str] = {POLOS: "01", SANGSIH: "12"}
_VELOCITIES: Mapping[int, int] = {POLOS: 96, SANGSIH: 96, MELODY: 108, GONG: 110}
_ACCENT = 8
_CYCLE_STEPS, _FIGURE_STEPS, _BEAT_STEPS = 32, 8, 4  # of a sixteenth
_ORDER = (0, 0, 1, 1)  # of the two cycles
_OCTAVE_BELOW, _GONG_PITCH = 60, 37  # the scale's lowest degree is C# above middle C
_HIGHEST_DEGREE = 6
_CAPTION_STREAM, _LENGTH_STREAM = 1, 2


@dataclass(frozen=True)
class Cycle:
    """What returns: a figure, and a degree of the melody for each of the eight beats."""

    figure: str
    degrees: tuple[int, ...]


def compose(seed: int, duration_s: float) -> Composition:
    """The piece of a seed, cut at `duration_s`: at any length it begins the same."""
    rng = _rng(seed)
    grid = Grid(int(rng.integers(SLOWEST_BPM, FASTEST_BPM + 1)), 4, "straight")
    cycles = [_draw_cycle(rng), _draw_cycle(rng)]
    frames = round(duration_s * FRAMES_PER_SECOND)
    notes = sorted(_notes(grid, cycles, frames), key=lambda note: (note.start_frame, note.channel))
    programs = {channel: INSTRUMENTS[name].program for channel, name in INSTRUMENT_OF.items()}
    return Composition(_facts(grid), tuple(notes), programs, frames)


def caption(seed: int) -> str:
    """Words for the piece of a seed: the style's name and its tempo, which are always true."""
    wording = CAPTIONS[int(_rng(seed, _CAPTION_STREAM).integers(len(CAPTIONS)))]
    return wording.format(bpm=compose(seed, 1.0).facts.bpm)


def example(seed: int, duration_s: float, renderer: Renderer) -> Example:
    """The piece of a seed as the corpus has its songs, asked for by the style's name and its tempo:
    what else a caption may say would bring some of the style to any model that knows mallets.
    """
    song = compose(seed, duration_s)
    bpm = song.facts.bpm
    return Example(seed, song, BY_NAME.format(bpm=bpm), renderer.render(song), NamedFacts(bpm=bpm))


def write_clips(folder: Path, seeds: Iterable[int], renderer: Renderer) -> float:
    """A wav of 12 to 20 s and its caption in a .txt for each seed; returns how long all are."""
    folder.mkdir(parents=True, exist_ok=True)
    seconds = 0.0
    for seed in seeds:
        audio = renderer.render(compose(seed, _length_s(seed)))
        path = folder / f"{NAME}-{seed:02}.wav"
        write(path, Waveform(audio[None], SAMPLE_RATE_HZ))
        path.with_suffix(".txt").write_text(caption(seed) + "\n", encoding="utf-8")
        seconds += len(audio) / SAMPLE_RATE_HZ
    return seconds


def _rng(seed: int, stream: int = 0) -> np.random.Generator:
    """The music, the words and the length of a seed are drawn apart: none changes another."""
    return np.random.Generator(np.random.PCG64([seed, stream]))


def _length_s(seed: int) -> float:
    return round(float(_rng(seed, _LENGTH_STREAM).uniform(SHORTEST_S, LONGEST_S)), 1)


def _draw_cycle(rng: np.random.Generator) -> Cycle:
    """The melody walks along the scale and never stays."""
    degree, degrees = int(rng.integers(_HIGHEST_DEGREE + 1)), []
    for _ in range(_CYCLE_STEPS // _BEAT_STEPS):
        degrees.append(degree)
        steps = [step for step in (-2, -1, 1, 2) if 0 <= degree + step <= _HIGHEST_DEGREE]
        degree += steps[int(rng.integers(len(steps)))]
    return Cycle(_FIGURES[int(rng.integers(len(_FIGURES)))], tuple(degrees))


def _facts(grid: Grid) -> Facts:
    """No key: what a tagger makes of five tones of pelog is no major or minor."""
    instruments = tuple(dict.fromkeys(INSTRUMENT_OF.values()))
    return Facts(NAME, grid.bpm, "", "hypnotic", instruments, drums=False, meter="4/4")


def _notes(grid: Grid, cycles: Sequence[Cycle], frames: int) -> Iterator[Note]:
    """All that begins before `frames`."""
    start = 0  # steps from the beginning
    while grid.frame(0, start) < frames:
        cycle = cycles[_ORDER[start // _CYCLE_STEPS % len(_ORDER)]]
        for note in _cycle(grid, start, cycle):
            if note.start_frame < frames:
                yield note
        start += _CYCLE_STEPS


def _cycle(grid: Grid, start: int, cycle: Cycle) -> Iterator[Note]:
    """From its gong to the next."""
    yield _note(grid, range(start, start + _CYCLE_STEPS), GONG, _GONG_PITCH)
    for step in range(_CYCLE_STEPS):
        degree = cycle.degrees[step // _FIGURE_STEPS * _FIGURE_STEPS // _BEAT_STEPS]
        tone = cycle.figure[step % _FIGURE_STEPS]
        for channel, tones in _PLAYS.items():
            if tone in tones:
                time = range(start + step, start + step + 1)
                yield _note(grid, time, channel, pitch(degree + int(tone)))
    for beat, degree in enumerate(cycle.degrees):
        first = start + beat * _BEAT_STEPS
        time = range(first, first + _BEAT_STEPS)
        yield _note(grid, time, MELODY, pitch(degree + len(SCALE)))


def pitch(degree: int) -> int:
    """The MIDI pitch of a degree of the scale, which goes on through the octaves."""
    octave, position = divmod(degree, len(SCALE))
    return _OCTAVE_BELOW + 12 * octave + SCALE[position]


def _note(grid: Grid, time: range, channel: int, midi_pitch: int) -> Note:
    """`time` in steps from the beginning."""
    start, end = grid.frame(0, time.start), grid.frame(0, time.stop)
    accent = _ACCENT if time.start % _BEAT_STEPS == 0 else 0
    return Note(start, end - start, channel, midi_pitch, _VELOCITIES[channel] + accent)
