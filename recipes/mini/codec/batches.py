"""Batches of the codec: songs rendered on the fly by a worker process, by the seed alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from recipes.mini.composer.compose import compose
from recipes.mini.composer.composition import FRAMES_PER_SECOND, HOP
from recipes.mini.composer.render import Renderer

T = TypeVar("T")


class Steps(IterableDataset[T], Generic[T]):
    """`make(step)` for every step from `start` on."""

    def __init__(self, start: int, make: Callable[[int], T]) -> None:
        self.start, self.make = start, make

    def __iter__(self) -> Iterator[T]:
        step = self.start
        while True:
            yield self.make(step)
            step += 1


def in_background(start: int, make: Callable[[int], T]) -> Iterator[T]:
    """The batches of all steps from `start` on, made by one worker process ahead of time."""
    loader: DataLoader[T] = DataLoader(
        Steps(start, make),
        batch_size=None,
        num_workers=1,
        prefetch_factor=8,
        # Its own, so that starting a loader draws nothing from the run's random numbers.
        generator=torch.Generator(),
    )
    return iter(loader)


class CropMaker:
    """Batches [B, 1, N] of crops on the frame grid, `per_song` from each of B / per_song songs."""

    def __init__(
        self, *, seed: int, batch: int, crop_s: float, per_song: int = 4, song_s: float = 6.0,
        soundfont: Path | None = None,
    ) -> None:  # fmt: skip
        self.seed, self.batch, self.per_song, self.song_s = seed, batch, per_song, song_s
        self.crop_frames = round(crop_s * FRAMES_PER_SECOND)
        self.soundfont = soundfont

    @cached_property
    def renderer(self) -> Renderer:
        return Renderer(self.soundfont)

    def __call__(self, step: int) -> Tensor:
        rng = np.random.default_rng([self.seed, step])
        songs = self.batch // self.per_song
        first = self.seed + step * songs
        crops = [crop for i in range(songs) for crop in self._crops(first + i, rng)]
        return torch.from_numpy(np.stack(crops))[:, None]

    def _crops(self, seed: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        audio = self.renderer.render(compose(seed, self.song_s))
        last = len(audio) // HOP - self.crop_frames
        for start in rng.integers(0, last + 1, self.per_song):
            begin = int(start) * HOP
            yield audio[begin : begin + self.crop_frames * HOP]
