"""Training examples: each seed gives a song, a caption and audio.

Seeds split the data: training counts up from 0, validation from VALIDATION_SEED.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recipes.mini.captions import NamedFacts, write_caption
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
    """`audio` [N] float32, mono at 32 kHz; `named`: the facts that the caption names."""

    seed: int
    song: Composition
    caption: str
    audio: NDArray[np.float32]
    named: NamedFacts


def caption_rng(seed: int) -> np.random.Generator:
    """The random generator of a seed's caption."""
    return np.random.Generator(np.random.PCG64([seed, _CAPTION_STREAM]))


def example(seed: int, duration_s: float, renderer: Renderer) -> Example:
    """The example of one seed."""
    song = compose(seed, duration_s)
    words = write_caption(song.facts, caption_rng(seed))
    return Example(seed, song, words.text, renderer.render(song), words.named)


def examples(seed_start: int, duration_s: float, renderer: Renderer) -> Iterator[Example]:
    """The examples of seed_start, seed_start + 1, ... without end."""
    seed = seed_start
    while True:
        yield example(seed, duration_s, renderer)
        seed += 1
