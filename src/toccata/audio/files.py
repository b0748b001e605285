"""Read audio files of all common formats, and write four formats, completely or not at all."""

from __future__ import annotations

import io
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from toccata.audio.collect import collected, lowered
from toccata.audio.decode import Decoding, decoding
from toccata.audio.encode import FORMATS, encode
from toccata.audio.integrity import (
    MAX_CHANNELS,
    RATES_HZ,
    check_form,
    check_length,
    check_ogg,
    check_samples,
)
from toccata.audio.sink import write_all
from toccata.audio.sniff import find_audio
from toccata.audio.source import Source, load, name_of
from toccata.audio.tags import tagged
from toccata.audio.transforms import Samples, check_part
from toccata.audio.waveform import Waveform
from toccata.errors import AudioError, InputError, check_path
from toccata.whole_files import replacing

log = logging.getLogger(__name__)

MAX_BYTES = 512 * 2**20
MAX_SECONDS = 3600.0
MAX_VALUES = 2**29  # samples over all channels, 2 GiB decoded; the caller cannot raise this limit
_NO_END = 2**62
_OPTIONS = ("bit_depth", "bitrate_kbps")

Warn = Callable[[str], None]


class PartError(AudioError):
    """A part starts after the end of a file, which is `duration_s` long."""

    def __init__(self, message: str, duration_s: float) -> None:
        super().__init__(message)
        self.duration_s = duration_s


class TooMuchError(AudioError):
    """A part has more samples than the caller allows."""


def read(
    source: Source,
    *,
    max_bytes: int = MAX_BYTES,
    max_seconds: float | None = MAX_SECONDS,
    start_s: float = 0.0,
    end_s: float | None = None,
    max_values: int = MAX_VALUES,
    max_rate_hz: int | None = None,
    warn: Warn = log.warning,
    name: str | None = None,
) -> Waveform:
    """Decode a part of a file.

    Memory grows with the part, not with the length of the file.

    Args:
        source: A path, bytes or a file object.
        max_bytes: The largest size of the file.
        max_seconds: The last second that may be decoded; None for no limit.
        start_s: The start of the part in seconds.
        end_s: The end of the part in seconds; None or a later time than the end of the file for its
            end. Audio after it is not decoded and does not count for limits.
        max_values: The most samples of the part, over all channels, at the rate that is returned.
        max_rate_hz: Audio of a higher rate is resampled to this rate. None keeps any rate.
        warn: Called with a warning if the header of the file is wrong.
        name: The name of the file in messages; None for its path.

    Returns:
        The samples [C, N]; those over full scale are not clipped.

    Raises:
        AudioError: If it is not complete, finite audio; the message names the file and the cure.
        InputError: If the part is negative, or ends before it starts.
    """
    parts = blocks(
        source,
        max_bytes=max_bytes,
        max_seconds=max_seconds,
        start_s=start_s,
        end_s=end_s,
        max_values=max_values,
        max_rate_hz=max_rate_hz,
        warn=warn,
        name=name,
    )
    try:
        return collected(parts if max_rate_hz is None else lowered(parts, max_rate_hz))
    except MemoryError as error:
        called = name or name_of(source)
        raise AudioError(f"{called}: does not fit into memory; cut it first") from error


def declared_values(
    source: Source,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    max_rate_hz: int | None = None,
) -> int | None:
    """Return the number of samples that `read` returns if the headers are right.

    Args:
        source: A path, bytes or a file object.
        start_s: The start of the part in seconds.
        end_s: The end of the part in seconds; None for the end of the file.
        max_rate_hz: As in `read`.

    Returns:
        The number of samples over all channels; None if no header has the length.

    Raises:
        AudioError: If it cannot be opened as audio.
    """
    data = load(source, MAX_BYTES)
    kind, start = find_audio(data, name_of(source))
    with decoding(data[start:] if start else data, kind) as opened:
        if opened.declared_s is None:
            return None
        rate = min(opened.sample_rate_hz, max_rate_hz or opened.sample_rate_hz)
        used_s = min(opened.declared_s, math.inf if end_s is None else end_s) - start_s
        return math.ceil(max(0.0, used_s) * rate) * opened.channels


