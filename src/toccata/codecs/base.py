"""The interface of codecs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from torch import Tensor

OnBlock = Callable[[], None]


class StreamDecoder(Protocol):
    """Decodes codes as they arrive; the concatenated output equals `Codec.decode` of all codes."""

    def push(self, codes: Tensor) -> Tensor:
        """Take codes [K, t] and return the audio [C, n] that is final now (n may be 0)."""
        ...

    def finish(self) -> Tensor:
        """Return the rest of the audio [C, n], which was delayed until its right context."""
        ...


class Codec(ABC):
    """A neural codec with a fixed frame rate and K codebooks of `card` codes each.

    Attributes:
        sample_rate_hz: The sample rate of its audio.
        channels: The number of channels C.
        codebooks: The number of codebooks K.
        card: The number of codes in a codebook.
        hop: The number of samples per frame.
    """

    sample_rate_hz: int
    channels: int
    codebooks: int
    card: int
    hop: int

    @property
    def frame_rate_hz(self) -> float:
        return self.sample_rate_hz / self.hop

    @abstractmethod
    def encode(self, audio: Tensor, on_block: OnBlock | None = None) -> Tensor:
        """Encode audio.

        Args:
            audio: [B, C, N] at the codec's rate.
            on_block: Called before each block of a long clip; an exception that it raises ends the
                encoding.

        Returns:
            Codes [B, K, T] int64, T = ceil(N / hop).
        """

    @abstractmethod
    def stream(self) -> StreamDecoder:
        """Create a decoder for one clip whose codes arrive in pieces."""

    @abstractmethod
    def decode(self, codes: Tensor) -> Tensor:
        """Decode codes [B, K, T] to audio [B, C, T * hop] float32.

        Apart from the output, memory does not grow with T.
        """
