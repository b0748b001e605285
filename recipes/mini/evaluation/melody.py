"""Whether clips follow their melodies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toccata.analysis.spectrum import RATE_HZ, Samples
from toccata.evaluation.chroma import chroma_agreement, loudest_classes


@dataclass(frozen=True)
class Followed:
    """By clip: the agreement with its melody, and with that of another song."""

    right: tuple[float, ...]
    wrong: tuple[float, ...]

    @property
    def mean_right(self) -> float:
        return round(float(np.mean(self.right)), 4)

    @property
    def mean_wrong(self) -> float:
        return round(float(np.mean(self.wrong)), 4)


def followed(generated: Sequence[Samples], melodies: Sequence[Samples]) -> Followed:
    """Compare each clip with its melody and with the next one; two clips at least."""
    sources = [loudest_classes(melody, RATE_HZ) for melody in melodies]
    clips = [loudest_classes(samples, RATE_HZ) for samples in generated]
    others = [*sources[1:], sources[0]]
    return Followed(
        tuple(chroma_agreement(one, own) for one, own in zip(clips, sources, strict=True)),
        tuple(chroma_agreement(one, other) for one, other in zip(clips, others, strict=True)),
    )