def blocks(
    source: Source,
    *,
    max_bytes: int = MAX_BYTES,
    max_seconds: float | None = MAX_SECONDS,
    start_s: float = 0.0,
    end_s: float | None = None,
    max_values: int = MAX_VALUES,
    max_rate_hz: int | None = None,
    warn: Warn = log.warning,
    name: str | None = None,
) -> Iterator[Waveform]:
    """Decode a part of a file in blocks of a few seconds, for audio that need not be in memory.

    Arguments and exceptions are those of `read`, with two differences: the rate stays that of the
    file, and `max_rate_hz` is only used to count `max_values`; and some exceptions are raised only
    after the last block.
    """
    check_part(start_s, end_s)
    name, data = name or name_of(source), load(source, max_bytes)
    kind, start = find_audio(data, name)
    data = data[start:] if start else data
    try:
        if data[:4] == b"OggS":
            check_ogg(data)
        with decoding(data, kind, start_s) as opened:
            if opened.warning:
                warn(f"{name}: {opened.warning}")
            _check_form(opened)
            scale = 1.0 if max_rate_hz is None else max(1.0, opened.sample_rate_hz / max_rate_hz)
            longest = int(max_values * scale) // opened.channels
            for samples in _part(opened, start_s, end_s, max_seconds, longest):
                check_samples(samples)
                yield Waveform(samples, opened.sample_rate_hz)
    except PartError as error:
        raise PartError(f"{name}: {error}", error.duration_s) from error
    except TooMuchError as error:
        raise TooMuchError(f"{name}: {error}") from error
    except AudioError as error:
        raise AudioError(f"{name}: {error}") from error


def _part(
    opened: Decoding,
    start_s: float,
    end_s: float | None,
    max_seconds: float | None,
    longest: int,
) -> Iterator[Samples]:
    """Yield the blocks of a part, and raise once it exceeds a limit; `longest` is in frames."""
    rate, done = opened.sample_rate_hz, opened.first
    start, stop = round(start_s * rate), _NO_END if end_s is None else round(end_s * rate)
    limit = _limit(opened, max_seconds)
    declared = 0 if opened.declared_s is None else round(opened.declared_s * rate)
    _check_limits(min(declared, stop), start, limit, longest, rate)
    for block in opened.blocks:
        yield block[:, max(0, start - done) : max(0, stop - done)]
        done += block.shape[1]
        _check_limits(min(done, stop), start, limit, longest, rate)
        if done >= stop:
            return
    check_length(done / rate, opened.declared_s)
    if done == 0:
        raise AudioError("holds no audio; export or download it again")
    if done <= start:
        length = f"is {done / rate:.2f} s long"
        raise PartError(f"{length}; start before that, not at {start_s:g} s", done / rate)


def _check_limits(end: int, start: int, limit: int, longest: int, rate: int) -> None:
    """Raise AudioError if the end of the part is beyond a limit; all are in frames."""
    if end > limit:
        raise AudioError(f"is longer than the limit of {limit / rate:.6g} s; cut it first")
    if end - start > longest:
        most = f"{longest / rate:.6g} s"
        found = f"holds {(end - start) / rate:.0f} s or more"
        raise TooMuchError(f"{found}, and at most {most} can be used; choose a part of it")


def _check_form(opened: Decoding) -> None:
    if opened.sample_rate_hz not in RATES_HZ:
        rate = opened.sample_rate_hz
        raise AudioError(f"has a rate of {rate} Hz, outside 1 to 768 kHz; export it again")
    if not 1 <= opened.channels <= MAX_CHANNELS:
        found = f"has {opened.channels} channels"
        raise AudioError(f"{found}, and at most {MAX_CHANNELS} are read; mix it down")


