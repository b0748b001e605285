"""Is it all there, and is it sound? Decoders play what is left of a cut file without a word."""

from __future__ import annotations

import numpy as np

from toccata.audio.waveform import Samples, peak
from toccata.errors import AudioError

_LOUDEST = 1000.0  # +60 dBFS: past it, floats are integers in disguise, or noise
_AGAIN = "export or download it again"


def check_ogg(data: bytes) -> None:
    """Raises AudioError for an ogg that was cut in the middle of a page.

    Recorders leave out the end mark, so a whole page less does not tell.
    """
    page = data.rfind(b"OggS")
    lacing = page + 27
    table = data[lacing : lacing + data[lacing - 1]] if lacing <= len(data) else b""
    if lacing > len(data) or lacing + len(table) + sum(table) > len(data):
        raise AudioError(f"is cut short: its last page is not whole; {_AGAIN}")


def check_length(decoded_s: float, declared_s: float | None) -> None:
    """Raises AudioError when much is missing; headers are often off by a little."""
    if declared_s is not None and decoded_s < 0.98 * declared_s - 0.1:
        raise AudioError(f"is cut short: {decoded_s:.2f} of {declared_s:.2f} s; {_AGAIN}")


def check_samples(samples: Samples) -> None:
    """Raises AudioError for NaN, infinity, or floats far beyond full scale.

    They are refused and not mended: one such sample means that the rest is no music either.
    """
    if not np.isfinite(samples).all():
        raise AudioError("has samples that are not numbers (NaN or infinite); export it again")
    if peak(samples) > _LOUDEST:
        raise AudioError("has samples over 1000 times full scale; scale them to +-1")
