"""What classifier-free guidance buys, and whether clips collapse under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recipes.mini.composer.examples import Example
from recipes.mini.evaluation.adherence import adherence, rates, share
from recipes.mini.evaluation.clip_analysis import Heard
from recipes.mini.evaluation.degenerate import examine
from toccata.analysis.spectrum import RATE_HZ, Samples

# Beside that of all other questions.
TRIED = (1.0, 6.0)
MAX_UNHEALTHY = 0.05


@dataclass(frozen=True)
class Guided:
    """Of clips made at one guidance. adherence: the share of all facts told that are heard, and by
    question in `rates`; unhealthy: the share of clips that are silent, clipped or looping.
    """

    adherence: float
    unhealthy: float
    rates: Mapping[str, float]


def guided(clips: Sequence[Samples], heard: Sequence[Heard], songs: Sequence[Example]) -> Guided:
    degenerate = [not examine(samples, RATE_HZ).well for samples in clips]
    return Guided(adherence(heard, songs), share(degenerate), rates(heard, songs))


def serves(by_guidance: Mapping[str, Guided]) -> bool:
    """Whether guidance raises adherence above that at the least, and nothing collapses at the most.

    By the guidance, written as a number.
    """
    least, most = (by_guidance[of(by_guidance, key=float)] for of in (min, max))
    best = max(one.adherence for one in by_guidance.values())
    return best > least.adherence and most.unhealthy <= MAX_UNHEALTHY
