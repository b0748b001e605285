"""How far apart two sets of clips are in the tagger's embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from toccata.errors import InputError
from toccata.evaluation.frechet import distance, gaussian


@dataclass(frozen=True)
class Distances:
    """Of what was made to the songs, and of one half of the songs to the other.

    Always between sets of one size that share no song: what was made for the captions of one half
    is held against the other half's songs, both ways, and the mean is taken. With the few clips
    there are, every distance is too long by about as much; the ratio is what can be read.
    """

    made: float
    halves: float

    @property
    def ratio(self) -> float:
        return round(self.made / self.halves, 3) if self.halves else 0.0


def distances(made: Sequence[Tensor], songs: Sequence[Tensor]) -> Distances:
    """Embeddings [E] of clips and of the songs whose captions they were made for, in one order.

    Raises InputError for fewer than 4 songs.
    """
    if len(songs) < 4:
        raise InputError("clips", len(songs), "a distance needs 4 songs or more")
    even = len(songs) // 2 * 2
    clips, real = torch.stack(list(made[:even])), torch.stack(list(songs[:even]))
    (made_one, made_two), (one, two) = (clips[::2], clips[1::2]), (real[::2], real[1::2])
    across = (frechet(made_one, two) + frechet(made_two, one)) / 2
    return Distances(across, frechet(one, two))


def frechet(clips: Tensor, songs: Tensor) -> float:
    """The squared Frechet distance of embeddings [N, E] from [M, E]."""
    return distance(gaussian(clips, "clips"), gaussian(songs, "songs"))
