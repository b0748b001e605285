"""The level of a stream: near that of the file, and never over the ceiling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.audio.sounds import RATE_HZ, noise, sine
from toccata.audio.files import read
from toccata.audio.leveller import StreamLeveller
from toccata.audio.limiter import limit
from toccata.audio.loudness import level, loudness_lufs
from toccata.audio.transforms import Samples, peak, rms, to_db, to_gain
from toccata.audio.waveform import Waveform

EXAMPLES = Path(__file__).parents[2] / "docs" / "gallery" / "clips"


def streamed(waveform: Waveform, strategy: str, chunk_s: float = 1.0) -> Waveform:
    leveller = StreamLeveller(strategy, waveform.sample_rate_hz)
    size = round(chunk_s * waveform.sample_rate_hz)
    starts = range(0, waveform.samples.shape[1], size)
    pieces = [leveller.push(waveform.samples[:, start : start + size]) for start in starts]
    return Waveform(np.concatenate([*pieces, leveller.finish()], axis=1), waveform.sample_rate_hz)


@pytest.mark.parametrize("name", ["lo-fi", "ambient", "metal"])
@pytest.mark.parametrize("gain", [0.1, 0.5])
def test_a_stream_is_about_as_loud_as_the_file(name: str, gain: float) -> None:
    music = read(EXAMPLES / f"{name}.mp3")
    raw = Waveform(music.samples * np.float32(gain), music.sample_rate_hz)
    out = streamed(raw, "loudness")
    assert out.samples.shape == raw.samples.shape
    assert abs(loudness_lufs(out) - loudness_lufs(level(raw))) < 1.5
    assert peak(out.samples) <= to_gain(-1.0)


def test_rms_is_held_as_well() -> None:
    raw = noise(4.0, 0.05)
    found_db, file_db = (
        to_db(rms(one.samples)) for one in (streamed(raw, "rms"), level(raw, "rms"))
    )
    assert found_db == pytest.approx(file_db, abs=0.5)


def test_clip_changes_nothing_but_peaks() -> None:
    loud = sine(1.0, gain=1.2)
    out = streamed(loud, "clip", 0.3)
    np.testing.assert_array_equal(out.samples, level(loud, "clip").samples)


def test_silence_stays_silence_and_what_follows_is_levelled() -> None:
    quiet = np.zeros((1, 2 * RATE_HZ), np.float32)
    samples = np.concatenate([quiet, sine(4.0, gain=0.1, channels=1).samples], axis=1)
    out = streamed(Waveform(samples, RATE_HZ), "loudness").samples
    assert not out[:, : 2 * RATE_HZ - 400].any()
    end = Waveform(out[:, -RATE_HZ:], RATE_HZ)
    assert loudness_lufs(end) == pytest.approx(-14, abs=2.5)


@pytest.mark.parametrize("chunk_s", [0.004, 0.05, 1.0])
def test_the_limiter_does_in_pieces_what_it_does_at_once(chunk_s: float) -> None:
    from toccata.audio.leveller import _StreamLimiter

    samples = noise(2.0, 0.4).samples
    limiter, size = _StreamLimiter(RATE_HZ), round(chunk_s * RATE_HZ)
    pieces: list[Samples] = []
    for start in range(0, samples.shape[1], size):
        pieces.append(limiter.push(samples[:, start : start + size]))
    whole = np.concatenate([*pieces, limiter.finish()], axis=1)
    np.testing.assert_allclose(whole, limit(samples, RATE_HZ, -1.0), atol=1e-5)


def test_a_stream_of_nothing_ends() -> None:
    assert StreamLeveller("loudness", RATE_HZ).finish().shape[1] == 0
