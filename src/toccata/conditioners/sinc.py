"""The resampling filter that audiocraft's models were trained with.

A sinc, cut off a little below the lower of the two Nyquist frequencies, under a squared cosine
(J. O. Smith, "Digital Audio Resampling Home Page"). Codes of a style are decisions: with another
filter, even a better one, some of them come out otherwise. Its parameters, and float32 for its
taps, are those of julius, which audiocraft uses.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ZERO_CROSSINGS = 24
ROLLOFF = 0.945
MAX_TAPS = 1 << 24
"""Of all phases together: 64 MiB. Only rates without a common divisor need more."""


def sinc_filters(source: int, target: int) -> Tensor:
    """The filter of each output phase [target, K] for rates without a common divisor.

    Phase i of a block of `target` outputs lies i / target of a block of `source` inputs after its
    start; the K taps begin `reach` inputs before that start. Each filter sums to 1.
    """
    cutoff = ROLLOFF * min(source, target)
    at = torch.arange(-reach(source, target), reach(source, target) + source) / source
    after = torch.arange(target) / target
    crossings = ((at - after[:, None]) * cutoff).clamp(-ZERO_CROSSINGS, ZERO_CROSSINGS)
    window = torch.cos(crossings / ZERO_CROSSINGS * math.pi / 2).square()
    taps = torch.sinc(crossings) * window
    return taps / taps.sum(1, keepdim=True)


def reach(source: int, target: int) -> int:
    """How many inputs a filter looks to either side."""
    return math.ceil(ZERO_CROSSINGS * source / (ROLLOFF * min(source, target)))


def can_resample(from_hz: int, to_hz: int) -> bool:
    """Whether the filters of all phases are few enough to be held."""
    source, target = _reduced(from_hz, to_hz)
    return target * (source + 2 * reach(source, target)) <= MAX_TAPS


def sinc_resample(samples: Tensor, from_hz: int, to_hz: int) -> Tensor:
    """Samples [..., N] at another rate [..., N * to_hz // from_hz]; the ends are held."""
    if from_hz == to_hz:
        return samples
    source, target = _reduced(from_hz, to_hz)
    length, around = samples.shape[-1], reach(source, target)
    rows = samples.reshape(-1, 1, length)
    padded = F.pad(rows, (around, around + source), mode="replicate")
    phases = F.conv1d(padded, sinc_filters(source, target)[:, None].to(rows), stride=source)
    made = phases.transpose(1, 2).reshape(*samples.shape[:-1], -1)
    return made[..., : length * target // source]


def _reduced(from_hz: int, to_hz: int) -> tuple[int, int]:
    common = math.gcd(from_hz, to_hz)
    return from_hz // common, to_hz // common
