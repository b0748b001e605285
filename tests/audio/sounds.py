"""Sounds and files that the audio tests share; files toccata cannot write are made by PyAV."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
import soundfile

from toccata.audio.files import write
from toccata.audio.waveform import Samples
from toccata.types import Waveform

RATE_HZ = 32000
# kind -> (PyAV container, codec, rate)
FOREIGN = {
    "m4a": ("ipod", "aac", 44100),
    "aac": ("adts", "aac", 44100),
    "webm": ("webm", "libopus", 48000),
    "opus": ("ogg", "libopus", 48000),
}


def sine(
    duration_s: float = 0.5, gain: float = 0.5, channels: int = 2, rate_hz: int = RATE_HZ
) -> Waveform:
    """A 440 Hz tone; the right channel at half the gain of the left."""
    tone = gain * np.sin(2 * np.pi * 440 * np.arange(round(duration_s * rate_hz)) / rate_hz)
    gains = np.where(np.arange(channels) % 2, 0.5, 1.0)
    return Waveform(np.outer(gains, tone).astype(np.float32), rate_hz)


def noise(duration_s: float, gain: float, channels: int = 1) -> Waveform:
    samples = np.random.default_rng(1).standard_normal((channels, round(duration_s * RATE_HZ)))
    return Waveform((gain * samples).astype(np.float32), RATE_HZ)


def file_bytes(waveform: Waveform, format: str, **options: Any) -> bytes:
    """What `write` gives for the four formats."""
    target = io.BytesIO()
    write(target, waveform, format, **options)
    return target.getvalue()


def libsndfile_bytes(waveform: Waveform, format: str, subtype: str | None = None) -> bytes:
    target = io.BytesIO()
    frames, rate = waveform.samples.T, waveform.sample_rate_hz
    soundfile.write(target, frames, rate, format=format, subtype=subtype)
    return target.getvalue()


def foreign_bytes(kind: str, duration_s: float = 0.5) -> bytes:
    """A stereo 440 Hz tone as m4a, aac, webm or opus."""
    container, codec, rate_hz = FOREIGN[kind]
    frame = av.AudioFrame.from_ndarray(
        sine(duration_s, rate_hz=rate_hz).samples, format="fltp", layout="stereo"
    )
    frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout="stereo")
        for packet in (*stream.encode(frame), *stream.encode(None)):
            output.mux(packet)
    return target.getvalue()


def loudest_hz(samples: Samples, sample_rate_hz: int) -> float:
    """The strongest frequency of the first channel."""
    spectrum = np.abs(np.fft.rfft(samples[0] * np.hanning(samples.shape[1])))
    return float(np.argmax(spectrum) * sample_rate_hz / samples.shape[1])
