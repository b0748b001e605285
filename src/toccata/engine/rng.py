"""Counter-based random numbers of each request: u(seed, frame, codebook).

Philox is a counter-based generator: number n of the stream of a seed is a function of (seed, n),
with no state to share or restore. Here n = frame * K + codebook, frame 0 being the request's first
new one, so that a request draws the same numbers in any slot, beside any neighbours and from any
window of a long clip.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WORDS_PER_COUNT = 4  # one tick of the Philox counter gives four 64-bit words
BEYOND_ALL_FRAMES = 2**128


def uniforms(seed: int, first_frame: int, frames: int, codebooks: int) -> NDArray[np.float64]:
    """Numbers in [0, 1) for frames first_frame .. first_frame + frames - 1 -> [frames, K]."""
    first, count = first_frame * codebooks, frames * codebooks
    counter, skip = divmod(first, WORDS_PER_COUNT)
    words = np.random.Philox(key=seed, counter=counter).random_raw(skip + count)[skip:]
    return _to_unit(words).reshape(frames, codebooks)


def tempo_uniform(seed: int) -> float:
    """The number in [0, 1) that chooses the tempo of a request which names none."""
    return _beyond(seed)[0]


def key_uniform(seed: int) -> float:
    """The number in [0, 1) that chooses the key of a request which names none."""
    return _beyond(seed)[1]


def _beyond(seed: int) -> list[float]:
    words = np.random.Philox(key=seed, counter=BEYOND_ALL_FRAMES).random_raw(WORDS_PER_COUNT)
    return [float(number) for number in _to_unit(words)]


def _to_unit(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    # The upper 53 bits: every result is exact in a float64, and 1 is never reached.
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
