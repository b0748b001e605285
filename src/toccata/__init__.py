"""toccata: music from a description, with or without audio to carry on or a melody to follow.

>>> import toccata
>>> model = toccata.load("mini")
>>> model.generate("lo-fi beat, 80 bpm, mellow piano", duration_s=8, seed=1).save("beat.mp3")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from toccata.errors import ToccataError
from toccata.types import Clip, Progress, SamplingParams, Waveform

if TYPE_CHECKING:
    from toccata.pipeline import Toccata, load

__version__ = "0.1.0"

__all__ = [
    "Clip",
    "Progress",
    "SamplingParams",
    "Toccata",
    "ToccataError",
    "Waveform",
    "__version__",
    "load",
]


def __getattr__(name: str) -> object:
    # torch takes seconds to import: whoever only wants types or --help does not wait for it.
    if name in ("Toccata", "load"):
        from toccata import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
