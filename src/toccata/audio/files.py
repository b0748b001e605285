"""Read audio files of any common kind, and write four formats, completely or not at all."""

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
MAX_VALUES = 2**29  # samples over all channels: 2 GiB decoded, whatever the caller allows
_NO_END = 2**62
_OPTIONS = ("bit_depth", "bitrate_kbps")

Warn = Callable[[str], None]


class PartError(AudioError):
    """A part that starts behind the end of a file, which is `duration_s` long."""

    def __init__(self, message: str, duration_s: float) -> None:
        super().__init__(message)
        self.duration_s = duration_s


class TooMuchError(AudioError):
    """A part of more samples than the caller allows."""


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
    """Decode `source` from `start_s` to `end_s`.

    Memory grows with the part that is returned, not with the file's length.

    Args:
        source: A path, bytes or a file object.
        max_bytes: Of the file.
        max_seconds: How far into the file decoding may go; None: no cap.
        start_s: Where the part starts.
        end_s: Where it ends; None or past the end: the end. What is after it is neither decoded
            nor counted.
        max_values: Of the part, over all channels, at the rate that is returned.
        max_rate_hz: Audio of a higher rate is resampled to this one. None: any rate is kept.
        warn: Takes a sentence about a file that was read although its header is wrong.
        name: What messages call it; None: its path.

    Returns:
        The samples [C, N]; those over full scale are kept as they are.

    Raises:
        AudioError: For all that is not whole, finite audio; it names the file and the cure.
        InputError: For a part that is negative or turned round.
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
    """How many samples, over all channels, `read` gives if the headers are right.

    Args:
        source: A path, bytes or a file object.
        start_s: Where the part starts.
        end_s: Where it ends; None: the end.
        max_rate_hz: As of `read`.

    Returns:
        The number of samples; None if no header tells the length.

    Raises:
        AudioError: For what cannot be opened as audio.
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
    """What `read` gives, a few seconds at a time: for audio that is not to be held at once.

    The rate stays that of the file; with `max_rate_hz`, `max_values` is counted as at that rate.
    Raises what `read` raises, some of it only when the last block is drawn.
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
    """The blocks of one part, as they are decoded; raises as soon as a limit is passed.

    longest: the most frames of the part.
    """
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
    """All in frames."""
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
    """The most frames to decode."""
    most = MAX_VALUES // opened.channels
    return most if max_seconds is None else min(most, int(max_seconds * opened.sample_rate_hz))


def write(
    target: str | Path | BinaryIO,
    waveform: Waveform,
    format: str | None = None,
    *,
    bit_depth: int | None = None,
    bitrate_kbps: int | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write `waveform` as wav, mp3, flac or ogg; None takes the suffix of a path, else wav.

    bit_depth is for wav (32: float) and flac (None: 16), bitrate_kbps for mp3 and ogg (None: mp3
    of 192 in mono and 320 in stereo, ogg of Vorbis' quality 6). A path is replaced at once when all
    is written: a failure leaves what was there. Integers are rounded and held at full scale. Raises
    AudioError, or InputError for a wrong option and a format that the suffix contradicts.
    """
    name = _format(target, format)
    data = encode(waveform, name, bit_depth, bitrate_kbps)
    if tags:
        data = tagged(data, tags)
    if isinstance(target, str | Path):
        _write_whole(Path(target), data)
    else:
        write_all(target, data)


def _format(target: object, format: str | None) -> str:
    """Raises InputError for a format that is not the one the target's suffix names."""
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
    """The format named by a suffix; raises AudioError for any other."""
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
    """Write `waveform` with its tags; see `Waveform.save`."""
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
    """Into a new file beside `path`, which then takes its place."""
    if path.is_dir():
        raise AudioError(f"{path}: is a folder; name a file in it")
    try:
        if path.exists() and not path.is_file():  # /dev/stdout or a pipe: not to be replaced
            path.write_bytes(data)
            return
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    except (OSError, RuntimeError, ValueError) as error:  # of links in a circle, and of NUL
        reason = getattr(error, "strerror", None) or error
        raise AudioError(f"{path}: cannot be written ({reason}); check folder and space") from error
