"""`toccata eval`: what a model does with what it was asked, on songs it never heard.

Every rate stands beside the same measure on the songs themselves (`ceiling`): no model can be
expected to reach more, because the measures err too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import permutations
from typing import Any

import numpy as np
import torch

from toccata.conditioners.beats import named_beats
from toccata.evaluation import material
from toccata.evaluation.drums import has_drums
from toccata.evaluation.harmony import chroma_agreement, loudest_classes
from toccata.evaluation.health import examine
from toccata.hearing.key import estimate_key, parse_key, same_scale
from toccata.hearing.spectrum import RATE_HZ, Samples
from toccata.hearing.tempo import estimate_bpm, tempo_agrees
from toccata.lm import delay
from toccata.pipeline import Toccata
from toccata.training.corpus.render import Renderer
from toccata.training.corpus.stream import Example
from toccata.training.losses import log_mel, si_sdr_db
from toccata.types import Clip, Waveform

CLIP_S = 8.0
GIVEN_S, NEW_S = 4.0, 6.0
MEL_SCALE = (1024, 256, 80)

OnStage = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """Rates are 0 to 1. `clips`: how many each was measured on. `ceiling`: of the songs themselves.

    tempo_hit: within 4 %, octaves forgiven. drums_hit: asked for and heard, or neither.
    chroma_right, chroma_wrong: frames that agree with the melody given, and with another one.
    continuation_key_hit: same scale (a relative key counts), tempo as tempo_hit.
    continuation_key_exact: the tonic and the mode.
    unhealthy: clips that are silent, clipped or stuck on one sound.
    by_chance: the same clips held against what the other clips were asked for. A model that
    heeds nothing reaches this.
    """

    model: str
    tempo_hit: float
    drums_hit: float
    chroma_right: float
    chroma_wrong: float
    codec_si_sdr_db: float
    codec_mel_l1: float
    continuation_key_hit: float
    continuation_tempo_hit: float
    continuation_key_exact: float
    lm_loss_by_codebook: tuple[float, ...]
    unhealthy: int
    clips: dict[str, int]
    seeds: dict[str, int]
    ceiling: dict[str, float] = field(default_factory=dict)
    by_chance: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Material:
    """Held-out songs, by the question they answer."""

    tempo: Sequence[Example]
    drums: Sequence[Example]
    tonal: Sequence[Example]
    continued: Sequence[Example]

    @classmethod
    def choose(cls, clips: int, renderer: Renderer) -> Material:
        half = max(clips // 2, 1)
        with_drums = material.songs(half, CLIP_S, material.asks_for_drums, renderer)
        without = material.songs(half, CLIP_S, material.asks_for_no_drums, renderer)
        return cls(
            tempo=material.songs(clips, CLIP_S, material.names_tempo, renderer),
            drums=with_drums + without,
            tonal=material.songs(max(clips, 2), CLIP_S, material.has_key, renderer),
            continued=material.songs(clips, GIVEN_S + NEW_S, material.has_key, renderer),
        )


def evaluate(model: Toccata, clips: int = 24, on_stage: OnStage | None = None) -> Report:
    """Measure `model` with `clips` clips per question; clip i is made with seed i.

    Raises InputError without the soundfont that held-out songs are played with.
    """
    say = on_stage or (lambda _: None)
    say("playing the held-out songs")
    songs = Material.choose(clips, Renderer())
    say("tempo")
    by_tempo = make(model, songs.tempo)
    say("drums")
    by_drums = make(model, songs.drums)
    say("melody")
    by_melody = make(model, songs.tonal, follow=True)
    say("continuation")
    continued = carry_on(model, songs.continued)
    say("codec and loss")
    right, wrong = melody_rates(by_melody, [song.audio for song in songs.tonal])
    codec_si_sdr_db, codec_mel_l1 = codec_figures(model, songs.tonal)
    key_hit, carried_tempo_hit = continuation_rates(continued, songs.continued)
    timed = [clip.samples[0] for clip in by_tempo]
    made = timed + [clip.samples[0] for clip in (*by_drums, *by_melody)] + continued
    return Report(
        model=model.model.name,
        tempo_hit=tempo_rate(timed, songs.tempo),
        drums_hit=drums_rate([clip.samples[0] for clip in by_drums], songs.drums),
        chroma_right=right,
        chroma_wrong=wrong,
        codec_si_sdr_db=codec_si_sdr_db,
        codec_mel_l1=codec_mel_l1,
        continuation_key_hit=key_hit,
        continuation_tempo_hit=carried_tempo_hit,
        continuation_key_exact=exact_key_rate(continued, songs.continued),
        lm_loss_by_codebook=losses(model, songs.tonal),
        unhealthy=sum(not examine(samples, RATE_HZ).well for samples in made),
        clips={name: len(chosen) for name, chosen in vars(songs).items()} | {"all": len(made)},
        seeds={"songs_from": material.FIRST_SEED, "clips_from": 0},
        ceiling=ceiling(songs),
        by_chance={
            "tempo_hit": tempo_chance(timed, songs.tempo),
            "continuation_tempo_hit": tempo_chance(continued, songs.continued),
        },
    )


def make(model: Toccata, songs: Sequence[Example], follow: bool = False) -> list[Clip]:
    """A clip for each song's caption; `follow` gives its audio as the melody too."""
    return model.generate_batch(
        [
            {
                "prompt": song.caption,
                "duration_s": CLIP_S,
                "seed": seed,
                "melody": Waveform(song.audio[None], RATE_HZ) if follow else None,
            }
            for seed, song in enumerate(songs)
        ]
    )


