"""The drums of a plan: a beat, a fill at the end of every phrase, a crash after some of them."""

from __future__ import annotations

from collections.abc import Iterator

from recipes.mini.composer.bars import Bar
from recipes.mini.composer.composition import DRUMS, Note
from recipes.mini.composer.instruments import STROKES
from recipes.mini.composer.patterns import Strike, bar_of, strikes
from recipes.mini.composer.plan import Plan

_VELOCITIES = {"X": 120, "x": 100, "o": 60, "r": 84}
_SOFTER = -16  # one step for the moods that ask for it: every loudness is one more sound
_LOW_STROKES = ("kick", "snare", "clap", "low_tom", "high_tom")  # what a break leaves out
_HIT_STEPS = 1


def drums(plan: Plan, bar: Bar) -> Iterator[Note]:
    """The strokes of one bar."""
    if bar.last:
        yield from _ending(plan, bar)
        return
    steps = plan.grid.steps_per_bar
    fill_steps = max(map(len, plan.fill.values())) if plan.fill and bar.fills else 0
    for name, pattern in plan.drum_pattern.items():
        if not (plan.arrangement.breaks and bar.thins and name in _LOW_STROKES):
            played = bar_of(pattern, bar.form_bar, steps)[: steps - fill_steps]
            yield from _strokes(plan, bar, name, played, 0)
    for name, pattern in plan.fill.items() if fill_steps else ():
        yield from _strokes(plan, bar, name, pattern, steps - fill_steps)
    if plan.arrangement.crashes and bar.crashes:
        yield from _strokes(plan, bar, "crash", "x", 0)


def _ending(plan: Plan, bar: Bar) -> Iterator[Note]:
    for name in ("kick", "crash") if plan.genre.crash else ("kick",):
        yield from _strokes(plan, bar, name, "x", 0)


def _strokes(plan: Plan, bar: Bar, name: str, pattern: str, first_step: int) -> Iterator[Note]:
    for strike in strikes(pattern):
        step = first_step + strike.step
        start = plan.grid.frame(bar.number, step)
        end = plan.grid.frame(bar.number, step + _HIT_STEPS)
        starts = [start, (start + end) // 2] if strike.symbol == "r" else [start]
        for frame in starts:
            yield _hit(plan, name, strike, frame, end)


def _hit(plan: Plan, name: str, strike: Strike, start: int, end: int) -> Note:
    late = int(name in plan.arrangement.late)
    softer = _SOFTER if plan.shape.velocity <= _SOFTER // 2 else 0
    velocity = _VELOCITIES[strike.symbol] + softer
    return Note(start + late, end - start, DRUMS, STROKES[name], velocity)
