"""mp3 in pieces is the same music as in one."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from toccata.audio.stream_mp3 import Mp3Stream


def sine(channels: int, rate_hz: int, duration_s: float = 2.0) -> np.ndarray:
    time_s = np.arange(round(rate_hz * duration_s)) / rate_hz
    return np.tile(0.5 * np.sin(2 * np.pi * 440 * time_s), (channels, 1)).astype(np.float32)


@pytest.mark.parametrize(("channels", "rate_hz"), [(1, 32000), (2, 32000), (1, 44100)])
def test_any_player_can_read_it(channels: int, rate_hz: int) -> None:
    samples, stream = sine(channels, rate_hz), Mp3Stream(rate_hz, channels)
    pieces = [stream.push(piece) for piece in np.array_split(samples, 7, axis=1)]
    first = next(index for index, piece in enumerate(pieces) if piece)
    assert first == 0, "the first piece is heard before the second is made"
    data = b"".join([*pieces, stream.finish()])
    decoded, rate = soundfile.read(io.BytesIO(data), always_2d=True)
    assert rate == rate_hz
    assert decoded.shape[1] == channels
    assert 2.0 <= len(decoded) / rate < 2.2
    middle = decoded[rate_hz // 2 : rate_hz, 0]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def test_pieces_do_not_matter() -> None:
    samples = sine(1, 32000)
    whole, parts = Mp3Stream(32000, 1), Mp3Stream(32000, 1)
    in_one = whole.push(samples) + whole.finish()
    cut = [parts.push(samples[:, start : start + 999]) for start in range(0, samples.shape[1], 999)]
    assert b"".join(cut) + parts.finish() == in_one


def test_what_is_too_loud_is_held_at_full_scale() -> None:
    stream = Mp3Stream(32000, 1)
    data = stream.push(4 * sine(1, 32000)) + stream.finish()
    decoded, _ = soundfile.read(io.BytesIO(data))
    assert np.abs(decoded).max() < 1.5