def carry_on(model: Toccata, songs: Sequence[Example]) -> list[Samples]:
    """The new audio [N] after each song's beginning; nothing is said about it in words."""
    given = round(GIVEN_S * RATE_HZ)
    clips = model.generate_batch(
        [
            {
                "continue_from": Waveform(song.audio[None, :given], RATE_HZ),
                "duration_s": NEW_S,
                "seed": seed,
            }
            for seed, song in enumerate(songs)
        ]
    )
    return [clip.samples[0, given:] for clip in clips]


def tempo_rate(made: Sequence[Samples], songs: Sequence[Example]) -> float:
    return _rate(
        tempo_agrees(song.song.facts.bpm, estimate_bpm(samples, RATE_HZ))
        for samples, song in zip(made, songs, strict=True)
    )


def tempo_chance(made: Sequence[Samples], songs: Sequence[Example]) -> float:
    """How often a clip has the tempo that another one was asked for; 0 for a single clip."""
    heard_bpm = [estimate_bpm(samples, RATE_HZ) for samples in made]
    asked_bpm = [song.song.facts.bpm for song in songs]
    pairs = permutations(range(len(songs)), 2)
    hits = [tempo_agrees(asked_bpm[one], heard_bpm[other]) for one, other in pairs]
    return _rate(hits) if hits else 0.0


def drums_rate(made: Sequence[Samples], songs: Sequence[Example]) -> float:
    return _rate(
        has_drums(samples, RATE_HZ) == song.song.facts.drums
        for samples, song in zip(made, songs, strict=True)
    )


def key_rate(made: Sequence[Samples], songs: Sequence[Example]) -> float:
    return _rate(
        same_scale(parse_key(song.song.facts.key), estimate_key(samples, RATE_HZ))
        for samples, song in zip(made, songs, strict=True)
    )


def exact_key_rate(made: Sequence[Samples], songs: Sequence[Example]) -> float:
    return _rate(
        parse_key(song.song.facts.key) == estimate_key(samples, RATE_HZ)
        for samples, song in zip(made, songs, strict=True)
    )


def continuation_rates(made: Sequence[Samples], songs: Sequence[Example]) -> tuple[float, float]:
    """(key kept, tempo kept)."""
    return key_rate(made, songs), tempo_rate(made, songs)


def melody_rates(made: Sequence[Clip], melodies: Sequence[Samples]) -> tuple[float, float]:
    """(agreement with the melody given, agreement with the next one)."""
    sung = [loudest_classes(melody, RATE_HZ) for melody in melodies]
    played = [loudest_classes(clip.samples, RATE_HZ) for clip in made]
    others = [*sung[1:], sung[0]]
    right = [chroma_agreement(one, other) for one, other in zip(played, sung, strict=True)]
    wrong = [chroma_agreement(one, other) for one, other in zip(played, others, strict=True)]
    return round(float(np.mean(right)), 4), round(float(np.mean(wrong)), 4)


def codec_figures(model: Toccata, songs: Sequence[Example]) -> tuple[float, float]:
    """(SI-SDR in dB, L1 of log10 mel magnitudes) of songs through the codec."""
    real = torch.from_numpy(np.stack([song.audio for song in songs]))
    codec = model.model.codec
    made = codec.decode(codec.encode(real[:, None]))[:, 0, : real.shape[1]]
    mel = (log_mel(made, *MEL_SCALE) - log_mel(real, *MEL_SCALE)).abs().mean()
    return round(float(si_sdr_db(made, real).mean()), 3), round(float(mel), 4)


@torch.inference_mode()
def losses(model: Toccata, songs: Sequence[Example]) -> tuple[float, ...]:
    """Cross-entropy in nats by codebook, given each song's caption."""
    parts, config = model.model, model.model.lm.config
    by_song = []
    for song in songs:
        codes = parts.codec.encode(torch.from_numpy(song.audio)[None, None])
        steps = delay.apply(codes, config.delays, config.special_id)
        conditions = parts.conditions(song.caption, beats=named_beats(song.caption))
        prefix = None if conditions.prefix is None else conditions.prefix[None]
        memory = None if conditions.text is None else conditions.text[None]
        sums = conditions.step_sums
        step_sums = None if sums is None else sums[None, : steps.shape[2] - 1]
        logits = parts.lm(steps[..., :-1], prefix=prefix, memory=memory, step_sums=step_sums)
        by_frame = delay.undo_logits(logits, config.delays).log_softmax(-1)
        by_song.append(-by_frame.gather(-1, codes[..., None]).mean((0, 2, 3)))
    return tuple(round(loss, 4) for loss in torch.stack(by_song).mean(0).tolist())


def ceiling(songs: Material) -> dict[str, float]:
    """The same measures on the songs themselves."""
    given = round(GIVEN_S * RATE_HZ)
    rest = [song.audio[given:] for song in songs.continued]
    key_hit, tempo_hit = continuation_rates(rest, songs.continued)
    return {
        "tempo_hit": tempo_rate([song.audio for song in songs.tempo], songs.tempo),
        "drums_hit": drums_rate([song.audio for song in songs.drums], songs.drums),
        "continuation_key_hit": key_hit,
        "continuation_tempo_hit": tempo_hit,
        "continuation_key_exact": exact_key_rate(rest, songs.continued),
    }


def _rate(hits: Any) -> float:
    return round(float(np.mean(list(hits))), 4)
