"""Join the blocks of a recording and resample them, with one copy of the samples in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from toccata.audio.transforms import Samples, to_channels
from toccata.audio.waveform import Waveform

_FIRST_FRAMES = 2**16
_SMALL_VALUES = 2**22  # samples that are copied once more, to be contiguous


def collected(blocks: Iterable[Waveform]) -> Waveform:
    """Join all blocks to one waveform.

    The buffer is doubled when it is full; pages that are not written take no memory.
    """
    buffer, done, rate = np.empty((0, 0), np.float32), 0, 1
    for block in blocks:
        rate, end = block.sample_rate_hz, done + block.samples.shape[1]
        if buffer.shape[0] != block.channels or end > buffer.shape[1]:
            buffer = _grown(buffer[:, :done], block.channels, max(_FIRST_FRAMES, 2 * done, end))
        buffer[:, done:end] = block.samples
        done = end
    samples = buffer[:, :done]
    return Waveform(samples.copy() if samples.size <= _SMALL_VALUES else samples, rate)


def _grown(samples: Samples, channels: int, frames: int) -> Samples:
    buffer = np.empty((channels, frames), np.float32)
    if samples.size:
        buffer[:, : samples.shape[1]] = samples
    return buffer


def lowered(blocks: Iterable[Waveform], max_rate_hz: int) -> Iterator[Waveform]:
    """Resample blocks of one recording to `max_rate_hz` if their rate is higher."""
    for block in blocks:
        if block.sample_rate_hz <= max_rate_hz:
            yield block
            yield from blocks
            return
        rest = _chained(block, blocks)
        for samples in in_form(rest, max_rate_hz, block.channels):
            yield Waveform(samples, max_rate_hz)
        return


def _chained(first: Waveform, rest: Iterable[Waveform]) -> Iterator[Waveform]:
    yield first
    yield from rest


def in_form(blocks: Iterable[Waveform], sample_rate_hz: int, channels: int) -> Iterator[Samples]:
    """Mix and resample blocks of one recording, with the same result as on the whole.

    Args:
        blocks: The recording.
        sample_rate_hz: The new rate.
        channels: The new number of channels C.

    Yields:
        Samples [C, n].
    """
    import soxr

    stream = None
    for block in blocks:
        mixed = to_channels(block, channels)
        if block.sample_rate_hz == sample_rate_hz:
            yield mixed.samples
            continue
        if stream is None:
            stream = soxr.ResampleStream(block.sample_rate_hz, sample_rate_hz, channels)
        yield stream.resample_chunk(mixed.samples.T).T
    if stream is not None:
        yield stream.resample_chunk(np.zeros((0, channels), np.float32), last=True).T
