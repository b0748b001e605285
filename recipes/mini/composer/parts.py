"""The pitched parts of a plan, written bar by bar onto the frame grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from recipes.mini.composer.bars import Bar, bars
from recipes.mini.composer.composition import BASS, CHORDS, DRUMS, LEAD, PAD, Note
from recipes.mini.composer.drums import drums
from recipes.mini.composer.harmony import VOICINGS, ladder, nearest
from recipes.mini.composer.instruments import INSTRUMENTS
from recipes.mini.composer.patterns import Strike, bar_of, strikes
from recipes.mini.composer.plan import Plan

Writer = Callable[[Plan, Bar], Iterator[Note]]

# Few velocities: every loudness is one more sound to learn.
_VELOCITIES = {LEAD: 102, CHORDS: 76, BASS: 98, PAD: 62}
_ACCENT, _ACCENT_EVERY_STEPS = 8, 8
_SHORT = 0.6  # of a note's time, for a lead that is played short
_BASS_CENTRE = 40


def write_parts(plan: Plan, frames: int) -> list[Note]:
    """Every note of the bars up to `frames`; the last bar may reach beyond."""
    notes: list[Note] = []
    for bar in bars(plan, frames):
        for channel in _playing(plan, bar):
            notes.extend(_WRITERS[channel](plan, bar))
    return notes


def _playing(plan: Plan, bar: Bar) -> list[int]:
    band = [*sorted(plan.instruments), *([DRUMS] if plan.kit else [])]
    begins = bar.form_bar < 0 and not bar.last
    return [channel for channel in band if not begins or channel in plan.arrangement.beginners]


def _note(plan: Plan, bar: Bar, strike: Strike, channel: int, pitch: int) -> Note:
    start = plan.grid.frame(bar.number, strike.step)
    end = plan.grid.frame(bar.number, strike.step + strike.steps)
    accent = _ACCENT if strike.step % _ACCENT_EVERY_STEPS == 0 else 0
    velocity = _VELOCITIES[channel] + accent + plan.shape.velocity
    return Note(start, end - start, channel, pitch, velocity)


def _lead(plan: Plan, bar: Bar) -> Iterator[Note]:
    if bar.form_bar < plan.arrangement.lead_rest_bars:
        return
    for strike, pitch in bar.line:
        note = _note(plan, bar, strike, LEAD, pitch)
        start = max(0, note.start_frame + plan.arrangement.lead_shift)
        short = plan.shape.touch == "short" and not bar.last
        frames = max(3, round(note.frames * _SHORT)) if short else note.frames
        yield Note(start, frames, LEAD, pitch, note.velocity)


def _chords(plan: Plan, bar: Bar) -> Iterator[Note]:
    pitches = _voiced(plan, bar, CHORDS)
    pattern = bar_of(plan.chord_pattern, bar.form_bar, plan.grid.steps_per_bar)
    for strike in [_whole(plan)] if bar.last else strikes(pattern):
        for pitch in pitches if strike.symbol == "x" else [_tone(pitches, int(strike.symbol))]:
            yield _note(plan, bar, strike, CHORDS, pitch)


def _pad(plan: Plan, bar: Bar) -> Iterator[Note]:
    for pitch in _voiced(plan, bar, PAD):
        yield _note(plan, bar, _whole(plan), PAD, pitch)


def _voiced(plan: Plan, bar: Bar, channel: int) -> list[int]:
    name = plan.instruments[channel]
    rootless_alone = plan.genre.voicing == "rootless" and BASS not in plan.instruments
    kind = "close" if channel == PAD or rootless_alone else plan.genre.voicing
    return VOICINGS[kind](bar.chord, INSTRUMENTS[name].centre)


def _whole(plan: Plan) -> Strike:
    return Strike(0, plan.grid.steps_per_bar, "x")


def _tone(pitches: list[int], index: int) -> int:
    """The chord tone counted from below, going on into the next octave."""
    octave, position = divmod(index, len(pitches))
    return pitches[position] + 12 * octave


def _bass(plan: Plan, bar: Bar) -> Iterator[Note]:
    pattern = bar_of(plan.bass_pattern, bar.form_bar, plan.grid.steps_per_bar)
    held = Strike(0, plan.grid.steps_per_bar, "1")
    for strike in [held] if bar.last else strikes(pattern):
        yield _note(plan, bar, strike, BASS, _bass_pitch(bar, strike.symbol))


def _bass_pitch(bar: Bar, symbol: str) -> int:
    chord = bar.chord
    root = nearest(chord.root, _BASS_CENTRE)
    if symbol == ">":
        target = nearest(bar.next_chord.root, _BASS_CENTRE)
        return ladder(chord.scale, target - 4, target - 1)[-1]
    if symbol == "6":
        return ladder(chord.scale, root + 7, root + 9)[-1]
    if symbol == "8":
        return root + 12
    return root + (chord.tones[{"1": 0, "3": 1, "5": 2}[symbol]] - chord.root) % 12


_WRITERS: dict[int, Writer] = {
    LEAD: _lead, CHORDS: _chords, BASS: _bass, PAD: _pad, DRUMS: drums,
}  # fmt: skip
