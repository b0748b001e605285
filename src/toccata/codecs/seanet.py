"""SEANet: the convolutional encoder and decoder of EnCodec (Défossez et al. 2022, section 3.1).

Layers have the same indices as in the published checkpoints, so that only wrapper names are removed
from a checkpoint's keys. Weight norm is fused when weights are loaded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from toccata.config_limits import check_limits
from toccata.errors import CheckpointError

PAD_MODES = ("constant", "reflect", "replicate")


@dataclass(frozen=True)
class SeanetConfig:
    """The shape of SEANet, by audiocraft's names; the defaults are those of MusicGen's codec."""

    channels: int = 1
    filters: int = 64
    dimension: int = 128
    ratios: tuple[int, ...] = (8, 5, 4, 4)
    kernel: int = 7
    residual_kernel: int = 3
    last_kernel: int = 7
    dilation_base: int = 2
    residual_layers: int = 1
    lstm_layers: int = 2
    compress: int = 2
    pad_mode: str = "reflect"
    true_skip: bool = True

    def __post_init__(self) -> None:
        """Raises CheckpointError for sizes and a padding that are not supported."""
        check_limits(self)
        if self.pad_mode not in PAD_MODES:
            known = ", ".join(PAD_MODES)
            raise CheckpointError(f"pad_mode is {self.pad_mode!r}, but it must be one of {known}")

    @property
    def hop(self) -> int:
        return math.prod(self.ratios)

    @property
    def inner_width(self) -> int:
        """The number of channels at the frame rate, where the LSTM is."""
        return int(self.filters * 2 ** len(self.ratios))


def pad(x: Tensor, left: int, right: int, mode: str) -> Tensor:
    """Pad the last axis; unlike in torch, inputs may be shorter than a reflected padding."""
    if mode != "reflect" or x.shape[-1] > max(left, right):
        return F.pad(x, (left, right), mode)
    missing = max(left, right) - x.shape[-1] + 1
    padded = F.pad(F.pad(x, (0, missing)), (left, right), mode)
    return padded[..., : padded.shape[-1] - missing]


class Conv(nn.Conv1d):
    """A convolution whose output has ceil(N / stride) positions, centred on its input."""

    def __init__(
        self, fan_in: int, fan_out: int, kernel: int, *, stride: int = 1, dilation: int = 1,
        pad_mode: str = "reflect",
    ) -> None:  # fmt: skip
        super().__init__(fan_in, fan_out, kernel, stride=stride, dilation=dilation)
        self.edge_mode = pad_mode

    def forward(self, x: Tensor) -> Tensor:
        stride = self.stride[0]
        total = (self.kernel_size[0] - 1) * self.dilation[0] + 1 - stride
        extra = -x.shape[-1] % stride
        right = total // 2
        return super().forward(pad(x, total - right, right + extra, self.edge_mode))


class UpConv(nn.ConvTranspose1d):
    """A transposed convolution with N * stride outputs, trimmed on both sides."""

    def __init__(self, fan_in: int, fan_out: int, stride: int) -> None:
        super().__init__(fan_in, fan_out, 2 * stride, stride=stride)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        y = super().forward(x, output_size)
        total = self.kernel_size[0] - self.stride[0]
        right = total // 2
        return y[..., total - right : y.shape[-1] - right]


class Residual(nn.Module):
    """A residual block of two convolutions with ELU."""

    def __init__(self, width: int, dilation: int, cfg: SeanetConfig) -> None:
        super().__init__()
        hidden = width // cfg.compress
        self.block = nn.Sequential(
            nn.ELU(),
            Conv(width, hidden, cfg.residual_kernel, dilation=dilation, pad_mode=cfg.pad_mode),
            nn.ELU(),
            Conv(hidden, width, 1, pad_mode=cfg.pad_mode),
        )
        self.shortcut = (
            nn.Identity() if cfg.true_skip else Conv(width, width, 1, pad_mode=cfg.pad_mode)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shortcut(x) + self.block(x)
        return out


LstmState = tuple[Tensor, Tensor]


class SkipLstm(nn.Module):
    """A forward LSTM over frames, added to its input [B, D, T]; it can continue from a state."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width, layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.step(x, None)[0]

    def step(self, x: Tensor, state: LstmState | None) -> tuple[Tensor, LstmState]:
        frames = x.permute(2, 0, 1)
        y, state = self.lstm(frames, state)
        return (y + frames).permute(1, 2, 0), state


class Encoder(nn.Module):
    """The encoder: audio [B, C, N] to latents [B, dimension, ceil(N / hop)]."""

    def __init__(self, cfg: SeanetConfig) -> None:
        super().__init__()
        width = cfg.filters
        layers: list[nn.Module] = [Conv(cfg.channels, width, cfg.kernel, pad_mode=cfg.pad_mode)]
        for ratio in reversed(cfg.ratios):
            for j in range(cfg.residual_layers):
                layers.append(Residual(width, cfg.dilation_base**j, cfg))
            down = Conv(width, 2 * width, 2 * ratio, stride=ratio, pad_mode=cfg.pad_mode)
            layers += [nn.ELU(), down]
            width *= 2
        self.lstm_index = len(layers)
        layers += [SkipLstm(width, cfg.lstm_layers), nn.ELU()]
        layers.append(Conv(width, cfg.dimension, cfg.last_kernel, pad_mode=cfg.pad_mode))
        self.layers = nn.Sequential(*layers)

    def forward(self, audio: Tensor) -> Tensor:
        return self.summarize(self.analyze(audio))

    @property
    def lstm(self) -> SkipLstm:
        return cast(SkipLstm, self.layers[self.lstm_index])

    def analyze(self, audio: Tensor) -> Tensor:
        """Run the local part, all layers before the LSTM."""
        latents: Tensor = self.layers[: self.lstm_index](audio)
        return latents

    def summarize(self, features: Tensor) -> Tensor:
        """Run the LSTM and the projection to `dimension`."""
        latents: Tensor = self.layers[self.lstm_index :](features)
        return latents


class Decoder(nn.Module):
    """The decoder: latents [B, dimension, T] to audio [B, C, T * hop]."""

    def __init__(self, cfg: SeanetConfig) -> None:
        super().__init__()
        width = cfg.inner_width
        layers: list[nn.Module] = [
            Conv(cfg.dimension, width, cfg.kernel, pad_mode=cfg.pad_mode),
            SkipLstm(width, cfg.lstm_layers),
        ]
        for ratio in cfg.ratios:
            layers += [nn.ELU(), UpConv(width, width // 2, ratio)]
            width //= 2
            for j in range(cfg.residual_layers):
                layers.append(Residual(width, cfg.dilation_base**j, cfg))
        layers += [nn.ELU(), Conv(width, cfg.channels, cfg.last_kernel, pad_mode=cfg.pad_mode)]
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Tensor) -> Tensor:
        return self.synthesize(self.lstm(self.enter(latents)))

    @property
    def lstm(self) -> SkipLstm:
        return cast(SkipLstm, self.layers[1])

    def enter(self, latents: Tensor) -> Tensor:
        """Run the local part before the LSTM."""
        features: Tensor = self.layers[0](latents)
        return features

    def synthesize(self, features: Tensor) -> Tensor:
        """Run the local part after the LSTM, which upsamples to audio."""
        audio: Tensor = self.layers[2:](features)
        return audio


def fuse_weight_norm(gain: Tensor, direction: Tensor) -> Tensor:
    """Compute the weight of a weight-normalised layer (Salimans & Kingma 2016, equation 2)."""
    return torch._weight_norm(direction, gain, 0)
