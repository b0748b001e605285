"""A melody in a clip of several windows: the waveform repeats, as audiocraft's generation does it.

The reference here is slow and plain: one sample after the other, one frame after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from tests.models.helpers import golden_model
from toccata.audio.waveform import Waveform
from toccata.conditioners.chroma import ChromaConfig, filters, melody_rows
from toccata.engine.engine import Engine
from toccata.generation.request import GenerationRequest
from toccata.generation.running import RunningRequest

SEGMENT_S, STRIDE_S, RATE_HZ, FRAMES = 4.0, 2.4, 32000, 32
NOTES_HZ = (262, 294, 330, 349, 392, 440, 494, 523, 587, 659, 698, 784)
Conditioned = Callable[..., list[torch.Tensor]]


def melody(duration_s: float, rate_hz: int = RATE_HZ, channels: int = 1) -> Waveform:
    """A note of every third of a second, with harmonics."""
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    pitch_hz = np.array(NOTES_HZ)[(time_s * 3).astype(int) % len(NOTES_HZ)]
    phase = 2 * np.pi * np.cumsum(pitch_hz) / rate_hz
    sound = (np.sin(phase) + 0.4 * np.sin(2 * phase)).astype(np.float32)
    return Waveform(np.tile(sound, (channels, 1)), rate_hz)


def slow_rows(samples: np.ndarray[Any, Any], start_s: float, config: ChromaConfig) -> torch.Tensor:
    """Which pitch class is loudest in each frame of the segment that starts at `start_s`."""
    first = round(start_s * RATE_HZ)
    repeated = [samples[(first + i) % len(samples)] for i in range(round(SEGMENT_S * RATE_HZ))]
    padded = np.pad(np.array(repeated, np.float64), config.window // 2, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(config.window) / config.window)
    bank = filters(config).numpy()
    rows = torch.zeros(FRAMES, config.bins)
    for frame in range(FRAMES):
        part = padded[frame * config.hop :][: config.window]
        rows[frame, (bank @ np.abs(np.fft.rfft(part * hann)) ** 2).argmax()] = 1
    return rows


@pytest.fixture
def prefixes() -> Iterator[Conditioned]:
    """The melody's part of the prefix of each window, at the frames where they start."""
    model = golden_model("melody")
    songs: list[RunningRequest] = []

    def of(starts_s: tuple[float, ...], **options: Any) -> list[torch.Tensor]:
        brief = GenerationRequest(seed=0, stride_s=STRIDE_S, **options).resolve(
            model.defaults, SEGMENT_S
        )
        songs.append(RunningRequest(brief, model, Engine(model, 1)))
        conditions = songs[-1].sequence.request.conditions
        windows = [conditions(round(start * 50)).prefix for start in starts_s]
        return [window[:FRAMES] for window in windows if window is not None]

    yield of
    for song in songs:
        song.end()


def projected(rows: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        output: torch.Tensor = golden_model("melody").lm.projections["self_wav"](rows)
    return output


def config() -> ChromaConfig:
    chroma = golden_model("melody").chroma
    assert chroma is not None
    return chroma


@pytest.mark.parametrize("duration_s", [1.3, 3.9, 5.0])
def test_every_window_of_a_long_clip_hears_the_waveform_repeated(
    prefixes: Conditioned, duration_s: float
) -> None:
    inputs = melody(duration_s)
    starts = (0.0, 2.4, 4.8)
    for start, window in zip(starts, prefixes(starts, duration_s=8.0, melody=inputs), strict=True):
        expected = projected(slow_rows(inputs.samples[0], start, config()))
        torch.testing.assert_close(window, expected, msg=f"window at {start} s")


def test_other_rates_repeat_with_the_same_period(prefixes: Conditioned) -> None:
    inputs = melody(1.5, 48000, channels=2)
    here = melody(1.5).samples[0]
    windows = prefixes((0.0, 2.4), duration_s=8.0, melody=inputs)
    for start, window in zip((0.0, 2.4), windows, strict=True):
        expected = projected(slow_rows(here, start, config()))
        equal = (window - expected).abs().amax(1) < 1e-4
        assert equal.float().mean() > 0.95


@pytest.mark.parametrize(
    ("known_s", "duration_s", "repeats"), [(0.0, 4.0, False), (2.0, 2.5, True)]
)
def test_what_is_continued_counts_for_the_length_of_the_clip(
    prefixes: Conditioned, known_s: float, duration_s: float, repeats: bool
) -> None:
    """A clip of one window repeats rows, as ever; with what it continues it may need two."""
    inputs, before = melody(1.3), melody(known_s, RATE_HZ) if known_s else None
    options = {"duration_s": duration_s, "melody": inputs, "continue_from": before}
    (window,) = prefixes((0.0,), **options)
    rows = melody_rows(torch.from_numpy(inputs.samples[0]), config())
    slow = slow_rows(inputs.samples[0], 0.0, config())
    assert not torch.equal(rows, slow)
    torch.testing.assert_close(window, projected(slow if repeats else rows))
