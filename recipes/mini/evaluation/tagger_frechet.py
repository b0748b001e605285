"""The Frechet distance of two sets of clips in the tagger's embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from toccata.errors import InputError
from toccata.evaluation.frechet import distance, gaussian


@dataclass(frozen=True)
class Distances:
    """The distance of clips from songs, and of one half of the songs from the other.

    Both are between sets of one size that share no song: clips for the captions of one half are
    compared with the songs of the other half, both ways, and the mean is taken. With few clips all
    distances are too large by about as much, so that only the ratio is meaningful.
    """

    made: float
    halves: float

    @property
    def ratio(self) -> float:
        return round(self.made / self.halves, 3) if self.halves else 0.0


def distances(made: Sequence[Tensor], songs: Sequence[Tensor]) -> Distances:
    """Compute the distances.

    Args:
        made: Embeddings [E] of clips.
        songs: Those of the songs whose captions they have, in the same order.

    Raises:
        InputError: There are fewer than 4 songs.
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
