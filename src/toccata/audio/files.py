"""Audio files: read any common kind, write four, whole or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from toccata.audio.decode import Decoding, decoding
from toccata.audio.encode import FORMATS, encode
from toccata.audio.integrity import check_length, check_samples, check_whole
from toccata.audio.sniff import sniff
from toccata.audio.source import Source, load, name_of
from toccata.audio.tags import tagged
from toccata.audio.waveform import Samples, check_part
from toccata.errors import AudioError
from toccata.types import Clip, Waveform

MAX_BYTES = 512 * 2**20
MAX_SECONDS = 3600.0
_MAX_VALUES = 2**29  # samples over all channels: 2 GiB decoded, whatever the caller allows
_RATES_HZ = range(1000, 768_001)
_NO_END = 2**62


def read(
    source: Source,
    *,
    max_bytes: int = MAX_BYTES,
    max_seconds: float | None = MAX_SECONDS,
    start_s: float = 0.0,
    end_s: float | None = None,
) -> Waveform:
    """Decode `source` from `start_s` to `end_s` (None or past the end: to the end).

    max_bytes caps the file, max_seconds how far into it decoding may go (None: no cap); what is
    after `end_s` is neither decoded nor counted. Samples over full scale are kept as they are.
    Raises AudioError, naming the file and the cure, for all that is not whole, finite audio;
    InputError for a part that is negative or turned round.
    """
    parts = list(
        blocks(source, max_bytes=max_bytes, max_seconds=max_seconds, start_s=start_s, end_s=end_s)
    )
    samples = np.concatenate([part.samples for part in parts], axis=1)
    return Waveform(np.ascontiguousarray(samples, np.float32), parts[0].sample_rate_hz)


def blocks(
    source: Source,
    *,
    max_bytes: int = MAX_BYTES,
    max_seconds: float | None = MAX_SECONDS,
    start_s: float = 0.0,
    end_s: float | None = None,
) -> Iterator[Waveform]:
    """What `read` gives, a few seconds at a time: for audio that is not to be held at once.

    Raises what `read` raises, some of it only when the last block is drawn.
    """
    check_part(start_s, end_s)
    name, data = name_of(source), load(source, max_bytes)
    kind = sniff(data, name)
    try:
        check_whole(data, kind)
        with decoding(data, kind) as opened:
            for samples in _part(opened, start_s, end_s, max_seconds):
                check_samples(samples)
                yield Waveform(samples, opened.sample_rate_hz)
    except AudioError as error:
        raise AudioError(f"{name}: {error}") from error


def _part(
    opened: Decoding, start_s: float, end_s: float | None, max_seconds: float | None
) -> Iterator[Samples]:
    """The blocks of one part, as they are decoded; raises as soon as a limit is passed."""
    rate, done = opened.sample_rate_hz, 0
    limit = _limit(opened, max_seconds)
    start, stop = round(start_s * rate), _NO_END if end_s is None else round(end_s * rate)
    for block in opened.blocks:
        yield block[:, max(0, start - done) : stop - done]
        done += block.shape[1]
        if min(done, stop) > limit:
            raise AudioError(f"is longer than the limit of {limit / rate:.6g} s; cut it first")
        if done >= stop:
            return
    check_length(done / rate, opened.declared_s)
    if done == 0:
        raise AudioError("holds no audio; export or download it again")
    if done <= start:
        raise AudioError(f"is {done / rate:.2f} s long; start before that, not at {start_s:g} s")


def _limit(opened: Decoding, max_seconds: float | None) -> int:
    """The most frames to decode."""
    rate = opened.sample_rate_hz
    if rate not in _RATES_HZ:
        raise AudioError(f"has a rate of {rate} Hz, outside 1 to 768 kHz; export it again")
    most = _MAX_VALUES // opened.channels
    return most if max_seconds is None else min(most, int(max_seconds * rate))


def write(
    target: str | Path | BinaryIO,
    waveform: Waveform,
    format: str | None = None,
    *,
    bit_depth: int = 16,
    bitrate_kbps: int | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write `waveform` as wav, mp3, flac or ogg; None takes the suffix of a path, else wav.

    bit_depth is for wav (32: float) and flac, bitrate_kbps for mp3 and ogg (None: mp3 of
    192 in mono and 320 in stereo, ogg of Vorbis' quality 6). A path is replaced at once
    when all is written: a failure leaves what was there. Integers are rounded and held at full
    scale. Raises AudioError, or InputError for a wrong option.
    """
    is_path = isinstance(target, str | Path)
    name = format or (format_of(Path(str(target))) if is_path else "wav")
    data = encode(waveform, name, bit_depth, bitrate_kbps)
    if tags:
        data = tagged(data, tags)
    if isinstance(target, str | Path):
        _write_whole(Path(target), data)
    else:
        target.write(data)


def format_of(path: Path) -> str:
    """The format named by a suffix; raises AudioError for any other."""
    name = path.suffix.lower().removeprefix(".")
    if name not in FORMATS:
        known = ", ".join(f".{known}" for known in FORMATS)
        raise AudioError(f"{path}: cannot write '{path.suffix}' files; end the name in {known}")
    return name


def save_clip(
    clip: Clip, path: Path, *, bit_depth: int = 16, bitrate_kbps: int | None = None
) -> Path:
    """Write a clip with its tags; the suffix of `path` names the format. Returns `path`."""
    write(path, clip, bit_depth=bit_depth, bitrate_kbps=bitrate_kbps, tags=clip.tags)
    return path


def _write_whole(path: Path, data: bytes) -> None:
    """Into a new file beside `path`, which then takes its place."""
    if path.is_dir():
        raise AudioError(f"{path}: is a folder; name a file in it")
    try:
        if path.exists() and not path.is_file():  # /dev/stdout or a pipe: not to be replaced
            path.write_bytes(data)
            return
        _replace(path.resolve(), data)
    except OSError as error:
        reason = error.strerror or error
        raise AudioError(f"{path}: cannot be written ({reason}); check folder and space") from error


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".toccata-{secrets.token_hex(8)}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
