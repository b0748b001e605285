"""All figures of one evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from recipes.mini.evaluation.guidance import Guided


@dataclass(frozen=True)
class Report:
    """Rates are 0 to 1. `ceiling`: the same measures on the songs themselves; no model can be
    expected to reach more, because the measures err too.

    tempo_accuracy: within 4 %, octaves forgiven. key_accuracy: tonic and mode;
    key_scale_accuracy: or a relative key. drums_accuracy: asked for and heard, or neither.
    instrument_accuracy: the family of the instrument that leads. genre_accuracy: by the
    tagger, as instruments and drums are.
    chroma_right, chroma_wrong: frames that agree with the melody given, and with another one.
    continuation_...: of what is carried on, against the facts of its song.
    frechet_ratio: see `frechet.Distances`; frechet_codec_ratio: of songs after the codec.
    steady_accuracy: minutes without a hole, a loop or a drift of more than 2 LU.
    seam, guidance, frechet, steady: what is behind those figures.
    unhealthy: clips that are silent, clipped or looping on one sound.
    by_chance: the same clips held against what the other clips were asked for. A model that
    heeds nothing reaches this.
    tagger: what the tagger and the ear for keys get right of held-out songs.
    clips: how many each was measured on. seconds_made: of audio, for all of it.
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
