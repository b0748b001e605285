"""A plan unrolled into bars: what every part needs to know of the bar it writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from recipes.mini.composer.composition import LEAD
from recipes.mini.composer.harmony import Chord, nearest
from recipes.mini.composer.instruments import INSTRUMENTS
from recipes.mini.composer.melody import PHRASE_BARS
from recipes.mini.composer.patterns import Strike
from recipes.mini.composer.plan import Plan

_FEWEST_BARS_TO_END = 3
_BRIDGE, _BREAK_BARS = 2, (2, 3)  # the phrase, and its bars in which the drums thin out
_CRASH_EVERY_BARS = 8


@dataclass(frozen=True)
class Bar:
    """`number` counts from 0; `form_bar` from the end of the intro, negative before."""

    number: int
    form_bar: int
    chord: Chord
    next_chord: Chord
    line: list[tuple[Strike, int]]
    last: bool = False

    @property
    def fills(self) -> bool:
        """Whether the drums lead over to another phrase."""
        return self.form_bar % PHRASE_BARS == PHRASE_BARS - 1

    @property
    def crashes(self) -> bool:
        return self.form_bar % _CRASH_EVERY_BARS == 0

    @property
    def thins(self) -> bool:
        phrase, bar = divmod(self.form_bar, PHRASE_BARS)
        return phrase % 4 == _BRIDGE and bar in _BREAK_BARS


def bars(plan: Plan, frames: int) -> Iterator[Bar]:
    """Every bar that starts before `frames`; an ending fills the last one that fits."""
    last = _last_bar(plan, frames)
    number = 0
    while plan.grid.frame(number, 0) < frames:
        if number + 1 == last:
            yield _dominant(plan, number)
        elif number == last:
            yield _final(plan, number)
            return
        else:
            yield _bar(plan, number)
        number += 1


def _last_bar(plan: Plan, frames: int) -> int | None:
    """The bar of the ending, None for a song that is cut."""
    fitting = 0
    while plan.grid.frame(fitting + 1, 0) <= frames:
        fitting += 1
    enough = fitting >= _FEWEST_BARS_TO_END + plan.arrangement.intro_bars
    return fitting - 1 if plan.arrangement.ends and enough else None


def _bar(plan: Plan, number: int) -> Bar:
    form_bar = number - plan.arrangement.intro_bars
    phrase = plan.form[max(0, form_bar) // PHRASE_BARS % len(plan.form)]
    line = phrase.line[form_bar % PHRASE_BARS] if phrase.line and form_bar >= 0 else []
    return Bar(number, form_bar, _chord(plan, form_bar), _chord(plan, form_bar + 1), line)


def _chord(plan: Plan, form_bar: int) -> Chord:
    phrase, bar = divmod(max(0, form_bar), PHRASE_BARS)
    return plan.form[phrase % len(plan.form)].chords[bar]


def _dominant(plan: Plan, number: int) -> Bar:
    chord = plan.key.chord("5!", plan.genre.sevenths, plan.genre.pentatonic)
    line = _held(plan, chord.tones[2])
    return Bar(number, number - plan.arrangement.intro_bars, chord, _tonic(plan), line)


def _final(plan: Plan, number: int) -> Bar:
    chord = _tonic(plan)
    form_bar = number - plan.arrangement.intro_bars
    return Bar(number, form_bar, chord, chord, _held(plan, chord.root), last=True)


def _tonic(plan: Plan) -> Chord:
    return plan.key.chord("1", sevenths=False, pentatonic=plan.genre.pentatonic)


def _held(plan: Plan, tone: int) -> list[tuple[Strike, int]]:
    """One long note in the lead's register."""
    if LEAD not in plan.instruments:
        return []
    centre = INSTRUMENTS[plan.instruments[LEAD]].lead + plan.shape.register
    return [(Strike(0, plan.grid.steps_per_bar, "x"), nearest(tone, centre))]
