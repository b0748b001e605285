"""The key classifier: a network whose scores shift with the transposition of its input.

All convolutions are circular over the pitch classes, so that music a semitone higher shifts the
scores of all keys by one, and all tonics share their weights (as in Korzeniowski and Widmer 2018,
"Genre-agnostic key classification with convolutional neural networks", where pitches are linear).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from toccata.analysis.pitch_registers import REGISTERS

_MODES = 2  # major and minor


class CircularConv(nn.Module):
    """A convolution that is circular over pitch classes, with batch norm and ReLU.

    [B, C, 12, T] to [B, D, 12, T].
    """

    def __init__(self, channels: int, out: int, classes: int, frames: int) -> None:
        super().__init__()
        self.classes, self.frames = classes, frames
        self.conv = nn.Conv2d(channels, out, (classes, frames), bias=False)
        self.norm = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        around = F.pad(x, (0, 0, 0, self.classes - 1), mode="circular")
        around = F.pad(around, (self.frames // 2, self.frames // 2))
        activations: Tensor = self.norm(self.conv(around)).relu()
        return activations


class KeyClassifier(nn.Module):
    """A network from registers [B, REGISTERS, 12, T] to log probabilities [B, 24] of KEYS."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.width = width
        self.notes = CircularConv(REGISTERS, width, 12, 3)
        self.chords = CircularConv(width, width, 5, 5)
        self.phrases = CircularConv(width, width, 12, 5)
        self.dropout = nn.Dropout(0.2)
        self.whole = CircularConv(2 * width, 2 * width, 12, 1)
        self.modes = nn.Conv2d(2 * width, _MODES, 1)

    def forward(self, registers: Tensor) -> Tensor:
        x = F.avg_pool2d(self.notes(registers), (1, 2), ceil_mode=True)
        x = self.phrases(self.chords(x))
        over_time = torch.cat([x.mean(-1, keepdim=True), x.amax(-1, keepdim=True)], 1)
        scores: Tensor = self.modes(self.whole(self.dropout(over_time)))
        return scores.flatten(1).log_softmax(-1)
