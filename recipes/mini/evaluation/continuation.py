"""Whether continuations keep key and tempo."""

from __future__ import annotations

from collections.abc import Sequence

from recipes.mini.composer.examples import Example
from recipes.mini.evaluation.adherence import share
from recipes.mini.evaluation.reference_songs import INPUT_S
from toccata.analysis.key import estimate_key, parse_key, same_scale
from toccata.analysis.spectrum import RATE_HZ, Samples
from toccata.analysis.tempo import estimate_bpm, tempo_agrees


def new_parts(clips: Sequence[Samples]) -> list[Samples]:
    """Cut off the input of continuations."""
    return [samples[round(INPUT_S * RATE_HZ) :] for samples in clips]


def kept(parts: Sequence[Samples], songs: Sequence[Example]) -> dict[str, float]:
    """The share of new parts with the key of their song, its scale or relative key, its tempo."""
    keys = [parse_key(song.song.facts.key) for song in songs]
    detected = [estimate_key(samples, RATE_HZ) for samples in parts]
    tempi = [estimate_bpm(samples, RATE_HZ) for samples in parts]
    pairs = list(zip(keys, detected, strict=True))
    return {
        "continuation_key_accuracy": share([key == other for key, other in pairs]),
        "continuation_key_scale_accuracy": share([same_scale(*pair) for pair in pairs]),
        "continuation_tempo_accuracy": share(
            [tempo_agrees(song.song.facts.bpm, bpm) for song, bpm in zip(songs, tempi, strict=True)]
        ),
    }
