"""Live audio: the worker writes growing files, which listeners follow while they are generated.

A piece that is made again, because the worker died, comes out the same: it is written over the
same file, and who listens already notices nothing.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import IO, Protocol

from toccata.audio.waveform import Waveform

FORMATS = ("mp3", "wav")


class _Encoder(Protocol):
    def start(self, first: Waveform) -> bytes: ...
    def push(self, piece: Waveform) -> bytes: ...
    def finish(self) -> bytes: ...


class _Mp3:
    def start(self, first: Waveform) -> bytes:
        from toccata.audio.stream_mp3 import Mp3Stream

        self._stream = Mp3Stream(first.sample_rate_hz, min(first.channels, 2))
        return b""

    def push(self, piece: Waveform) -> bytes:
        return self._stream.push(piece.samples[:2])

    def finish(self) -> bytes:
        return self._stream.finish()


class _Wav:
    def start(self, first: Waveform) -> bytes:
        from toccata.audio.stream_wav import wav_header

        return wav_header(first.sample_rate_hz, first.channels)

    def push(self, piece: Waveform) -> bytes:
        from toccata.audio.stream_wav import to_pcm16

        return to_pcm16(piece.samples)

    def finish(self) -> bytes:
        return b""


class LiveFiles:
    """Writes every format of `FORMATS` into a folder, piece by piece."""

    def __init__(self, folder: Path, variation: int = 1) -> None:
        self._folder = folder
        self._variation = variation
        self._open: list[tuple[_Encoder, IO[bytes]]] = []
        self.begun_s: float | None = None  # when its first audio could be heard; monotonic

    def push(self, piece: Waveform) -> None:
        if not self._open:
            self._start(_Mp3(), "mp3", piece)
            self._start(_Wav(), "wav", piece)
        for encoder, file in self._open:
            file.write(encoder.push(piece))
            file.flush()
        if self.begun_s is None:
            self.begun_s = time.monotonic()

    def _start(self, encoder: _Encoder, name: str, first: Waveform) -> None:
        file = _over(live_file(self._folder, name, self._variation))
        self._open.append((encoder, file))
        file.write(encoder.start(first))

    def finish(self) -> None:
        for encoder, file in self._open:
            file.write(encoder.finish())
        self.close()

    def close(self) -> None:
        """Leave what there is; nothing happens after `finish`."""
        for _, file in self._open:
            file.close()
        self._open = []


def live_file(folder: Path, name: str, variation: int = 1) -> Path:
    """variation: counted from 1."""
    return folder / (f"live.{name}" if variation == 1 else f"live-{variation}.{name}")


def _over(path: Path) -> IO[bytes]:
    """Opened for writing from its start, what is in it staying until it is written over."""
    path.touch()
    return path.open("r+b")
