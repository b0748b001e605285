"""Decode bytes to blocks of samples with soundfile, or with PyAV for formats that it does not read.

Blocks are decoded one at a time, so that the caller can stop a decompression bomb. PyAV reads mp3
because libmpg123, which libsndfile uses, writes warnings to stderr.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import chain, takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toccata.audio import flac, mpeg, ogg
from toccata.audio.repair import repaired
from toccata.audio.sniff import Kind
from toccata.audio.source import Spliced
from toccata.errors import AudioError

_BLOCK_VALUES = 2**18  # per block over all channels: 1 MiB
# With a named demuxer, FFmpeg cannot guess one that opens other files (playlists, concat).
_DEMUXERS: dict[Kind, str] = {
    "m4a": "mp4",
    "aac": "aac",
    "webm": "matroska",
    "mp3": "mp3",
    "mp2": "mp3",
    "wma": "asf",
    "wv": "wv",
    "amr": "amr",
    "ac3": "ac3",
    "eac3": "eac3",
    "caf": "caf",
}
# No demuxer may open a file that its input names: no protocol, no second format, no external track.
_CLOSED = {"protocol_whitelist": "none", "enable_drefs": "0", "use_absolute_path": "0"}
# Streams of independent frames, of which players skip damaged ones.
_FRAMED: tuple[Kind, ...] = ("mp3", "mp2")
_CHECKED = {"err_detect": "crccheck+explode"}  # otherwise damaged FLAC is decoded as noise
_SEEKABLE: tuple[Kind, ...] = ("wav", "aiff", "au", "w64", "flac")
_IN_OGG: tuple[Kind, ...] = ("vorbis", "opus")
_UNKNOWN = 2**48  # from so many frames on, libsndfile does not know the length
# libsndfile returns the channels of Vorbis and Opus in the order of their specification (left,
# centre, right, ...); these indices put them in the order of wav, by the number of channels.
VORBIS_ORDER = {
    3: (0, 2, 1),
    5: (0, 2, 1, 3, 4),
    6: (0, 2, 1, 5, 3, 4),
    7: (0, 2, 1, 6, 5, 3, 4),
    8: (0, 2, 1, 7, 5, 6, 3, 4),
}
_CAF_FORMAT = 32  # the offset of the name of the codec
_CAF_PLAIN = (b"lpcm", b"ulaw", b"alaw")


@dataclass(frozen=True)
class Decoding:
    """An open decoder.

    Attributes:
        sample_rate_hz: The sample rate.
        channels: The number of channels C.
        declared_s: The length in seconds by the header; None if the header has no reliable one.
        blocks: Yields [C, n] float32 until the end of the audio.
        first: The sample frame with which the first block starts.
        warning: A warning about the file.
    """

    sample_rate_hz: int
    channels: int
    declared_s: float | None
    blocks: Iterator[NDArray[np.float32]]
    first: int = 0
    warning: str | None = None


@contextmanager
def decoding(data: bytes, kind: Kind, start_s: float = 0.0) -> Iterator[Decoding]:
    """Open a file for decoding.

    Args:
        data: The bytes of the file.
        kind: The format.
        start_s: Decoding begins here if the format can seek, else at the start of the file.

    Raises:
        AudioError: If it cannot be decoded; also while blocks are decoded.
    """
    import av
    import soundfile

    try:
        with _opened(data, kind, start_s) as opened:
            yield opened
    except (soundfile.SoundFileError, av.FFmpegError) as error:
        reason = getattr(error, "error_string", None) or getattr(error, "strerror", None)
        why = f" ({reason})" if reason else ""
        raise AudioError(f"is damaged or cut short{why}; export or download it again") from error


def _opened(data: bytes, kind: Kind, start_s: float) -> AbstractContextManager[Decoding]:
    demuxer = _demuxer(data, kind)
    if demuxer is None and kind in _IN_OGG and len(links := ogg.links(data)) > 1:
        return _linked(links)
    if demuxer is None:
        return _with_soundfile(data, kind, start_s)
    return _with_av(data, kind, demuxer)


def _demuxer(data: bytes, kind: Kind) -> str | None:
    """Return FFmpeg's demuxer for a file; None if libsndfile reads it."""
    if kind == "flac":
        return _flac_demuxer(data)
    is_plain_caf = kind == "caf" and data[_CAF_FORMAT - 4 : _CAF_FORMAT] in _CAF_PLAIN
    return None if is_plain_caf else _DEMUXERS.get(kind)


def _flac_demuxer(data: bytes) -> str | None:
    """Return FFmpeg's demuxer for FLAC that libsndfile cannot read.

    It cannot read FLAC of unknown length, because it seeks after each block, nor all FLAC in Ogg
    that FFmpeg writes.
    """
    if data[:4] == b"OggS":
        return "ogg"
    return "flac" if flac.declared_s(data) is None else None


@contextmanager
def _with_soundfile(data: bytes, kind: Kind, start_s: float) -> Iterator[Decoding]:
    import soundfile

    source, warning = repaired(data, kind)
    with soundfile.SoundFile(source) as file:
        declared_s = file.frames / file.samplerate if file.frames < _UNKNOWN else None
        start = round(start_s * file.samplerate)
        first = file.seek(start) if kind in _SEEKABLE and 0 < start < file.frames else 0
        form = (file.samplerate, file.channels, declared_s)
        order = VORBIS_ORDER.get(file.channels) if kind in _IN_OGG else None
        yield Decoding(*form, _soundfile_blocks(file, order), first, warning)


