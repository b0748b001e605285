"""EnCodec (Défossez et al. 2022): SEANet around a residual quantiser, non-causal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from toccata.codecs.base import Codec, OnBlock
from toccata.codecs.quantizer import ResidualQuantizer
from toccata.codecs.seanet import Decoder, Encoder, SeanetConfig
from toccata.codecs.streaming import Windowed, blocks
from toccata.config_limits import check_limits
from toccata.errors import CheckpointError

if TYPE_CHECKING:
    from toccata.codecs.compiled_seanet import CompiledEncoder, Networks

ENCODE_BLOCK_FRAMES = 250
DECODE_BLOCK_FRAMES = 250
# The receptive field of the layers after the decoder's LSTM is 2.3 frames to either side, that of
# the layers before the encoder's LSTM 0.8; that of the latent convolutions is half their kernel.
SYNTHESIS_CONTEXT_FRAMES = 3
ANALYSIS_CONTEXT_FRAMES = 2


@dataclass(frozen=True)
class EncodecConfig:
    """The shape of an EnCodec; the defaults are those of MusicGen's."""

    sample_rate_hz: int = 32000
    codebooks: int = 4
    card: int = 2048
    seanet: SeanetConfig = field(default_factory=SeanetConfig)

    def __post_init__(self) -> None:
        """Raises CheckpointError for numbers that are not supported."""
        check_limits(self)
        if self.seanet.hop > self.sample_rate_hz:
            raise CheckpointError(
                f"ratios {self.seanet.ratios} make less than one frame a second of "
                f"{self.sample_rate_hz} Hz"
            )


class Encodec(Codec, nn.Module):
    """An EnCodec that encodes and decodes clips of any length in blocks.

    The result is the same as without blocks. `compiled` has the networks on compiled kernels, if
    `compile_networks` was called.
    """

    def __init__(self, cfg: EncodecConfig) -> None:
        nn.Module.__init__(self)
        self.cfg = cfg
        self.sample_rate_hz = cfg.sample_rate_hz
        self.channels = cfg.seanet.channels
        self.codebooks = cfg.codebooks
        self.card = cfg.card
        self.hop = cfg.seanet.hop
        self.encoder = Encoder(cfg.seanet)
        self.decoder = Decoder(cfg.seanet)
        self.quantizer = ResidualQuantizer(cfg.codebooks, cfg.card, cfg.seanet.dimension)
        self.compiled: Networks | None = None

    def compile_networks(self, *, half: bool) -> None:
        """Use compiled kernels on the CPU if they support this codec; weights must then not change.

        Args:
            half: Whether the decoder may round to bfloat16. Its error on music is then 50 dB below
                the audio with trained weights, and 42 to 46 dB with random ones, whose errors
                cancel less. The encoder does not round: its codes are those of the modules.
        """
        from toccata.codecs.compiled_seanet import Networks

        self.compiled = Networks.of(self.encoder, self.decoder, self.cfg.seanet, half)

    @torch.inference_mode()
    def encode(self, audio: Tensor, on_block: OnBlock | None = None) -> Tensor:
        encoder = self.encoder if self.compiled is None else self.compiled.encoder
        return self.quantizer.encode(encoder.summarize(self._analyze(encoder, audio, on_block)))

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> Tensor:
        stream = EncodecStream(self)
        pieces = [
            stream.run(codes[..., part]) for part in blocks(codes.shape[-1], DECODE_BLOCK_FRAMES)
        ]
        return torch.cat([*pieces, stream.end()], -1)

    def stream(self) -> EncodecStream:
        return EncodecStream(self)

    def _analyze(
        self, encoder: Encoder | CompiledEncoder, audio: Tensor, on_block: OnBlock | None
    ) -> Tensor:
        context = ANALYSIS_CONTEXT_FRAMES
        frames = -(-audio.shape[-1] // self.hop)
        pieces = []
        for part in blocks(frames, ENCODE_BLOCK_FRAMES):
            if on_block is not None:
                on_block()
            first = max(part.start - context, 0)
            window = audio[..., first * self.hop : (part.stop + context) * self.hop]
            pieces.append(encoder.analyze(window)[..., part.start - first : part.stop - first])
        return torch.cat(pieces, -1)


class EncodecStream:
    """A streaming decoder: the LSTM keeps its state, and convolutions run in windows."""

    def __init__(self, codec: Encodec) -> None:
        self._codec = codec
        self._decoder: Any = codec.decoder if codec.compiled is None else codec.compiled.decoder
        decoder, shape = self._decoder, codec.cfg.seanet
        self._enter = Windowed(decoder.enter, shape.kernel // 2, shape.inner_width)
        self._synthesize = Windowed(
            decoder.synthesize, SYNTHESIS_CONTEXT_FRAMES, codec.channels, codec.hop
        )
        self._state: Any = None

    def push(self, codes: Tensor) -> Tensor:
        return self.run(codes[None])[0]

    def finish(self) -> Tensor:
        return self.end()[0]

    @torch.inference_mode()
    def run(self, codes: Tensor) -> Tensor:
        """Do `push` for a batch: codes [B, K, t] to audio [B, C, n]."""
        return self._advance(self._enter.push(self._codec.quantizer.decode(codes)))

    @torch.inference_mode()
    def end(self) -> Tensor:
        """Do `finish` for a batch."""
        return torch.cat([self._advance(self._enter.finish()), self._synthesize.finish()], -1)

    def _advance(self, features: Tensor) -> Tensor:
        if features.shape[-1] > 0:
            features, self._state = self._decoder.lstm.step(features, self._state)
        return self._synthesize.push(features)
