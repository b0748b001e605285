"""The effect of classifier-free guidance: adherence, and degenerate clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recipes.mini.composer.examples import Example
from recipes.mini.evaluation.adherence import adherence, rates, share
from recipes.mini.evaluation.clip_analysis import ClipAnalysis
from recipes.mini.evaluation.degenerate import find_defects
from toccata.analysis.spectrum import RATE_HZ, Samples

# Besides the guidance of all other metrics.
TRIED = (1.0, 6.0)
MAX_UNHEALTHY = 0.05


@dataclass(frozen=True)
class Guided:
    """Metrics at one guidance.

    adherence: the share of all named facts that the clips have, and by metric in `rates`.
    unhealthy: the share of degenerate clips.
    """

    adherence: float
    unhealthy: float
    rates: Mapping[str, float]


def guided(
    clips: Sequence[Samples], analyses: Sequence[ClipAnalysis], songs: Sequence[Example]
) -> Guided:
    """Compute the metrics of clips that were generated at one guidance."""
    degenerate = [find_defects(samples, RATE_HZ).any for samples in clips]
    return Guided(adherence(analyses, songs), share(degenerate), rates(analyses, songs))


def serves(by_guidance: Mapping[str, Guided]) -> bool:
    """Whether guidance raises adherence, and few clips are degenerate at the highest one.

    by_guidance: the metrics by the guidance, written as a number.
    """
    least, most = (by_guidance[of(by_guidance, key=float)] for of in (min, max))
    best = max(one.adherence for one in by_guidance.values())
    return best > least.adherence and most.unhealthy <= MAX_UNHEALTHY
