"""The resampling filter with which audiocraft's models were trained.

It is a sinc with a cutoff a little below the lower of the two Nyquist frequencies, under a squared
cosine window (J. O. Smith, "Digital Audio Resampling Home Page"). The codes of a style are the
nearest codebook entries: with another filter, even a better one, some of them change. The
parameters, and float32 for the taps, are those of julius, which audiocraft uses.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ZERO_CROSSINGS = 24
ROLLOFF = 0.945
MAX_TAPS = 1 << 24
"""The limit for all phases together, 64 MiB. Only rates without a common divisor need more."""


def sinc_filters(source: int, target: int) -> Tensor:
    """Compute the filter of each output phase.

    A block of `source` inputs has `target` outputs; output i is at i / target of the block. The
    taps of each filter begin `reach` inputs before the block, and sum to 1.

    Args:
        source: The input rate, divided by the common divisor.
        target: The output rate, divided by the common divisor.

    Returns:
        [target, K] float32.
    """
    cutoff = ROLLOFF * min(source, target)
    at = torch.arange(-reach(source, target), reach(source, target) + source) / source
    after = torch.arange(target) / target
    crossings = ((at - after[:, None]) * cutoff).clamp(-ZERO_CROSSINGS, ZERO_CROSSINGS)
    window = torch.cos(crossings / ZERO_CROSSINGS * math.pi / 2).square()
    taps = torch.sinc(crossings) * window
    return taps / taps.sum(1, keepdim=True)


def reach(source: int, target: int) -> int:
    """Return the number of inputs to either side that a filter uses."""
    return math.ceil(ZERO_CROSSINGS * source / (ROLLOFF * min(source, target)))


def can_resample(from_hz: int, to_hz: int) -> bool:
    """Return whether the filters of all phases are within MAX_TAPS."""
    source, target = _reduced(from_hz, to_hz)
    return target * (source + 2 * reach(source, target)) <= MAX_TAPS


def sinc_resample(samples: Tensor, from_hz: int, to_hz: int) -> Tensor:
    """Resample [..., N] -> [..., N * to_hz // from_hz]; the first and last samples are repeated."""
    if from_hz == to_hz:
        return samples
    source, target = _reduced(from_hz, to_hz)
    length, around = samples.shape[-1], reach(source, target)
    rows = samples.reshape(-1, 1, length)
    padded = F.pad(rows, (around, around + source), mode="replicate")
    phases = F.conv1d(padded, sinc_filters(source, target)[:, None].to(rows), stride=source)
    output = phases.transpose(1, 2).reshape(*samples.shape[:-1], -1)
    return output[..., : length * target // source]


def _reduced(from_hz: int, to_hz: int) -> tuple[int, int]:
    common = math.gcd(from_hz, to_hz)
    return from_hz // common, to_hz // common
