"""The parts of a plan, written bar by bar onto the frame grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from toccata.training.corpus.harmony import Chord, ladder, nearest, power_chord, voicing
from toccata.training.corpus.instruments import INSTRUMENTS, STROKES
from toccata.training.corpus.melody import PHRASE_BARS
from toccata.training.corpus.patterns import Strike, bar_of, strikes
from toccata.training.corpus.plan import Plan
from toccata.training.corpus.song import BASS, CHORDS, DRUMS, LEAD, PAD, Note

# Few velocities: every loudness of a drum is one more sound to learn.
_ACCENTS = {"X": 120, "x": 100, "o": 60}
_VELOCITIES = {LEAD: 104, CHORDS: 78, BASS: 100, PAD: 64}
_BASS_CENTRE = 40
_FORM = (0, 0, 1, 0)  # sections of four bars: A A B A
_FILL_EVERY_BARS = 4
_FILL_STEPS = 4


def write_parts(plan: Plan, frames: int) -> list[Note]:
    """Every note of whole bars up to `frames`; the last bar may reach beyond."""
    writers: dict[int, Callable[[Plan, int], Iterator[Note]]] = {
        LEAD: _lead, CHORDS: _chords, BASS: _bass, PAD: _pad,
    }  # fmt: skip
    playing = [writers[channel] for channel in sorted(plan.instruments)]
    if plan.kit:
        playing.append(_drums)
    notes: list[Note] = []
    bar = 0
    while plan.grid.frame(bar, 0) < frames:
        for write in playing:
            notes.extend(write(plan, bar))
        bar += 1
    return notes


def _note(plan: Plan, bar: int, strike: Strike, channel: int, pitch: int) -> Note:
    start = plan.grid.frame(bar, strike.step)
    end = plan.grid.frame(bar, strike.step + strike.steps)
    velocity = _ACCENTS[strike.symbol] if channel == DRUMS else _VELOCITIES[channel]
    return Note(start, end - start, channel, pitch, velocity)


def _chord(plan: Plan, bar: int) -> Chord:
    return plan.chords[bar % len(plan.chords)]


def _lead(plan: Plan, bar: int) -> Iterator[Note]:
    if bar < plan.lead_enters_bar:
        return
    section = _FORM[bar // PHRASE_BARS % len(_FORM)]
    for strike, pitch in plan.lines[section][bar % PHRASE_BARS]:
        yield _note(plan, bar, strike, LEAD, pitch)


def _chords(plan: Plan, bar: int) -> Iterator[Note]:
    name = plan.instruments[CHORDS]
    build = power_chord if name == "overdriven guitar" else voicing
    pitches = build(_chord(plan, bar), INSTRUMENTS[name].centre)
    pattern = bar_of(plan.chord_pattern, bar, plan.grid.steps_per_bar)
    for strike in strikes(pattern):
        for pitch in pitches if strike.symbol == "x" else [_tone(pitches, int(strike.symbol))]:
            yield _note(plan, bar, strike, CHORDS, pitch)


def _tone(pitches: list[int], index: int) -> int:
    """The chord tone counted from below, going on into the next octave."""
    octave, position = divmod(index, len(pitches))
    return pitches[position] + 12 * octave


def _bass(plan: Plan, bar: int) -> Iterator[Note]:
    pattern = bar_of(plan.bass_pattern, bar, plan.grid.steps_per_bar)
    for strike in strikes(pattern):
        pitch = _bass_pitch(plan, bar, strike.symbol)
        yield _note(plan, bar, strike, BASS, pitch)


def _bass_pitch(plan: Plan, bar: int, symbol: str) -> int:
    chord = _chord(plan, bar)
    root = nearest(chord.root, _BASS_CENTRE)
    if symbol == ">":
        target = nearest(_chord(plan, bar + 1).root, _BASS_CENTRE)
        return ladder(chord.scale, target - 4, target - 1)[-1]
    if symbol == "8":
        return root + 12
    return root + (chord.tones[{"1": 0, "3": 1, "5": 2}[symbol]] - chord.root) % 12


def _pad(plan: Plan, bar: int) -> Iterator[Note]:
    whole_bar = Strike(0, plan.grid.steps_per_bar, "x")
    for pitch in voicing(_chord(plan, bar), INSTRUMENTS[plan.instruments[PAD]].centre):
        yield _note(plan, bar, whole_bar, PAD, pitch)


def _drums(plan: Plan, bar: int) -> Iterator[Note]:
    steps = plan.grid.steps_per_bar
    filled = bool(plan.fill) and bar % _FILL_EVERY_BARS == _FILL_EVERY_BARS - 1
    last = steps - _FILL_STEPS if filled else steps
    for name, pattern in plan.drum_pattern.items():
        for strike in strikes(bar_of(pattern, bar, steps)[:last]):
            yield _hit(plan, bar, strike, name)
    if filled:
        for name, pattern in plan.fill.items():
            for strike in strikes(pattern):
                yield _hit(plan, bar, Strike(last + strike.step, 1, strike.symbol), name)


def _hit(plan: Plan, bar: int, strike: Strike, name: str) -> Note:
    return _note(plan, bar, strike, DRUMS, STROKES[name])
