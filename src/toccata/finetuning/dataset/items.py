"""What training gets: chunks of music as codes, with words and what was heard in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Tags:
    """What was heard. bpm None: no beat, key None: nothing with a pitch, or nobody listened.

    key is worded as in captions: "A minor".
    """

    bpm: float | None
    key: str | None
    loudness_lufs: float


@dataclass(frozen=True, eq=False)
class Item:
    """One chunk of the file `name`, a path within the folder.

    codes [K, T]. melody: one-hot rows [P, 12], None for a model that follows none. held_out: for
    validation, never to be trained on. captioned: the caption has words besides the tags and what
    is the same for all music of a run.
    """

    name: str
    start_s: float
    caption: str
    tags: Tags
    codes: NDArray[np.uint16]
    melody: NDArray[np.float32] | None
    held_out: bool
    captioned: bool = True
