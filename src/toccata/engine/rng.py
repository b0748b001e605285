"""Counter-based random numbers of each request: u(seed, frame, codebook).

Philox is a counter-based generator: number n of the stream of a seed is a function of (seed, n),
with no state to share or restore (Salmon et al. 2011). Here n = frame * K + codebook, where frame 0
is the request's first new one. A request therefore draws the same numbers in any slot, in any
batch, and in any window of a long clip.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WORDS_PER_COUNT = 4  # one tick of the Philox counter gives four 64-bit words
BEYOND_ALL_FRAMES = 2**128


def uniforms(seed: int, first_frame: int, frames: int, codebooks: int) -> NDArray[np.float64]:
    """Draw the numbers of frames first_frame .. first_frame + frames - 1.

    Args:
        seed: The seed of the request.
        first_frame: A frame, counted from the first one that is generated.
        frames: The number of frames, T.
        codebooks: The number of codebooks, K.

    Returns:
        [T, K] float64 in [0, 1).
    """
    first, count = first_frame * codebooks, frames * codebooks
    counter, skip = divmod(first, WORDS_PER_COUNT)
    words = np.random.Philox(key=seed, counter=counter).random_raw(skip + count)[skip:]
    return _to_unit(words).reshape(frames, codebooks)


def tempo_uniform(seed: int) -> float:
    """Return the number in [0, 1) that chooses the tempo if a request names none."""
    return _beyond(seed)[0]


def key_uniform(seed: int) -> float:
    """Return the number in [0, 1) that chooses the key if a request names none."""
    return _beyond(seed)[1]


def _beyond(seed: int) -> list[float]:
    words = np.random.Philox(key=seed, counter=BEYOND_ALL_FRAMES).random_raw(WORDS_PER_COUNT)
    return [float(number) for number in _to_unit(words)]


def _to_unit(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    # With the upper 53 bits every result is exact in a float64, and 1 is never reached.
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
