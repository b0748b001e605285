"""Training examples without end: one seed, one song, one caption, one piece of audio.

Seeds split the data: training counts up from 0, validation from VALIDATION_SEED.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recipes.mini.captions import Told, worded
from recipes.mini.composer.compose import compose
from recipes.mini.composer.composition import Composition

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recipes.mini.composer.render import Renderer

VALIDATION_SEED = 10**9
# A stream of its own, so that new wordings never change the music of a seed.
_CAPTION_STREAM = 1


@dataclass(frozen=True, eq=False)
class Example:
    """`audio` [N] float32, mono at 32 kHz; `told`: what the caption tells."""

    seed: int
    song: Composition
    caption: str
    audio: NDArray[np.float32]
    told: Told


def caption_rng(seed: int) -> np.random.Generator:
    """The generator that words the caption of a seed."""
    return np.random.Generator(np.random.PCG64([seed, _CAPTION_STREAM]))


def example(seed: int, duration_s: float, renderer: Renderer) -> Example:
    """The example of one seed."""
    song = compose(seed, duration_s)
    words = worded(song.facts, caption_rng(seed))
    return Example(seed, song, words.text, renderer.render(song), words.told)


def examples(seed_start: int, duration_s: float, renderer: Renderer) -> Iterator[Example]:
    """The examples of seed_start, seed_start + 1, ... without end."""
    seed = seed_start
    while True:
        yield example(seed, duration_s, renderer)
        seed += 1
