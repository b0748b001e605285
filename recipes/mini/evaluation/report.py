"""All metrics of one evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from recipes.mini.evaluation.guidance import Guided


@dataclass(frozen=True)
class Report:
    """Accuracies are 0 to 1. `ceiling`: the real-data upper bound, the same metrics on the songs,
    which is below 1 because the estimators err too.

    tempo_accuracy: within 4 %, octaves forgiven. key_accuracy: tonic and mode;
    key_scale_accuracy: or a relative key. drums_accuracy: requested and detected, or neither.
    instrument_accuracy: the family of the instrument that leads. genre_accuracy: by the
    tagger, as instruments and drums are.
    chroma_right, chroma_wrong: frames that agree with the melody, and with another one.
    continuation_...: of continuations, against the facts of their songs.
    frechet_ratio: see `tagger_frechet.Distances`; frechet_codec_ratio: of songs after the codec.
    steady_accuracy: minutes without silence, a loop or a drift of more than 2 LU.
    seam, guidance, frechet, steady: details of those metrics.
    unhealthy: how many clips are degenerate: silent, clipped or looping.
    by_chance: the chance level, the same clips against the captions of other clips.
    tagger: accuracies of the tagger and the key classifier on held-out songs.
    clips: how many each was measured on. seconds_made: of generated audio.
    """

    model: str
    guidance_used: float
    tempo_accuracy: float
    key_accuracy: float
    key_scale_accuracy: float
    drums_accuracy: float
    instrument_accuracy: float
    genre_accuracy: float
    chroma_right: float
    chroma_wrong: float
    continuation_key_accuracy: float
    continuation_key_scale_accuracy: float
    continuation_tempo_accuracy: float
    frechet_ratio: float
    frechet_codec_ratio: float
    steady_accuracy: float
    seam: Mapping[str, Any]
    guidance: Mapping[str, Guided]
    frechet: Mapping[str, float]
    steady: Mapping[str, float]
    codec_si_sdr_db: float
    codec_mel_l1: float
    lm_loss_by_codebook: tuple[float, ...]
    unhealthy: int
    clips: Mapping[str, int]
    seeds: Mapping[str, int]
    seconds_made: float
    tagger: Mapping[str, Mapping[str, float]]
    ceiling: Mapping[str, float] = field(default_factory=dict)
    by_chance: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