@contextmanager
def _linked(links: list[memoryview]) -> Iterator[Decoding]:
    """Decode the links of a chained Ogg file up to a change of rate or channels, with a warning."""
    import soundfile

    infos = []
    for link in links:
        with soundfile.SoundFile(Spliced(link)) as file:
            infos.append((file.samplerate, file.channels, file.frames))
    rate, channels, _ = infos[0]
    same = list(takewhile(lambda info: info[:2] == (rate, channels), infos))
    frames = sum(info[2] for info in same)
    warning = None
    if len(same) < len(links):
        warning = f"only its first {frames / rate:.2f} s are read: then its rate or channels change"
    blocks = chain.from_iterable(_link_blocks(link) for link in links[: len(same)])
    yield Decoding(rate, channels, frames / rate if frames < _UNKNOWN else None, blocks, 0, warning)


def _link_blocks(link: memoryview) -> Iterator[NDArray[np.float32]]:
    import soundfile

    with soundfile.SoundFile(Spliced(link)) as file:
        yield from _soundfile_blocks(file, VORBIS_ORDER.get(file.channels))


def _soundfile_blocks(file: Any, order: tuple[int, ...] | None) -> Iterator[NDArray[np.float32]]:
    frames = max(1, _BLOCK_VALUES // file.channels)
    while len(block := file.read(frames, dtype="float32", always_2d=True)):
        yield block.T if order is None else block.T[list(order)]


@contextmanager
def _with_av(data: bytes, kind: Kind, demuxer: str) -> Iterator[Decoding]:
    import av

    source = io.BytesIO(data)
    options = {**_CLOSED, "format_whitelist": demuxer}
    with av.open(source, format=demuxer, options=options, metadata_errors="replace") as container:
        stream = _audio_stream(container)
        blocks = _av_blocks(_frames(container, stream, kind))
        first = next(blocks, None)
        if first is None:
            raise AudioError("holds no audio; export or download it again")
        # The header of HE-AAC has half of the decoded rate, so the rate is that of the frame.
        rate = first[0]
        length_s = _exact_s(stream)
        declared_s = length_s or _in_header_s(data, kind) or _about_s(container, kind)
        same = _same_form(first, blocks)
        if length_s is not None:
            same = _up_to(same, round(length_s * rate))
        yield Decoding(rate, first[1].shape[0], declared_s, same)


def _audio_stream(container: Any) -> Any:
    """Return the first audio track that can be decoded; films often have others before it."""
    tracks = [stream for stream in container.streams if stream.type == "audio"]
    if not tracks:
        raise AudioError("holds no audio track; give a file with sound in it")
    for stream in tracks:
        if stream.codec_context is not None:
            return stream
    raise AudioError("holds audio of a kind that is not readable here; export it as wav or mp3")


def _frames(container: Any, stream: Any, kind: Kind) -> Iterator[Any]:
    if kind == "flac":
        stream.codec_context.options = _CHECKED
        frames = _unbroken(container.decode(stream))
    else:
        frames = _whole_frames(container, stream) if kind in _FRAMED else container.decode(stream)
    # The first frame of AAC is the encoder's delay. FFmpeg removes it where MP4 and some Matroska
    # files declare it; from other files it is removed here.
    context = stream.codec_context
    has_start = kind != "m4a" and context.name == "aac" and not context.delay
    for index, frame in enumerate(frames):
        if index or not has_start:
            yield frame


def _unbroken(frames: Iterator[Any]) -> Iterator[Any]:
    """Raise AudioError if FFmpeg has skipped damaged frames of FLAC, by the frames' timestamps."""
    first, done = None, 0
    for frame in frames:
        if frame.pts is not None:
            place = round(frame.pts * frame.time_base * frame.sample_rate)
            first = place - done if first is None else first
            if place - first > done:
                raise AudioError("is damaged: a part is missing; export or download it again")
        done += frame.samples
        yield frame


def _whole_frames(container: Any, stream: Any) -> Iterator[Any]:
    """Yield frames that can be decoded; raise AudioError if most of them cannot."""
    import av

    good = bad = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            bad += 1
            continue
        good += len(frames)
        yield from frames
    if bad > good:
        raise AudioError("is damaged; export or download it again")


_Rated = tuple[int, NDArray[np.float32]]


def _av_blocks(frames: Iterator[Any]) -> Iterator[_Rated]:
    import av

    resampler = av.AudioResampler(format="fltp")
    for frame in frames:
        for block in resampler.resample(frame):
            yield block.sample_rate, block.to_ndarray()


def _same_form(first: _Rated, rest: Iterator[_Rated]) -> Iterator[NDArray[np.float32]]:
    rate, block = first
    yield block
    for next_rate, following in rest:
        if (next_rate, following.shape[0]) != (rate, block.shape[0]):
            raise AudioError("changes its rate or channels on the way; export it as wav")
        yield following


def _up_to(blocks: Iterator[NDArray[np.float32]], total: int) -> Iterator[NDArray[np.float32]]:
    """Cut the padding that an AAC encoder adds at the end."""
    done = 0
    for block in blocks:
        yield block[:, : max(0, total - done)]
        done += block.shape[1]


def _exact_s(stream: Any) -> float | None:
    """Return the exact length, which only MP4 has; ADTS estimates it, Matroska lacks it."""
    is_mp4 = "mp4" in stream.container.format.name
    return float(stream.duration * stream.time_base) if is_mp4 and stream.duration else None


def _in_header_s(data: bytes, kind: Kind) -> float | None:
    return flac.declared_s(data) if kind == "flac" else mpeg.declared_s(data)


def _about_s(container: Any, kind: Kind) -> float | None:
    """Return an approximate length; Matroska's is that of the longest track, so not of a film."""
    useful = kind in ("webm", "wv", "wma") and not container.streams.video and container.duration
    return container.duration / 1e6 if useful else None
