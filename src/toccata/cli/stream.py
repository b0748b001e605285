"""`--stream`: write audio to a pipe while it is generated."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from toccata.audio.waveform import Waveform
from toccata.cli.outputs import is_stdout
from toccata.cli.places import rescued, write_out
from toccata.cli.report import interruptible, lines, say, terminable
from toccata.errors import AudioError, InputError

if TYPE_CHECKING:
    from toccata.cli.session import Stream

LEVELS = ("loudness", "rms", "clip")


def check_target(target: str, strategy: str) -> None:
    """Check the target and the level of a stream.

    Raises:
        InputError: If the target is not stdout, stdout is closed or a terminal, or the level needs
            the whole clip.
    """
    if not is_stdout(target):
        raise InputError("stream", target, "it may only be -, for stdout; --output names files")
    if strategy not in LEVELS:
        allowed = f"a stream does not know its peak beforehand: use {', '.join(LEVELS)}"
        raise InputError("normalization", strategy, allowed)
    if sys.stdout is None:
        raise InputError("stream", target, "stdout is closed: send it to a file or a pipe")
    if sys.stdout.isatty():
        raise InputError("stream", target, "stdout is a terminal: pipe it, as in | ffplay -")


def stream_to_stdout(stream: Stream, strategy: str, *, headerless: bool) -> None:
    """Write a stream as 16-bit wav, or as samples without a header.

    Args:
        stream: The audio, not normalized yet.
        strategy: Its normalization, one of LEVELS.
        headerless: Whether the wav header is omitted.

    Raises:
        AudioError: If stdout cannot be written; the message names a file with the audio so far.
    """
    from toccata.audio.leveller import StreamLeveller
    from toccata.audio.stream_wav import to_pcm16

    leveller, duration_s = None, 0.0
    sent = bytearray()
    with terminable(), interruptible("streaming"), lines("streaming"):
        for chunk in stream.chunks:
            if leveller is None:
                leveller = StreamLeveller(strategy, chunk.sample_rate_hz)
                send = partial(_send, sent=sent, form=(chunk.sample_rate_hz, chunk.channels))
                header = b"" if headerless else _header(stream, chunk)
            send(to_pcm16(leveller.push(chunk.samples)), header=header)
            header = b""
            duration_s += chunk.duration_s
        if leveller is not None:
            send(to_pcm16(leveller.finish()))
    say(f"{duration_s:.2f} s of music")


def _send(pcm: bytes, *, sent: bytearray, form: tuple[int, int], header: bytes = b"") -> None:
    """Write `header` and `pcm`, and keep `pcm` in `sent`, so that a full disk loses nothing.

    Raises:
        AudioError: If stdout cannot be written to.
        BrokenPipeError: If its reader has gone, as a player that was closed.
    """
    sent += pcm
    try:
        write_out(header + pcm)  # the player is to hear it now
    except BrokenPipeError:
        raise
    except OSError as error:
        raise AudioError(_saved(bytes(sent), form, error.strerror or str(error))) from error


def _saved(pcm: bytes, form: tuple[int, int], reason: str) -> str:
    """Save the music so far as a wav file elsewhere, and return the sentence about it."""
    from toccata.audio.stream_wav import wav_header

    problem = f"stdout: cannot be written ({reason}): make room there, or stream to another place"
    if not pcm:
        return problem
    data = wav_header(*form, data_bytes=len(pcm)) + pcm
    return rescued(problem, "toccata.wav", data, what="the music so far").problem


def _header(stream: Stream, first: Waveform) -> bytes:
    """Return a header with the length of the stream; a continuation includes its first chunk."""
    from toccata.audio.stream_wav import MAX_DATA_BYTES, wav_header

    rate = first.sample_rate_hz
    frames = round(stream.new_s * rate) + (first.samples.shape[1] if stream.continues else 0)
    size = frames * first.channels * 2
    return wav_header(rate, first.channels, data_bytes=size if size <= MAX_DATA_BYTES else None)
