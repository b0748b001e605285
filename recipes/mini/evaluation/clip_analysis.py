"""The analysis of a clip, done once for all metrics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from toccata.analysis.key import Key, estimate_key
from toccata.analysis.spectrum import RATE_HZ, Samples
from toccata.analysis.tagger import Tagger
from toccata.analysis.tempo import estimate_bpm


@dataclass(frozen=True, eq=False)
class ClipAnalysis:
    """Estimates of one clip: `family` of the lead, `embedding` [64] of the tagger."""

    bpm: float
    key: Key
    genre: str
    family: str
    drums: bool
    embedding: Tensor


def analyze(samples: Samples, tagger: Tagger) -> ClipAnalysis:
    """Analyze samples [N] or [C, N] at RATE_HZ."""
    prediction = tagger.predict(samples, RATE_HZ)
    return ClipAnalysis(
        bpm=estimate_bpm(samples, RATE_HZ),
        key=estimate_key(samples, RATE_HZ),
        genre=prediction.genre,
        family=prediction.family,
        drums=prediction.drums,
        embedding=prediction.embedding,
    )


def analyze_all(clips: Iterable[Samples], tagger: Tagger) -> list[ClipAnalysis]:
    """Analyze each of the clips."""
    return [analyze(samples, tagger) for samples in clips]
