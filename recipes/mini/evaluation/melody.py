"""Does a clip follow the melody that it was given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toccata.analysis.spectrum import RATE_HZ, Samples
from toccata.evaluation.chroma import chroma_agreement, loudest_classes


@dataclass(frozen=True)
class Followed:
    """By clip: the agreement with its own melody, and with that of another song."""

    right: tuple[float, ...]
    wrong: tuple[float, ...]

    @property
    def mean_right(self) -> float:
        return round(float(np.mean(self.right)), 4)

    @property
    def mean_wrong(self) -> float:
        return round(float(np.mean(self.wrong)), 4)


def followed(made: Sequence[Samples], melodies: Sequence[Samples]) -> Followed:
    """Each clip against the melody it was given and against the next one; two clips at least."""
    sung = [loudest_classes(melody, RATE_HZ) for melody in melodies]
    played = [loudest_classes(samples, RATE_HZ) for samples in made]
    others = [*sung[1:], sung[0]]
    return Followed(
        tuple(chroma_agreement(one, own) for one, own in zip(played, sung, strict=True)),
        tuple(chroma_agreement(one, other) for one, other in zip(played, others, strict=True)),
    )