def _limit(opened: Decoding, max_seconds: float | None) -> int:
    """Return the most frames that may be decoded."""
    limit = MAX_VALUES // opened.channels
    return limit if max_seconds is None else min(limit, int(max_seconds * opened.sample_rate_hz))


def write(
    target: str | Path | BinaryIO,
    waveform: Waveform,
    format: str | None = None,
    *,
    bit_depth: int | None = None,
    bitrate_kbps: int | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write an audio file.

    A file is replaced at once after all is written, so that a failure leaves the old one. Samples
    are rounded and clipped at full scale, except in wav with 32 bits.

    Args:
        target: A path, or a file object opened in binary mode.
        waveform: The audio.
        format: wav, mp3, flac or ogg; None for the suffix of a path, and wav for a file object.
        bit_depth: For wav (16, 24, or 32 for float) and flac (16 or 24); None for 16.
        bitrate_kbps: For mp3 and ogg. None uses 192 for mono and 320 for stereo mp3, and Vorbis'
            quality 6 for ogg.
        tags: Written to the file if the format has tags.

    Raises:
        AudioError: If the format does not support the audio, or the file cannot be written.
        InputError: If an option is invalid, or the suffix names another format.
    """
    name = _format(target, format)
    check_form(waveform, "waveform")
    data = encode(waveform, name, bit_depth, bitrate_kbps)
    if tags:
        data = tagged(data, tags)
    if isinstance(target, str | Path):
        _write_whole(Path(target), data)
    else:
        write_all(target, data)


def _format(target: object, format: str | None) -> str:
    """Return the format to write; raise InputError if the suffix names another one."""
    if not isinstance(target, str | Path):
        return "wav" if format is None else format
    if format is None:
        return format_of(Path(target))
    suffix = Path(target).suffix.lower().removeprefix(".")
    if suffix in FORMATS and format in FORMATS and suffix != format:
        cure = f"{target} ends in .{suffix}: leave out format, or give the file another name"
        raise InputError("format", format, cure)
    return format


def format_of(path: Path) -> str:
    """Return the format that the suffix of a path names.

    Raises:
        AudioError: If the suffix is not that of a format.
    """
    name = path.suffix.lower().removeprefix(".")
    if name not in FORMATS:
        known = ", ".join(f".{known}" for known in FORMATS)
        raise AudioError(f"{path}: cannot write '{path.suffix}' files; end the name in {known}")
    return name


def save(
    waveform: Waveform,
    target: str | os.PathLike[str] | BinaryIO,
    format: str | None,
    options: Mapping[str, int],
) -> Path | None:
    """Write a waveform with its tags, see `Waveform.save`."""
    for name in options:
        if name not in _OPTIONS:
            raise InputError(name, options[name], "the options are " + ", ".join(_OPTIONS))
    if isinstance(target, str | os.PathLike):
        check_path("target", target)
        path = Path(target)
        write(path, waveform, format, tags=waveform.tags, **options)
        return path
    _check_writable(target)
    write(target, waveform, format, tags=waveform.tags, **options)
    return None


def _check_writable(target: object) -> None:
    if getattr(target, "closed", False) is True:
        raise InputError("target", type(target).__name__, "it is closed: save before it is")
    if isinstance(target, io.TextIOBase) or not callable(getattr(target, "write", None)):
        kind = type(target).__name__
        raise InputError("target", kind, "give a path or a file opened in binary mode, 'wb'")


def _write_whole(path: Path, data: bytes) -> None:
    """Write to a new file beside `path`, which then replaces it."""
    if path.is_dir():
        raise AudioError(f"{path}: is a folder; name a file in it")
    try:
        if path.exists() and not path.is_file():  # /dev/stdout or a pipe must not be replaced
            path.write_bytes(data)
            return
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    except (OSError, RuntimeError, ValueError) as error:  # the last two for circular links and NUL
        reason = getattr(error, "strerror", None) or error
        raise AudioError(f"{path}: cannot be written ({reason}); check folder and space") from error
