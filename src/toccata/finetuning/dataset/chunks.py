"""Cut a stream of audio into chunks; one chunk is in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from toccata.audio.transforms import Samples
from toccata.codecs.base import Codec
from toccata.finetuning.dataset.dataset_options import FolderOptions


@dataclass(frozen=True)
class Cut:
    """Lengths in samples: of a chunk, from start to start, and the minimum of the last chunk."""

    length: int
    step: int
    shortest: int

    @classmethod
    def of(cls, options: FolderOptions, codec: Codec, sample_rate_hz: int) -> Cut:
        """The lengths of `options`, in whole frames of the codec."""
        hop_s = options.segment_s if options.hop_s is None else options.hop_s
        seconds = (options.segment_s, hop_s, options.shortest_s)
        frames = (max(1, int(length_s * codec.frame_rate_hz)) for length_s in seconds)
        return cls(*(round(count * sample_rate_hz / codec.frame_rate_hz) for count in frames))


def chunks(pieces: Iterable[Samples], cut: Cut) -> Iterator[tuple[int, Samples]]:
    """Cut audio into chunks.

    The rest at the end is a chunk if it is long enough and not all of it was in the last one.

    Args:
        pieces: Consecutive samples, each [C, n].
        cut: Lengths.

    Yields:
        The number of the first sample of a chunk, and its samples [C, N].
    """
    held, start, used = np.zeros((1, 0), np.float32), 0, 0
    for piece in pieces:
        held = np.concatenate([held, piece], axis=1) if held.size else piece
        while held.shape[1] >= max(cut.length, cut.step):
            yield start, held[:, : cut.length]
            used = start + cut.length
            held, start = held[:, cut.step :], start + cut.step
    if held.shape[1] >= cut.shortest and start + held.shape[1] > used:
        yield start, held[:, : cut.length]
