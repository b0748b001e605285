"""What can be heard in a clip, heard once for all questions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from toccata.analysis.key import Key, estimate_key
from toccata.analysis.spectrum import RATE_HZ, Samples
from toccata.analysis.tagger import Tagger
from toccata.analysis.tempo import estimate_bpm


@dataclass(frozen=True, eq=False)
class Heard:
    """Of one clip; `family` is that of the leading instrument, `embedding` [64] the tagger's."""

    bpm: float
    key: Key
    genre: str
    family: str
    drums: bool
    embedding: Tensor


def hear(samples: Samples, tagger: Tagger) -> Heard:
    """Samples [N] or [C, N] at RATE_HZ."""
    prediction = tagger.predict(samples, RATE_HZ)
    return Heard(
        bpm=estimate_bpm(samples, RATE_HZ),
        key=estimate_key(samples, RATE_HZ),
        genre=prediction.genre,
        family=prediction.family,
        drums=prediction.drums,
        embedding=prediction.embedding,
    )


def hear_all(clips: Iterable[Samples], tagger: Tagger) -> list[Heard]:
    return [hear(samples, tagger) for samples in clips]
