"""A stereo codec: a mono codec for each channel, with codebooks in the order 1L 1R 2L 2R ..."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toccata.codecs.base import Codec, OnBlock, StreamDecoder


class StereoCodec(Codec, nn.Module):
    """Codes two channels with one mono codec; K is twice the mono codec's."""

    channels = 2

    def __init__(self, mono: Codec) -> None:
        nn.Module.__init__(self)
        self.mono = mono
        self.sample_rate_hz = mono.sample_rate_hz
        self.codebooks = 2 * mono.codebooks
        self.card = mono.card
        self.hop = mono.hop

    def encode(self, audio: Tensor, on_block: OnBlock | None = None) -> Tensor:
        sides = [self.mono.encode(side, on_block) for side in (audio[:, :1], audio[:, 1:])]
        return torch.stack(sides, 2).flatten(1, 2)

    def decode(self, codes: Tensor) -> Tensor:
        return torch.cat([self.mono.decode(codes[:, side::2]) for side in (0, 1)], 1)

    def stream(self) -> StreamDecoder:
        return StereoStream(self.mono)


class StereoStream:
    """A streaming decoder of two channels."""

    def __init__(self, mono: Codec) -> None:
        self._sides = [mono.stream(), mono.stream()]

    def push(self, codes: Tensor) -> Tensor:
        return torch.cat([side.push(codes[i::2]) for i, side in enumerate(self._sides)])

    def finish(self) -> Tensor:
        return torch.cat([side.finish() for side in self._sides])
