"""Encode a `Waveform` as the bytes of a file without tags; FORMATS has a row for each format."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from toccata.audio.decode import VORBIS_ORDER
from toccata.audio.integrity import check_samples
from toccata.audio.stream_wav import check_bit_depth, quantize, to_pcm, wav_header
from toccata.audio.waveform import Waveform
from toccata.errors import AudioError, InputError

MP3_MONO_KBPS, MP3_STEREO_KBPS = 192, 320  # the defaults; 320 is the maximum of mp3
_BLOCK_FRAMES = 2**16  # libsndfile's Vorbis encoder overflows the stack on minutes at once
_VORBIS_QUALITY = 0.6  # about 190 kbit/s in stereo at 44.1 kHz
# The bitrates of Vorbis in stereo at the qualities 0, 0.1, ... 1, by its documentation.
_VORBIS_KBPS = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 500)
_MAX_KBPS = 500
DEFAULT_BIT_DEPTH = 16
_MP3_BITRATES_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)


@dataclass(frozen=True)
class Format:
    """The limits of a format."""

    max_channels: int
    rates_hz: tuple[int, ...] = ()  # empty: any


FORMATS = {
    "wav": Format(max_channels=255),
    "mp3": Format(2, (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)),
    "flac": Format(max_channels=8),
    "ogg": Format(max_channels=255),
}


# The formats that have each option.
TAKEN_BY: Mapping[str, tuple[str, ...]] = {
    "bit_depth": ("wav", "flac"),
    "bitrate_kbps": ("mp3", "ogg"),
}


def encode(
    waveform: Waveform, name: str, bit_depth: int | None = None, bitrate_kbps: int | None = None
) -> bytes:
    """Encode a waveform.

    Args:
        waveform: The audio.
        name: The format, a name from FORMATS.
        bit_depth: For wav (16, 24, or 32 for float) and flac (16 or 24); None for 16.
        bitrate_kbps: For mp3, and approximately for ogg. None uses 192 for mono and 320 for stereo
            mp3, and quality 0.6 for ogg.

    Returns:
        The bytes of the file.

    Raises:
        InputError: If an option is invalid, or the format does not have it.
        AudioError: If the format does not support the audio.
    """
    check_options(name, bit_depth, bitrate_kbps)
    _check(waveform, name)
    if name == "wav":
        return _wav(waveform, bit_depth or DEFAULT_BIT_DEPTH)
    if name == "flac":
        return _flac(waveform, bit_depth or DEFAULT_BIT_DEPTH)
    kind = _mp3 if name == "mp3" else _ogg
    return kind(waveform, bitrate_kbps)


def check_options(name: str, bit_depth: int | None = None, bitrate_kbps: int | None = None) -> None:
    """Check the options of `encode` before there is audio to encode.

    Raises:
        InputError: If the format, bit depth or bitrate does not exist, or the format does not have
            the option.
    """
    if name not in FORMATS:
        raise InputError("format", name, f"use one of {', '.join(FORMATS)}")
    for option, value in (("bit_depth", bit_depth), ("bitrate_kbps", bitrate_kbps)):
        if value is not None and name not in TAKEN_BY[option]:
            cure = f"{name} has none: leave it out, or write " + " or ".join(TAKEN_BY[option])
            raise InputError(option, value, cure)
    if bit_depth is not None:
        if not isinstance(bit_depth, int):  # 16.0 equals 16, but is not valid here
            raise InputError("bit_depth", bit_depth, "use 16, 24 or 32 as a whole number")
        check_bit_depth(bit_depth)
    if name == "flac" and bit_depth == 32:
        raise InputError("bit_depth", bit_depth, "use 16 or 24 for flac, or wav for float")
    if name == "mp3" and bitrate_kbps not in (None, *_MP3_BITRATES_KBPS):
        allowed = f"use one of {', '.join(map(str, _MP3_BITRATES_KBPS))}"
        raise InputError("bitrate_kbps", bitrate_kbps, allowed)
    if bitrate_kbps is not None and not _is_bitrate(bitrate_kbps):
        raise InputError("bitrate_kbps", bitrate_kbps, f"use 1 to {_MAX_KBPS}")


def _is_bitrate(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 1 <= value <= _MAX_KBPS


def _check(waveform: Waveform, name: str) -> None:
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
    # Samples are rounded here: libsndfile rounds floats down, which adds half a step of DC.
    whole = quantize(waveform.samples, bit_depth) << (32 - bit_depth)
    return _libsndfile(waveform, whole, format="FLAC", subtype=f"PCM_{bit_depth}")


def _mp3(waveform: Waveform, bitrate_kbps: int | None) -> bytes:
    """Encode mp3; rates below 32 kHz are MPEG-2, whose highest bitrate is 160 kbit/s."""
    kbps = bitrate_kbps or (MP3_MONO_KBPS if waveform.channels == 1 else MP3_STEREO_KBPS)
    lowest, highest = (32, 320) if waveform.sample_rate_hz >= 32000 else (8, 160)
    level = (highest - min(kbps, highest)) / (highest - lowest)
    settings = {"compression_level": min(level, 0.999), "bitrate_mode": "CONSTANT"}
    return _libsndfile(waveform, waveform.samples.T, format="MP3", **settings)


def _ogg(waveform: Waveform, bitrate_kbps: int | None) -> bytes:
    quality = _VORBIS_QUALITY if bitrate_kbps is None else _vorbis_quality(waveform, bitrate_kbps)
    settings = {"subtype": "VORBIS", "compression_level": 1.0 - quality}
    channels = waveform.channels
    places = np.argsort(VORBIS_ORDER.get(channels, range(channels)))
    frames = waveform.samples[places].T if channels in VORBIS_ORDER else waveform.samples.T
    return _libsndfile(waveform, frames, format="OGG", **settings)


def _vorbis_quality(waveform: Waveform, bitrate_kbps: int) -> float:
    """Return the quality of about `bitrate_kbps`; the exact bitrate depends on the music."""
    return float(
        np.interp(
            bitrate_kbps * 2 / waveform.channels,
            _VORBIS_KBPS,
            np.linspace(0.0, 1.0, len(_VORBIS_KBPS)),
        )
    )


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
