"""How new audio is joined to a user's clip."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import toccata as package
from tests.fakes import SAMPLE_RATE_HZ, fake_model
from tests.fakes import tone as model_tone
from toccata.audio.loudness import loudness_lufs
from toccata.audio.transforms import Samples
from toccata.audio.waveform import Waveform
from toccata.generation.continuation import Continued, join
from toccata.generation.handle import Toccata

RATE_HZ, GIVEN, COPIED, SEAM = 32_000, 20_000, 16_000, 1_600


def tone(first: int, count: int, channels: int = 1) -> Samples:
    wave = 0.5 * np.sin(2 * np.pi * 330 * np.arange(first, first + count) / RATE_HZ)
    return np.tile(wave, (channels, 1)).astype(np.float32)


def at_the_models_level(samples: Samples) -> Continued:
    no_offset = np.zeros((samples.shape[0], 1), np.float32)
    return Continued(samples, samples, np.zeros((4, 1), np.int64), 1.0, no_offset)


def pieces(samples: Samples, length: int) -> Iterator[Samples]:
    for start in range(0, samples.shape[1], length):
        yield samples[:, start : start + length]


@pytest.mark.parametrize("length", [100, 640, 40_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_clip_rings_on_until_the_new_audio_is_there(length: int, channels: int) -> None:
    inputs = tone(0, GIVEN, channels)
    decoded = np.full((1, COPIED + 8_000), 0.25, np.float32)
    parts = join(at_the_models_level(inputs), pieces(decoded, length), COPIED, RATE_HZ)
    joined = np.concatenate(list(parts), axis=1)
    assert joined.shape == (channels, GIVEN + 8_000)
    np.testing.assert_array_equal(joined[:, :GIVEN], inputs)
    np.testing.assert_array_equal(joined[:, GIVEN + SEAM :], 0.25)
    early = slice(GIVEN, GIVEN + 100)
    assert np.abs(joined[:, early] - tone(GIVEN, 100, channels)).max() < 0.04
    assert np.abs(np.diff(joined)).max() < 1.3 * np.abs(np.diff(inputs)).max()


def test_new_audio_shorter_than_the_seam_is_joined_too() -> None:
    decoded = np.zeros((1, COPIED + 10), np.float32)
    inputs = at_the_models_level(tone(0, GIVEN))
    joined = np.concatenate(list(join(inputs, iter([decoded]), COPIED, RATE_HZ)), axis=1)
    assert joined.shape == (1, GIVEN + 10)
    assert np.isfinite(joined).all()


@pytest.fixture(scope="module")
def toccata() -> Toccata:
    return Toccata(fake_model())


def streamed(toccata: Toccata, given: Samples) -> Samples:
    clip = Waveform(given, SAMPLE_RATE_HZ)
    pieces = toccata.stream("piano", duration_s=1.0, seed=1, chunk_s=0.3, continue_from=clip)
    return np.concatenate([piece.samples for piece in pieces], axis=1)


@pytest.mark.parametrize("gain", [8.0, 3.0, 0.1, 0.03, 0.01])
def test_the_level_of_what_is_continued_is_kept(toccata: Toccata, gain: float) -> None:
    """The new audio is what it is at any other level, and the user's samples are as they were."""
    inputs = model_tone(0.8).samples
    length = inputs.shape[1]
    quiet = inputs * np.float32(gain)
    joined = streamed(toccata, quiet)
    assert np.array_equal(joined[:, :length], quiet)
    usual = streamed(toccata, inputs)
    np.testing.assert_allclose(joined[:, length:] / gain, usual[:, length:], atol=1e-3)


@pytest.mark.parametrize("offset", [0.5, -0.2])
def test_an_offset_is_neither_heard_nor_carried_on(toccata: Toccata, offset: float) -> None:
    inputs = model_tone(0.8).samples
    length = inputs.shape[1]
    moved = inputs + np.float32(offset)
    joined = streamed(toccata, moved)
    assert np.array_equal(joined[:, :length], moved)
    usual = streamed(toccata, inputs)
    after = round(0.5 * SAMPLE_RATE_HZ)  # by then the offset has faded out
    np.testing.assert_allclose(
        joined[:, length + after :], usual[:, length + after :], rtol=1e-2, atol=1e-4
    )
    jump = abs(joined[0, length] - joined[0, length - 1])
    assert jump <= np.abs(np.diff(usual[0])).max()


def test_silence_is_continued_at_the_models_level(toccata: Toccata) -> None:
    joined = streamed(toccata, np.zeros((1, SAMPLE_RATE_HZ), np.float32))
    assert np.isfinite(joined).all()
    assert joined[:, SAMPLE_RATE_HZ:].any()


@pytest.fixture(scope="module")
def mini() -> Toccata:
    return package.load("mini")


@pytest.mark.parametrize(("gain", "strategy"), [(0.01, "clip"), (8.0, "loudness")])
def test_mini_continues_a_clip_at_its_level(mini: Toccata, gain: float, strategy: str) -> None:
    """Also after the levels of finished clips, which know one gain for all of a clip."""
    options: dict[str, Any] = {"seed": 3, "duration_s": 2.0, "normalization": strategy}
    inputs = mini.generate("lo-fi beat, mellow piano", seed=3, duration_s=2.0)
    moved = Waveform(inputs.samples * np.float32(gain), inputs.sample_rate_hz)
    clip = mini.generate("lo-fi beat, mellow piano", **options, continue_from=moved)
    length = moved.samples.shape[1]
    if strategy == "clip":
        assert np.array_equal(clip.samples[:, :length], moved.samples)
    old, new = (
        loudness_lufs(Waveform(part, clip.sample_rate_hz))
        for part in (clip.samples[:, :length], clip.samples[:, length:])
    )
    assert new == pytest.approx(old, abs=2.0)
