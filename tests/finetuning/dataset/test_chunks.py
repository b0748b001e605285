"""Songs of any length in little memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice

import numpy as np

from toccata.audio.collect import in_form
from toccata.audio.transforms import Samples, resample
from toccata.audio.waveform import Waveform
from toccata.finetuning.dataset.chunks import Cut, chunks


def endless(drawn: list[int]) -> Iterator[Samples]:
    """Blocks of 10 samples that count on; `drawn` tells how many were asked for."""
    for block in count():
        drawn.append(block)
        yield np.arange(block * 10, block * 10 + 10, dtype=np.float32)[None]


def test_no_more_of_a_song_is_read_than_its_next_chunk_needs() -> None:
    drawn: list[int] = []
    found = list(islice(chunks(endless(drawn), Cut(length=25, step=20, shortest=5)), 3))
    assert [start for start, _ in found] == [0, 20, 40]
    for start, samples in found:
        np.testing.assert_array_equal(samples[0], np.arange(start, start + 25))
    assert len(drawn) == 7


def test_blocks_are_resampled_as_one_piece() -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, (2, 9000)).astype(np.float32)
    blocks = (Waveform(noise[:, at : at + 1000], 44100) for at in range(0, 9000, 1000))
    found = np.concatenate(list(in_form(blocks, 32000, 2)), axis=1)
    np.testing.assert_allclose(found, resample(Waveform(noise, 44100), 32000).samples, atol=1e-6)
