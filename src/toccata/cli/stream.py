"""Audio into a pipe while it is made."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from toccata.cli.report import interruptible, say
from toccata.errors import InputError
from toccata.types import Waveform

STDOUT = "-"


def check_target(target: str) -> None:
    """Raises InputError unless `target` is a standard output that goes somewhere."""
    if target != STDOUT:
        raise InputError("stream", target, "it may only be -, for stdout; --output names files")
    if sys.stdout.isatty():
        raise InputError("stream", target, "stdout is a terminal: pipe it, as in | ffplay -")


def stream_to_stdout(chunks: Iterator[Waveform], *, headerless: bool) -> None:
    """Write `chunks` as 16-bit wav, or as bare samples, as they come."""
    from toccata.audio.stream_wav import to_pcm16, wav_header

    sink, duration_s = sys.stdout.buffer, 0.0
    with interruptible("streaming"):
        for chunk in chunks:
            if not duration_s and not headerless:
                sink.write(wav_header(chunk.sample_rate_hz, chunk.channels))
            sink.write(to_pcm16(chunk.samples))
            sink.flush()  # the player is to hear it now
            duration_s += chunk.duration_s
    say(f"{duration_s:.2f} s of music")
