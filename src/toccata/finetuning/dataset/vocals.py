"""Music without its singer (extra `stems`)."""

from __future__ import annotations

import torch

from toccata.audio.transforms import resample, to_channels
from toccata.audio.waveform import Waveform
from toccata.conditioners.stems import Separator

VOCALS = "vocals"


def without_vocals(mix: Waveform, separator: Separator) -> Waveform:
    """All stems but the vocals [C, N], at the separator's rate and channels."""
    form = resample(to_channels(mix, separator.channels), separator.sample_rate_hz)
    stems = separator.separate(torch.from_numpy(form.samples))
    kept = [stem for name, stem in zip(separator.sources, stems, strict=True) if name != VOCALS]
    return Waveform(torch.stack(kept).sum(dim=0).cpu().numpy(), separator.sample_rate_hz)
