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
class Heard:
    """What is held against each other. bpm 0: nothing ever starts; classes: [F]."""

    bpm: float
    key: Key
    loudness_lufs: float
    classes: Tensor


@dataclass(frozen=True)
class Agreement:
    """Shares of `pairs` that agree, 0 to 1; loudness_difference_db: their mean distance, in LU.

    tempo: within 4 %, octaves forgiven. key: the same scale, key_exact: tonic and mode. chroma:
    frames of 128 ms with the reference's loudest pitch class. by_chance: the same shares against
    the next pair's reference; a model that heeds nothing reaches them.
    """

    pairs: int
    tempo: float
    key: float
    key_exact: float
    chroma: float
    loudness_difference_db: float | None
    by_chance: dict[str, float] = field(default_factory=dict)


def hear(waveform: Waveform) -> Heard:
    samples, rate = waveform.samples, waveform.sample_rate_hz
    return Heard(
        bpm=estimate_bpm(samples, rate),
        key=estimate_key(samples, rate),
        loudness_lufs=loudness_lufs(waveform),
        classes=loudest_classes(samples, rate),
    )


def agreement(made: Sequence[Heard], references: Sequence[Heard]) -> Agreement:
    """Of clips and their references, in the same order, one at least."""
    others = [*references[1:], references[0]]
    return Agreement(
        pairs=len(made),
        **_shares(made, references),
        loudness_difference_db=_loudness_difference(made, references),
        by_chance=_shares(made, others) if len(made) > 1 else {},
    )


def _shares(made: Sequence[Heard], references: Sequence[Heard]) -> dict[str, float]:
    both = list(zip(made, references, strict=True))
    return {
        "tempo": _mean([_same_tempo(one.bpm, other.bpm) for one, other in both]),
        "key": _mean([same_scale(one.key, other.key) for one, other in both]),
        "key_exact": _mean([one.key == other.key for one, other in both]),
        "chroma": _mean([chroma_agreement(one.classes, other.classes) for one, other in both]),
    }


def _same_tempo(made_bpm: float, reference_bpm: float) -> bool:
    if made_bpm == 0 or reference_bpm == 0:
        return made_bpm == reference_bpm
    return tempo_agrees(reference_bpm, made_bpm)


def _loudness_difference(made: Sequence[Heard], references: Sequence[Heard]) -> float | None:
    """Silence is no distance from anything."""
    distances = [
        abs(one.loudness_lufs - other.loudness_lufs)
        for one, other in zip(made, references, strict=True)
    ]
    finite = [distance for distance in distances if math.isfinite(distance)]
    return _mean(finite) if finite else None


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4)
