"""Trimming on the page: which part of an upload is what is left of it.

The browser hands over what it cut out as a new file. That is looked for in the file that was
uploaded, so that the upload itself is used, with continuation_start and continuation_end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toccata.audio.audio_input import MAX_VALUES
from toccata.audio.files import read
from toccata.audio.transforms import resample
from toccata.audio.waveform import Waveform
from toccata.errors import ToccataError

# A part is looked for at this rate: to half a millisecond, and whatever the browser resampled.
RATE_HZ = 2000
# Files are read at this rate at most: an upload may be small and decode to gigabytes.
READ_RATE_HZ = 8 * RATE_HZ
# How alike the part and its place must be, 1 being the same.
ALIKE = 0.95
SILENT = 1e-5
# Decoders differ by this much in where a clip ends.
SLACK_S = 0.1
# A longer upload is not searched: a part of it is then an audio of its own.
MAX_S = 900.0

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Heard:
    """The audio on the page: the file it shows, and the part of which upload that is."""

    shown: str = ""
    whole: str = ""
    start_s: float = 0.0
    end_s: float | None = None

    @property
    def end(self) -> str:
        """As continuation_end shows it."""
        return "" if self.end_s is None else f"{self.end_s:.7g}"


def follow(before: Heard, shown: str | None) -> Heard:
    """What is heard once `shown` is on the page: nothing, a part of what was there, or it alone."""
    if not shown:
        return Heard()
    if before.shown == shown:
        return before
    part = _found(shown, before.whole) if before.whole not in ("", shown) else None
    return Heard(shown, shown) if part is None else Heard(shown, before.whole, *part)


def located(part: Waveform, whole: Waveform) -> tuple[float, float] | None:
    """Where `part` is in `whole`, as (start_s, end_s) to a millisecond; None if it is not in it."""
    sought, among = _edges(part), _edges(whole)
    among = np.pad(among, (0, round(SLACK_S * RATE_HZ)))
    if not 0 < len(sought) <= len(among) or np.sqrt(np.mean(sought**2)) < SILENT:
        return None
    alike = _likeness(sought, among)
    at = int(alike.argmax())
    if alike[at] < ALIKE:
        return None
    start_s = at / RATE_HZ
    return round(start_s, 3), round(min(start_s + part.duration_s, whole.duration_s), 3)


def _found(part: str, whole: str) -> tuple[float, float] | None:
    try:
        return located(_read(part), _read(whole))
    except ToccataError:  # what cannot be read is refused when music is made from it
        return None


def _read(name: str) -> Waveform:
    return read(name, max_seconds=MAX_S, max_rate_hz=READ_RATE_HZ, max_values=MAX_VALUES)


def _edges(audio: Waveform) -> Floats:
    """One channel at RATE_HZ, as differences: what changes says more than what lasts."""
    mono = Waveform(audio.samples.mean(0, dtype=np.float32)[None], audio.sample_rate_hz)
    edges: Floats = np.diff(resample(mono, RATE_HZ).samples[0]).astype(np.float32)
    return edges


def _likeness(sought: Floats, among: Floats) -> NDArray[np.float64]:
    """[places]: the correlation, -1 to 1, of `sought` with each place of `among`."""
    places = len(among) - len(sought) + 1
    size = 1 << (len(among) + len(sought)).bit_length()
    spectrum = np.fft.rfft(among, size) * np.fft.rfft(sought, size).conj()
    together = np.fft.irfft(spectrum, size)[:places]
    sums = np.concatenate([[0.0], np.cumsum(among.astype(np.float64) ** 2)])
    energy = np.maximum(sums[-places:] - sums[:places], SILENT**2 * len(sought))
    likeness: NDArray[np.float64] = together / np.sqrt(energy * np.sum(sought**2, dtype=np.float64))
    return likeness
