"""The audio inputs that the library accepts: waveforms, files, parts of files, bytes, arrays."""

from __future__ import annotations

import io
import math
import os
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from toccata.audio.integrity import checked
from toccata.audio.transforms import Samples
from toccata.audio.uris import scheme_of
from toccata.audio.waveform import Waveform
from toccata.errors import InputError, check_path

MAX_CHANNELS = 64
# The limit for one request: 128 MiB, 6 minutes of stereo at 44.1 kHz.
MAX_VALUES = 2**25
# Audio of a higher rate is resampled to save memory; models have lower rates.
MAX_RATE_HZ = 48_000
MAX_SHOWN = 80
MAX_PART_S = 24 * 3600


@dataclass(frozen=True)
class AudioPart:
    """A part of an audio file, of which no more than that is decoded.

    Attributes:
        file: The path of the file.
        start_s: The start of the part, in seconds.
        end_s: The end of the part, in seconds; None is the end of the file.

    Raises:
        InputError: A time is no number of seconds, or the part is empty.
    """

    file: str | os.PathLike[str]
    start_s: float = 0.0
    end_s: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.file, str | os.PathLike):
            raise InputError("file", _kind(self.file), "give the path of an audio file")
        object.__setattr__(self, "start_s", _seconds("start_s", self.start_s))
        if self.end_s is None:
            return
        object.__setattr__(self, "end_s", _seconds("end_s", self.end_s))
        if self.start_s >= self.end_s:
            raise InputError("start_s", self.start_s, f"it must be before end_s, {self.end_s:g}")

    def up_to(self, reach_s: float | None) -> AudioPart:
        """Return at most the first `reach_s` seconds of the part; all of it for None."""
        if reach_s is None:
            return self
        end_s = self.start_s + reach_s
        return replace(self, end_s=end_s if self.end_s is None else min(self.end_s, end_s))


