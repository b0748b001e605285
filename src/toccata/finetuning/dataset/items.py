"""Items of the dataset: chunks of music as codes, with captions and tags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Tags:
    """The tags of a chunk.

    Attributes:
        bpm: The tempo; None: unknown.
        key: As captions name it, "A minor"; None: unknown.
        loudness_lufs: The loudness.
    """

    bpm: float | None
    key: str | None
    loudness_lufs: float


@dataclass(frozen=True, eq=False)
class Item:
    """One chunk of an audio file.

    Attributes:
        name: The file's path within the folder.
        start_s: Where the chunk begins in it.
        caption: The caption, with tags.
        tags: Tempo, key and loudness.
        codes: [K, T].
        melody: One-hot rows [P, 12]; None for models without melody conditioning.
        held_out: Whether it is for validation, and never trained on.
        captioned: Whether the caption has words besides tags and trigger.
    """

    name: str
    start_s: float
    caption: str
    tags: Tags
    codes: NDArray[np.uint16]
    melody: NDArray[np.float32] | None
    held_out: bool
    captioned: bool = True
