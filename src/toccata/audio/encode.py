"""A `Waveform` to the bytes of a file, without tags. One row per format in FORMATS."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from toccata.audio.decode import VORBIS_ORDER
from toccata.audio.integrity import check_samples
from toccata.audio.stream_wav import check_bit_depth, quantize, to_pcm, wav_header
from toccata.errors import AudioError, InputError
from toccata.types import Waveform

DEFAULT_BITRATE_KBPS = 320
_BLOCK_FRAMES = 2**16  # libsndfile's Vorbis encoder overflows the stack on minutes at once
_VORBIS_COMPRESSION = 0.4  # Vorbis quality 6: about 190 kbit/s in stereo
_MP3_BITRATES_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)


@dataclass(frozen=True)
class Format:
    max_channels: int
    rates_hz: tuple[int, ...] = ()  # empty: any


FORMATS = {
    "wav": Format(max_channels=255),
    "mp3": Format(2, (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)),
    "flac": Format(max_channels=8),
    "ogg": Format(max_channels=255),
}


def encode(waveform: Waveform, name: str, bit_depth: int, bitrate_kbps: int) -> bytes:
    """The bytes of a file in format `name`.

    bit_depth is heeded by wav (32: float) and flac (16, 24), bitrate_kbps by mp3.
    Raises InputError for a wrong option, AudioError for audio the format cannot hold.
    """
    _check(waveform, name)
    if name == "wav":
        return _wav(waveform, bit_depth)
    if name == "flac":
        return _flac(waveform, bit_depth)
    return _mp3(waveform, bitrate_kbps) if name == "mp3" else _ogg(waveform)


def _check(waveform: Waveform, name: str) -> None:
    if name not in FORMATS:
        raise InputError("format", name, f"use one of {', '.join(FORMATS)}")
    allowed, rate = FORMATS[name], waveform.sample_rate_hz
    if waveform.samples.ndim != 2 or waveform.samples.size == 0:
        raise AudioError(f"there is no audio to write: samples of shape {waveform.samples.shape}")
    if waveform.channels > allowed.max_channels:
        most = f"{name} holds at most {allowed.max_channels}"
        raise AudioError(f"{most} channels, not {waveform.channels}; mix it down or write wav")
    if allowed.rates_hz and rate not in allowed.rates_hz:
        raise AudioError(f"{name} has no rate of {rate} Hz; resample to 48000 Hz or write flac")
    check_samples(waveform.samples)


def _wav(waveform: Waveform, bit_depth: int) -> bytes:
    body = to_pcm(waveform.samples, bit_depth)
    header = wav_header(waveform.sample_rate_hz, waveform.channels, bit_depth, len(body))
    return header + body + bytes(len(body) % 2)


def _flac(waveform: Waveform, bit_depth: int) -> bytes:
    check_bit_depth(bit_depth)
    if bit_depth == 32:
        raise InputError("bit_depth", bit_depth, "use 16 or 24 for flac, or wav for float")
    # Our own rounding: libsndfile's from float rounds down, half a step of DC.
    whole = quantize(waveform.samples, bit_depth) << (32 - bit_depth)
    return _libsndfile(waveform, whole, format="FLAC", subtype=f"PCM_{bit_depth}")


def _mp3(waveform: Waveform, bitrate_kbps: int) -> bytes:
    """Rates below 32 kHz are MPEG-2, whose bitrates end at 160: more than that gives 160."""
    if bitrate_kbps not in _MP3_BITRATES_KBPS:
        allowed = f"use one of {', '.join(map(str, _MP3_BITRATES_KBPS))}"
        raise InputError("bitrate_kbps", bitrate_kbps, allowed)
    least, most = (32, 320) if waveform.sample_rate_hz >= 32000 else (8, 160)
    level = (most - min(bitrate_kbps, most)) / (most - least)
    settings = {"compression_level": min(level, 0.999), "bitrate_mode": "CONSTANT"}
    return _libsndfile(waveform, waveform.samples.T, format="MP3", **settings)


def _ogg(waveform: Waveform) -> bytes:
    settings = {"subtype": "VORBIS", "compression_level": _VORBIS_COMPRESSION}
    channels = waveform.channels
    places = np.argsort(VORBIS_ORDER.get(channels, range(channels)))
    frames = waveform.samples[places].T if channels in VORBIS_ORDER else waveform.samples.T
    return _libsndfile(waveform, frames, format="OGG", **settings)


def _libsndfile(waveform: Waveform, frames: Any, **settings: Any) -> bytes:
    import soundfile

    target, form = io.BytesIO(), (waveform.sample_rate_hz, waveform.channels)
    try:
        with soundfile.SoundFile(target, "w", *form, **settings) as file:
            for start in range(0, len(frames), _BLOCK_FRAMES):
                file.write(frames[start : start + _BLOCK_FRAMES])
    except soundfile.SoundFileError as error:
        form_text = f"{form[0]} Hz and {form[1]} channels"
        raise AudioError(f"cannot be written with {form_text}; try wav") from error
    return target.getvalue()
