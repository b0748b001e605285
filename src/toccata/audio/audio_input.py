"""The kinds of audio that the library accepts: waveforms, files, bytes, arrays with a rate."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from toccata.audio.integrity import checked
from toccata.audio.transforms import Samples
from toccata.audio.uris import scheme_of
from toccata.audio.waveform import Waveform
from toccata.errors import InputError, check_path

AudioInput = Waveform | str | os.PathLike[str] | bytes | bytearray | BinaryIO | tuple[Any, int]
"""What `read_audio` takes. The pair is of samples, an array of numpy or torch, and their rate."""

MAX_CHANNELS = 64
# Of one request: 128 MiB, 6 minutes of stereo at 44.1 kHz.
MAX_VALUES = 2**25
# Models have lower rates: of audio above, less is held.
MAX_RATE_HZ = 48_000
MAX_SHOWN = 80

_KINDS = (
    "give a Waveform or Clip, the path of a file, the bytes of one, a file opened in binary mode, "
    "or (samples, sample_rate_hz) with samples [channels, samples] or [samples] of numpy or torch"
)


def check_audio(field: str, audio: object) -> None:
    """Raise InputError for what `read_audio` does not take, before anything is read.

    Args:
        field: The name of the parameter that holds `audio`, for the error.
        audio: Any object.
    """
    if isinstance(audio, tuple):
        _samples(field, audio)
    elif isinstance(audio, str | os.PathLike):
        _check_file(field, audio)
    elif isinstance(audio, io.TextIOBase):
        raise InputError(field, _kind(audio), "open the file in binary mode, 'rb'")
    elif not (_is_encoded(audio) or isinstance(audio, Waveform)):
        is_array = hasattr(audio, "shape")
        cure = f"samples have no rate of their own: give ({field}, sample_rate_hz)"
        raise InputError(field, _kind(audio), cure if is_array else _KINDS)


def _check_file(field: str, path: str | os.PathLike[str]) -> None:
    check_path(field, path)
    if isinstance(path, str) and (scheme := scheme_of(path)):
        cure = "the library reads no addresses: download it, and give the file or its bytes"
        shown = path if len(path) <= MAX_SHOWN else f"{path[:MAX_SHOWN]}..."
        raise InputError(field, shown, cure, f"is an address ({scheme}:)")


def read_audio(field: str, audio: AudioInput) -> Waveform:
    """Return `audio` as a Waveform.

    Args:
        field: The name of the parameter that holds `audio`, for errors.
        audio: A Waveform (a Clip is one), returned as it is; the path of an audio file, its bytes,
            or a binary file object; or a pair of samples and their rate in Hz. Samples are
            [channels, samples], or [samples] for mono: floats with full scale at +-1, or integers
            with full scale at the limits of their type.

    Raises:
        InputError: It is something else.
        AudioError: The file or the bytes cannot be read as audio.
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
    elif isinstance(audio, str | os.PathLike):
        source = Path(audio)
    return read(source, max_values=MAX_VALUES, max_rate_hz=MAX_RATE_HZ)


def _is_encoded(audio: object) -> bool:
    kinds = (str, os.PathLike, bytes, bytearray, memoryview)
    return isinstance(audio, kinds) or callable(getattr(audio, "read", None))


def _samples(field: str, pair: tuple[Any, ...]) -> Samples:
    """[C, N] float32 of a pair of samples and their rate, which is checked."""
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
    if hasattr(samples, "detach"):  # a tensor of torch, which need not be imported to know it
        _check_tensor(field, samples)
        samples = samples.detach().cpu().resolve_neg()
        samples = samples.float() if samples.is_floating_point() else samples
    try:
        return np.asarray(samples)
    except ValueError as error:  # lists of different lengths
        raise InputError(field, _kind(samples), f"samples must be one array ({error})") from error


def _check_tensor(field: str, tensor: Any) -> None:
    """Raise InputError for a tensor that numpy has no array for."""
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
    """float32 with full scale at +-1."""
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
