"""Choose songs so that instruments that seldom lead occur often enough."""

from __future__ import annotations

from collections import Counter

from recipes.mini.composer.compose import compose
from toccata.errors import InputError

# Candidates for each song that is taken: two are enough if few songs may have the same lead.
CANDIDATES = 8


def varied_seeds(first: int, count: int, per_lead: int, song_s: float) -> list[int]:
    """`count` seeds from `first` on, at most `per_lead` of them of songs with the same lead.

    Songs without a lead are one kind too. Raises InputError if the next `CANDIDATES * count` seeds
    do not have so many.
    """
    leads: Counter[str] = Counter()
    taken = []
    for seed in range(first, first + CANDIDATES * count):
        lead = _lead(seed, song_s)
        if leads[lead] < per_lead:
            leads[lead] += 1
            taken.append(seed)
        if len(taken) == count:
            return taken
    raise InputError("per_lead", per_lead, f"{count} songs need more of a lead")


def _lead(seed: int, song_s: float) -> str:
    return next(iter(compose(seed, song_s).facts.instruments), "")
