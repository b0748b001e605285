"""The key classifier: a network whose scores shift with the transposition of its input.

All convolutions turn around the circle of pitch classes, so that music a semitone higher moves the
scores of all keys on by one: what was learned of one tonic is known of all (as in Korzeniowski and
Widmer 2018, "Genre-agnostic key classification with convolutional neural networks", where the
pitches lie on a line).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from toccata.analysis.pitch_registers import REGISTERS

_MODES = 2  # major and minor


class Turning(nn.Module):
    """A convolution around the pitch classes and along time, with its norm and ReLU.

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
        made: Tensor = self.norm(self.conv(around)).relu()
        return made


class KeyClassifier(nn.Module):
    """Registers [B, REGISTERS, 12, T] to log probabilities [B, 24], in the order of KEYS."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.width = width
        self.notes = Turning(REGISTERS, width, 12, 3)
        self.chords = Turning(width, width, 5, 5)
        self.phrases = Turning(width, width, 12, 5)
        self.dropout = nn.Dropout(0.2)
        self.whole = Turning(2 * width, 2 * width, 12, 1)
        self.modes = nn.Conv2d(2 * width, _MODES, 1)

    def forward(self, registers: Tensor) -> Tensor:
        x = F.avg_pool2d(self.notes(registers), (1, 2), ceil_mode=True)
        x = self.phrases(self.chords(x))
        over_time = torch.cat([x.mean(-1, keepdim=True), x.amax(-1, keepdim=True)], 1)
        scores: Tensor = self.modes(self.whole(self.dropout(over_time)))
        return scores.flatten(1).log_softmax(-1)
