"""What a clip looks like: its waveform, its mel spectrogram and its pitch classes, as one picture.

numpy alone: the process that answers requests has no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toccata.audio.mel import mel_filters
from toccata.audio.waveform import Waveform

if TYPE_CHECKING:
    from PIL.Image import Image

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

WIDTH = 900
WAVE_ROWS, MEL_BANDS, MEL_ROWS, CLASS_ROWS = 120, 96, 240, 12
MEL_WINDOW, CLASS_WINDOW = 2048, 8192
LOWEST_HZ, HIGHEST_HZ = 40.0, 12_000.0
DYNAMICS_DB = 70.0
FRAMES_PER_COLUMN = 4
BACKGROUND, INK = (16, 18, 24), (122, 190, 255)
# Dark to bright; between them colours are mixed.
SHADES = ((16, 18, 24), (64, 28, 110), (172, 50, 110), (246, 124, 70), (252, 240, 180))


def picture(made: Waveform, melody: Waveform | None = None) -> Image:
    """Rows from above: waveform, mel spectrogram, pitch classes.

    With a melody its loudest pitch classes are red and those that were made cyan: where both agree
    it is white.
    """
    from PIL import Image

    rows = [waveform_rows(_mono(made)), mel_rows(made), class_rows(made, melody)]
    gap = np.full((6, WIDTH, 3), BACKGROUND, np.uint8)
    stacked = np.concatenate([rows[0], gap, rows[1], gap, rows[2]])
    return Image.fromarray(stacked)


def waveform_rows(mono: Floats) -> Pixels:
    """[WAVE_ROWS, WIDTH, 3]: the peaks of each column, full scale being the height."""
    edges = np.linspace(0, len(mono), WIDTH + 1).astype(int)
    peaks = [float(np.abs(mono[a : max(b, a + 1)]).max(initial=0)) for a, b in _pairs(edges)]
    half = np.abs(np.arange(WAVE_ROWS) - (WAVE_ROWS - 1) / 2)[:, None]
    inked = half <= np.maximum(np.minimum(peaks, 1.0), 0.01) * WAVE_ROWS / 2
    return np.where(inked[..., None], INK, BACKGROUND).astype(np.uint8)


def mel_rows(made: Waveform) -> Pixels:
    """[MEL_ROWS, WIDTH, 3]: low below, 70 dB from dark to bright."""
    power = _power(_mono(made), MEL_WINDOW)
    rate_hz = made.sample_rate_hz
    highest_hz = min(HIGHEST_HZ, rate_hz / 2)
    filters = mel_filters(MEL_WINDOW, MEL_BANDS, rate_hz, low_hz=LOWEST_HZ, high_hz=highest_hz)
    bands = filters @ power
    level_db = 10 * np.log10(np.maximum(bands, 1e-12))
    bright = np.clip((level_db - level_db.max()) / DYNAMICS_DB + 1, 0, 1)
    return _shaded(_stretched(bright[::-1], MEL_ROWS))


def class_rows(made: Waveform, melody: Waveform | None) -> Pixels:
    """[12 rows of 8 pixels, WIDTH, 3]: the loudest pitch class of each moment, C below."""
    played = _stretched(_loudest(made)[::-1], CLASS_ROWS * 8)
    asked = played if melody is None else _stretched(_loudest(_as_long(melody, made))[::-1], 96)
    mixed = np.stack([asked, played, played], axis=-1)
    return np.maximum(mixed * 235, BACKGROUND).astype(np.uint8)


def _loudest(audio: Waveform) -> Floats:
    """[12, frames]: 1 for the loudest pitch class."""
    power = _power(_mono(audio), CLASS_WINDOW)
    hz = np.fft.rfftfreq(CLASS_WINDOW, 1 / audio.sample_rate_hz)
    heard = (hz > 60) & (hz < 4000)
    classes = np.round(12 * np.log2(hz[heard] / 440.0) + 9).astype(int) % 12
    energy = np.zeros((12, power.shape[1]), np.float32)
    np.add.at(energy, classes, power[heard])
    loudest: Floats = ((energy == energy.max(0)) & (energy.max(0) > 1e-6)).astype(np.float32)
    return loudest


def _as_long(melody: Waveform, made: Waveform) -> Waveform:
    """The melody over the length of what was made, repeated as the model hears it."""
    count = max(1, round(made.duration_s * melody.sample_rate_hz))
    return Waveform(np.resize(_mono(melody), count)[None], melody.sample_rate_hz)


def _power(mono: Floats, window: int) -> Floats:
    """[window / 2 + 1, frames], a frame every half window, or a few of them for each column."""
    padded = np.pad(mono, (window // 2, window))
    hop = max(window // 2, len(mono) // (FRAMES_PER_COLUMN * WIDTH))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    spectrum = np.fft.rfft(frames * np.hanning(window), axis=-1)
    power: Floats = ((np.abs(spectrum) ** 2).T / window).astype(np.float32)
    return power


def _stretched(values: Floats, rows: int) -> Floats:
    """[rows, WIDTH] by repeating the nearest."""
    down = np.arange(rows) * values.shape[0] // rows
    across = np.arange(WIDTH) * values.shape[1] // WIDTH
    stretched: Floats = values[down][:, across]
    return stretched


def _shaded(bright: Floats) -> Pixels:
    stops = np.linspace(0, 1, len(SHADES))
    channels = [np.interp(bright, stops, [shade[c] for shade in SHADES]) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.uint8)


def _mono(audio: Waveform) -> Floats:
    mono: Floats = audio.samples.mean(0, dtype=np.float32)
    return mono


def _pairs(edges: NDArray[np.int64]) -> list[tuple[int, int]]:
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