def _seconds(name: str, value: Any) -> float:
    """A number of seconds, which may be one of NumPy."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    seconds = float(value) if is_number else -1.0
    if not 0 <= seconds <= MAX_PART_S:
        raise InputError(name, value, f"it must be a number from 0 to {MAX_PART_S}")
    return seconds


AudioInput = (
    Waveform | AudioPart | str | os.PathLike[str] | bytes | bytearray | BinaryIO | tuple[Any, int]
)
"""The inputs of `read_audio`; the tuple has samples, of NumPy or torch, and their rate in Hz."""

_KINDS = (
    "give a Waveform or Clip, the path of a file, an AudioPart, the bytes of a file, a file opened "
    "in binary mode, or (samples, sample_rate_hz) with samples [channels, samples] or [samples] of "
    "numpy or torch"
)


def check_audio(field: str, audio: object) -> None:
    """Check the type of an audio input without reading it.

    Args:
        field: The name of the parameter, for the error.
        audio: Any object.

    Raises:
        InputError: If `read_audio` does not accept it.
    """
    if isinstance(audio, tuple):
        _samples(field, audio)
    elif isinstance(audio, AudioPart):
        _check_file(field, audio.file)
    elif isinstance(audio, str | os.PathLike):
        _check_file(field, audio)
    elif isinstance(audio, io.TextIOBase):
        raise InputError(field, _kind(audio), "open the file in binary mode, 'rb'")
    elif not (_is_encoded(audio) or isinstance(audio, Waveform)):
        is_array = hasattr(audio, "shape")
        cure = f"samples have no rate of their own: give ({field}, sample_rate_hz)"
        raise InputError(field, _kind(audio), cure if is_array else _KINDS)


def _check_file(field: str, file: str | os.PathLike[str]) -> None:
    """Raise InputError for a path that cannot be; an address may be one of another interface."""
    if not _is_address(file):
        check_path(field, file)


def _is_address(file: str | os.PathLike[str]) -> bool:
    return isinstance(file, str) and bool(scheme_of(file))


def check_local(field: str, file: str | os.PathLike[str]) -> None:
    """Raise InputError for an address: the library opens nothing but files.

    Args:
        field: The name of the parameter that holds `file`, for the error.
        file: A path, or an address.
    """
    if isinstance(file, str) and (scheme := scheme_of(file)):
        cure = "the library reads no addresses: download it, and give the file or its bytes"
        shown = file if len(file) <= MAX_SHOWN else f"{file[:MAX_SHOWN]}..."
        raise InputError(field, shown, cure, f"is an address ({scheme}:)")


def read_audio(field: str, audio: AudioInput) -> Waveform:
    """Return `audio` as a Waveform.

    Args:
        field: The name of the parameter, for errors.
        audio: A Waveform (a Clip is one), returned as it is; the path of an audio file, its bytes,
            or a binary file object; or a pair of samples and their rate in Hz. Samples are
            [channels, samples], or [samples] for mono: floats with full scale at +-1, or integers
            with full scale at the limits of their type.

    Raises:
        InputError: If it is anything else.
        AudioError: If the file or the bytes cannot be read as audio.
    """
    check_audio(field, audio)
    if isinstance(audio, Waveform):
        return checked(audio, field)
    if isinstance(audio, tuple):
        return checked(Waveform(_samples(field, audio), int(audio[1])), field)
    from toccata.audio.files import read

    source: Any = audio
    if isinstance(audio, bytearray | memoryview):
        source = bytes(audio)
    elif isinstance(audio, str | os.PathLike | AudioPart):
        part = part_of(audio)
        check_local(field, part.file)
        return read(
            Path(part.file),
            start_s=part.start_s,
            end_s=part.end_s,
            max_values=MAX_VALUES,
            max_rate_hz=MAX_RATE_HZ,
        )
    return read(source, max_values=MAX_VALUES, max_rate_hz=MAX_RATE_HZ)


def part_of(file: str | os.PathLike[str] | AudioPart) -> AudioPart:
    """The part that `file` names: the whole file, unless it is a part already."""
    return file if isinstance(file, AudioPart) else AudioPart(file)


def _is_encoded(audio: object) -> bool:
    kinds = (str, os.PathLike, bytes, bytearray, memoryview)
    return isinstance(audio, kinds) or callable(getattr(audio, "read", None))


def _samples(field: str, pair: tuple[Any, ...]) -> Samples:
    """Check a pair of samples and their rate, and convert the samples to [C, N] float32."""
    if len(pair) != 2 or not _is_rate(pair[1]):
        named = "(" + ", ".join(_kind(part) for part in pair) + ")"
        cure = "a pair is (samples, sample_rate_hz), the rate a whole number above 0"
        raise InputError(field, named, cure)
    array = _to_numpy(field, pair[0])
    samples = array[None] if array.ndim == 1 else array
    if samples.ndim != 2 or not 1 <= len(samples) <= MAX_CHANNELS:
        cure = (
            f"samples must be [channels, samples], with 1 to {MAX_CHANNELS} channels, or [samples];"
            " transpose [samples, channels], and take one item of a batch"
        )
        raise InputError(field, f"samples of shape {list(array.shape)}", cure)
    return _floats(field, samples)


def _is_rate(rate: object) -> bool:
    if isinstance(rate, bool) or not isinstance(rate, int | float | np.integer | np.floating):
        return False
    return bool(0 < rate < math.inf and int(rate) == rate)


def _to_numpy(field: str, samples: Any) -> NDArray[Any]:
    if hasattr(samples, "detach"):  # a torch tensor, recognised without importing torch
        _check_tensor(field, samples)
        samples = samples.detach().cpu().resolve_neg()
        samples = samples.float() if samples.is_floating_point() else samples
    try:
        return np.asarray(samples)
    except ValueError as error:  # lists of different lengths
        raise InputError(field, _kind(samples), f"samples must be one array ({error})") from error


def _check_tensor(field: str, tensor: Any) -> None:
    """Raise InputError for a tensor that cannot be converted to a NumPy array."""
    layout = str(tensor.layout).removeprefix("torch.")
    kinds = (
        (tensor.is_nested, "a nested tensor", "give one item of it"),
        (layout != "strided", f"a tensor of layout {layout}", "make it dense with to_dense()"),
        (tensor.is_quantized, "a quantized tensor", "make it floats with dequantize()"),
        (tensor.is_complex(), f"samples of type {tensor.dtype}", "use floats or integers"),
        (tensor.is_meta, "a tensor of device meta", "it has no values: give one that has"),
    )
    for is_it, value, cure in kinds:
        if is_it:
            raise InputError(field, value, cure)


def _floats(field: str, array: NDArray[Any]) -> Samples:
    """Convert to float32 with full scale at +-1."""
    if np.issubdtype(array.dtype, np.floating):
        return np.ascontiguousarray(array, np.float32)
    if not np.issubdtype(array.dtype, np.integer):
        raise InputError(field, f"samples of type {array.dtype}", "use floats or integers")
    limits = np.iinfo(array.dtype)
    middle = 0 if limits.min < 0 else (limits.max + 1) // 2
    scaled = (array.astype(np.float64) - middle) / (limits.max - middle + 1)
    return np.ascontiguousarray(scaled, np.float32)


def _kind(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}".removeprefix("builtins.")
