"""Agreement of a clip with its reference in tempo, key, notes and loudness, without weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from toccata.analysis.key import Key, estimate_key, same_scale
from toccata.analysis.tempo import estimate_bpm, tempo_agrees
from toccata.audio.loudness import loudness_lufs
from toccata.audio.waveform import Waveform
from toccata.evaluation.chroma import chroma_agreement, loudest_classes


@dataclass(frozen=True, eq=False)
class Analysis:
    """The estimates of one clip that are compared.

    bpm: 0 for audio without onsets. classes: the loudest pitch class of each frame [F].
    """

    bpm: float
    key: Key
    loudness_lufs: float
    classes: Tensor


@dataclass(frozen=True)
class Agreement:
    """Accuracies of clips against their references, 0 to 1.

    Attributes:
        pairs: How many pairs were compared.
        tempo: Share within 4 %, of the tempo or an octave of it.
        key: Share of the same or the relative key.
        key_exact: Share of the same tonic and mode.
        chroma: Share of frames of 128 ms with the reference's loudest pitch class.
        loudness_difference_db: The mean absolute difference, in LU; None if all are silent.
        by_chance: The chance level: the same shares against the next pair's reference.
    """

    pairs: int
    tempo: float
    key: float
    key_exact: float
    chroma: float
    loudness_difference_db: float | None
    by_chance: dict[str, float] = field(default_factory=dict)


def analyze(waveform: Waveform) -> Analysis:
    """Estimate what `agreement` compares."""
    samples, rate = waveform.samples, waveform.sample_rate_hz
    return Analysis(
        bpm=estimate_bpm(samples, rate),
        key=estimate_key(samples, rate),
        loudness_lufs=loudness_lufs(waveform),
        classes=loudest_classes(samples, rate),
    )


def agreement(clips: Sequence[Analysis], references: Sequence[Analysis]) -> Agreement:
    """Compare clips with their references.

    Args:
        clips: One at least.
        references: As many, in the same order.
    """
    others = [*references[1:], references[0]]
    return Agreement(
        pairs=len(clips),
        **_shares(clips, references),
        loudness_difference_db=_loudness_difference(clips, references),
        by_chance=_shares(clips, others) if len(clips) > 1 else {},
    )


def _shares(clips: Sequence[Analysis], references: Sequence[Analysis]) -> dict[str, float]:
    both = list(zip(clips, references, strict=True))
    return {
        "tempo": _mean([_same_tempo(one.bpm, other.bpm) for one, other in both]),
        "key": _mean([same_scale(one.key, other.key) for one, other in both]),
        "key_exact": _mean([one.key == other.key for one, other in both]),
        "chroma": _mean([chroma_agreement(one.classes, other.classes) for one, other in both]),
    }


def _same_tempo(clip_bpm: float, reference_bpm: float) -> bool:
    if clip_bpm == 0 or reference_bpm == 0:
        return clip_bpm == reference_bpm
    return tempo_agrees(reference_bpm, clip_bpm)


def _loudness_difference(clips: Sequence[Analysis], references: Sequence[Analysis]) -> float | None:
    """The mean of pairs without silence; None if there is none."""
    distances = [
        abs(one.loudness_lufs - other.loudness_lufs)
        for one, other in zip(clips, references, strict=True)
    ]
    finite = [distance for distance in distances if math.isfinite(distance)]
    return _mean(finite) if finite else None


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4)
