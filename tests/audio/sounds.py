"""Sounds and files that the audio tests share; files toccata cannot write are made by PyAV."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
import soundfile

from toccata.audio.files import write
from toccata.audio.transforms import Samples
from toccata.audio.waveform import Waveform

RATE_HZ = 32000
# kind -> (PyAV container, codec, rate)
FOREIGN = {
    "m4a": ("ipod", "aac", 44100),
    "aac": ("adts", "aac", 44100),
    "webm": ("webm", "libopus", 48000),
    "opus": ("ogg", "libopus", 48000),
}
# Those that are read because it costs nothing.
RARE = {
    "caf": ("caf", "alac", 44100),
    "w64": ("w64", "pcm_s16le", 44100),
    "au": ("au", "pcm_s16be", 44100),
    "wv": ("wv", "wavpack", 44100),
    "wma": ("asf", "wmav2", 44100),
    "amr": ("amr", "libopencore_amrnb", 8000),
    "ac3": ("ac3", "ac3", 48000),
    "eac3": ("eac3", "eac3", 48000),
    "mp2": ("mp2", "mp2", 44100),
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
    """A 440 Hz tone, in stereo where the kind has it."""
    container, codec, rate_hz = {**FOREIGN, **RARE}[kind]
    channels = 1 if kind == "amr" else 2
    return encoded(sine(duration_s, channels=channels, rate_hz=rate_hz), container, codec)


def encoded(waveform: Waveform, container: str, codec: str, tracks: int = 1) -> bytes:
    """What PyAV makes of a waveform of 1, 2 or 6 channels, in each of `tracks`."""
    rate_hz = waveform.sample_rate_hz
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[waveform.channels]
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        streams: list[Any] = []
        for _ in range(tracks):
            stream: Any = output.add_stream(codec, rate=rate_hz)
            stream.codec_context.layout = layout
            if container == "asf":
                stream.codec_context.bit_rate = 128_000
            streams.append(stream)
        for stream in streams:
            resampler = av.AudioResampler(stream.format, layout, rate_hz)
            frame = av.AudioFrame.from_ndarray(waveform.samples, format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
            packets = [one for ready in resampler.resample(frame) for one in stream.encode(ready)]
            for packet in (*packets, *stream.encode(None)):
                output.mux(packet)
    return target.getvalue()


def loudest_hz(samples: Samples, sample_rate_hz: int) -> float:
    """The strongest frequency of the first channel."""
    spectrum = np.abs(np.fft.rfft(samples[0] * np.hanning(samples.shape[1])))
    return float(np.argmax(spectrum) * sample_rate_hz / samples.shape[1])
