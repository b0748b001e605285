"""The interface of codecs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from torch import Tensor

OnBlock = Callable[[], None]


class StreamDecoder(Protocol):
    """Decodes codes as they arrive; the concatenated output equals `Codec.decode` of them all."""

    def push(self, codes: Tensor) -> Tensor:
        """Take codes [K, t] and return the audio [C, n] that is final by now (n may be 0)."""
        ...

    def finish(self) -> Tensor:
        """Return the audio [C, n] that was held back for right context."""
        ...


class Codec(ABC):
    """A neural codec with a fixed frame rate and K codebooks of `card` codes each."""

    sample_rate_hz: int
    channels: int
    codebooks: int
    card: int
    hop: int
    """Samples per frame."""

    @property
    def frame_rate_hz(self) -> float:
        return self.sample_rate_hz / self.hop

    @abstractmethod
    def encode(self, audio: Tensor, on_block: OnBlock | None = None) -> Tensor:
        """Audio [B, C, N] at the codec's rate to codes [B, K, T] int64, T = ceil(N / hop).

        `on_block` is called before each block of a long clip; what it raises ends the work.
        """

    @abstractmethod
    def stream(self) -> StreamDecoder:
        """A decoder for one clip whose codes arrive piece by piece."""

    @abstractmethod
    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, K, T] to audio [B, C, T * hop] float32; memory grows only with the output."""
