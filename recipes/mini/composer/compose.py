"""A seed becomes a song: choose a plan from a genre, write its parts, state the facts.

seed -> Plan (genre, key, tempo, instruments, patterns) -> parts on the grid -> Composition
"""

from __future__ import annotations

import math

import numpy as np

from recipes.mini.composer.composition import DRUMS, FRAMES_PER_SECOND, Composition, Facts, Note
from recipes.mini.composer.instruments import INSTRUMENTS, KITS
from recipes.mini.composer.parts import write_parts
from recipes.mini.composer.plan import Plan, draw_plan
from toccata.errors import InputError

__all__ = ["Composition", "Facts", "Note", "compose"]


def compose(seed: int, duration_s: float) -> Composition:
    """The song of a seed, cut at `duration_s`: the same seed at any length begins the same.

    Raises InputError for a negative seed or a duration under one frame.
    """
    if seed < 0:
        raise InputError("seed", seed, "give 0 or more")
    frames = math.ceil(round(duration_s * FRAMES_PER_SECOND, 6))
    if frames < 1:
        raise InputError("duration_s", duration_s, "give more than 0 seconds")
    plan = draw_plan(np.random.Generator(np.random.PCG64(seed)))
    notes = tuple(sorted(_cut(write_parts(plan, frames), frames), key=_order))
    return Composition(_facts(plan, notes), notes, _programs(plan, notes), frames)


def _order(note: Note) -> tuple[int, int, int]:
    return note.start_frame, note.channel, note.pitch


def _cut(notes: list[Note], frames: int) -> list[Note]:
    return [note for note in notes if note.start_frame < frames]


def _programs(plan: Plan, notes: tuple[Note, ...]) -> dict[int, int]:
    sounding = {note.channel for note in notes}
    programs = {channel: INSTRUMENTS[name].program for channel, name in plan.instruments.items()}
    if plan.kit:
        programs[DRUMS] = KITS[plan.kit].program
    return {channel: programs[channel] for channel in sorted(sounding)}


def _facts(plan: Plan, notes: tuple[Note, ...]) -> Facts:
    """The facts of the song up to the cut."""
    sounding = {note.channel for note in notes}
    names = [name for channel, name in sorted(plan.instruments.items()) if channel in sounding]
    drums = DRUMS in sounding
    return Facts(
        genre=plan.genre.name,
        bpm=plan.grid.bpm,
        key=plan.key.name if names else "",
        mood=plan.mood,
        instruments=tuple(dict.fromkeys(names)),
        drums=drums,
        meter=f"{plan.grid.beats_per_bar}/4",
        kit=plan.kit if drums else "",
    )
