"""Encode mp3 as a stream that can be played from its first frame on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DEFAULT_BITRATE_KBPS = 192


class Mp3Stream:
    """Encodes a stream of samples, with a delay of some hundredths of a second.

    Args:
        sample_rate_hz: A rate that mp3 supports.
        channels: 1 or 2.
        bitrate_kbps: The bitrate.
    """

    def __init__(
        self, sample_rate_hz: int, channels: int, bitrate_kbps: int = DEFAULT_BITRATE_KBPS
    ) -> None:
        import av

        self._layout = "mono" if channels == 1 else "stereo"
        self._rate_hz = sample_rate_hz
        encoder: Any = av.CodecContext.create("libmp3lame", "w")
        encoder.sample_rate = sample_rate_hz
        encoder.layout = self._layout
        encoder.format = "fltp"
        encoder.bit_rate = bitrate_kbps * 1000
        encoder.open()
        self._encoder = encoder
        self._left: Any = av.AudioFifo()

    def push(self, samples: NDArray[np.float32]) -> bytes:
        """Take samples [C, n], full scale at +-1, and return the bytes that are complete."""
        import av

        clipped = np.ascontiguousarray(np.clip(samples, -1.0, 1.0))
        frame: Any = av.AudioFrame.from_ndarray(clipped, "fltp", self._layout)
        frame.sample_rate = self._rate_hz
        self._left.write(frame)
        return b"".join(
            self._encoded(whole) for whole in self._left.read_many(self._encoder.frame_size)
        )

    def finish(self) -> bytes:
        """Return the rest of the bytes."""
        last = self._left.read(partial=True)
        return (b"" if last is None else self._encoded(last)) + self._encoded(None)

    def _encoded(self, frame: Any) -> bytes:
        if frame is not None:
            frame.pts = None
        return b"".join(bytes(packet) for packet in self._encoder.encode(frame))
