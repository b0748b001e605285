"""Bytes to blocks of samples: soundfile for what libsndfile reads, PyAV for the rest.

Blocks come one at a time, so that whoever collects them can stop in the middle of a bomb.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toccata.audio.sniff import Kind
from toccata.errors import AudioError

_BLOCK_VALUES = 2**18  # per block over all channels: 1 MiB
# Naming the demuxer keeps FFmpeg from guessing one that opens other files (playlists, concat).
_DEMUXERS: dict[Kind, str] = {"m4a": "mp4", "aac": "aac", "webm": "matroska"}


@dataclass(frozen=True)
class Decoding:
    """An open decoder; `blocks` yields [C, n] float32 and ends with the audio."""

    sample_rate_hz: int
    channels: int
    declared_s: float | None  # length by the header; None where headers say nothing of worth
    blocks: Iterator[NDArray[np.float32]]


@contextmanager
def decoding(data: bytes, kind: Kind) -> Iterator[Decoding]:
    """Raises AudioError, here or while blocks are drawn, for what cannot be decoded."""
    import av
    import soundfile

    try:
        with _with_av(data, kind) if kind in _DEMUXERS else _with_soundfile(data) as opened:
            yield opened
    except (soundfile.SoundFileError, av.FFmpegError) as error:
        reason = getattr(error, "error_string", None) or getattr(error, "strerror", None)
        why = f" ({reason})" if reason else ""
        raise AudioError(f"is damaged or cut short{why}; export or download it again") from error


@contextmanager
def _with_soundfile(data: bytes) -> Iterator[Decoding]:
    import soundfile

    with soundfile.SoundFile(io.BytesIO(data)) as file:
        declared_s = file.frames / file.samplerate if file.frames < 2**48 else None
        yield Decoding(file.samplerate, file.channels, declared_s, _soundfile_blocks(file))


def _soundfile_blocks(file: Any) -> Iterator[NDArray[np.float32]]:
    frames = max(1, _BLOCK_VALUES // file.channels)
    while len(block := file.read(frames, dtype="float32", always_2d=True)):
        yield block.T


@contextmanager
def _with_av(data: bytes, kind: Kind) -> Iterator[Decoding]:
    import av

    source = io.BytesIO(data)
    with av.open(source, format=_DEMUXERS[kind], metadata_errors="replace") as container:
        if not container.streams.audio:
            raise AudioError("holds no audio track; give a file with sound in it")
        stream = container.streams.audio[0]
        blocks = _av_blocks(container.decode(stream))
        first = next(blocks, None)
        if first is None:
            raise AudioError("holds no audio; export or download it again")
        # HE-AAC: the header has half the rate which the decoder gives, so the frame decides.
        rate = first[0]
        length_s = _exact_s(stream)
        declared_s = length_s or _about_s(container, kind)
        same = _same_form(first, blocks)
        if length_s is not None:
            same = _up_to(same, round(length_s * rate))
        yield Decoding(rate, first[1].shape[0], declared_s, same)


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
    """AAC comes in frames of 1024: what the encoder padded at the end goes."""
    done = 0
    for block in blocks:
        yield block[:, : max(0, total - done)]
        done += block.shape[1]


def _exact_s(stream: Any) -> float | None:
    """MP4 alone knows a track's length in samples; ADTS guesses one, Matroska has none."""
    is_mp4 = "mp4" in stream.container.format.name
    return float(stream.duration * stream.time_base) if is_mp4 and stream.duration else None


def _about_s(container: Any, kind: Kind) -> float | None:
    """Matroska's length is that of its longest track: useless beside a film."""
    useful = kind == "webm" and not container.streams.video and container.duration
    return container.duration / 1e6 if useful else None
