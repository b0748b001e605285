"""Audio into a pipe while it is made."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from toccata.cli.outputs import is_stdout
from toccata.cli.report import interruptible, lines, say
from toccata.errors import InputError
from toccata.types import Waveform

if TYPE_CHECKING:
    from toccata.cli.session import Stream

LEVELS = ("loudness", "rms", "clip")


def check_target(target: str, strategy: str) -> None:
    """Raises InputError unless `target` is a standard output that goes somewhere, and the level
    one that can be held without knowing the whole clip."""
    if not is_stdout(target):
        raise InputError("stream", target, "it may only be -, for stdout; --output names files")
    if strategy not in LEVELS:
        allowed = f"a stream does not know its peak beforehand: use {', '.join(LEVELS)}"
        raise InputError("normalization_strategy", strategy, allowed)
    if sys.stdout is None:
        raise InputError("stream", target, "stdout is closed: send it to a file or a pipe")
    if sys.stdout.isatty():
        raise InputError("stream", target, "stdout is a terminal: pipe it, as in | ffplay -")


def stream_to_stdout(stream: Stream, strategy: str, *, headerless: bool) -> None:
    """Write `stream` as 16-bit wav, or as bare samples, as it comes.

    Args:
        stream: The music, not levelled yet.
        strategy: Its normalization_strategy, one of LEVELS.
        headerless: Whether the wav header is left out.
    """
    from toccata.audio.leveller import StreamLeveller
    from toccata.audio.stream_wav import to_pcm16

    leveller, duration_s = None, 0.0
    with interruptible("streaming"), lines("streaming"):
        for chunk in stream.chunks:
            if leveller is None:
                leveller = StreamLeveller(strategy, chunk.sample_rate_hz)
                if not headerless:
                    _send(_header(stream, chunk))
            _send(to_pcm16(leveller.push(chunk.samples)))
            duration_s += chunk.duration_s
        if leveller is not None:
            _send(to_pcm16(leveller.finish()))
    say(f"{duration_s:.2f} s of music")


def _send(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()  # the player is to hear it now


def _header(stream: Stream, first: Waveform) -> bytes:
    """With the length of all that comes; the first chunk of a continuation is what it continues."""
    from toccata.audio.stream_wav import MAX_DATA_BYTES, wav_header

    rate = first.sample_rate_hz
    frames = round(stream.new_s * rate) + (first.samples.shape[1] if stream.continues else 0)
    size = frames * first.channels * 2
    return wav_header(rate, first.channels, data_bytes=size if size <= MAX_DATA_BYTES else None)
