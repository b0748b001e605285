"""The conditions of an item in training: text, melody, beats, with dropout."""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache

import numpy as np
import torch
from torch import Tensor

from toccata.analysis.key import Key, parse_key
from toccata.audio.waveform import Waveform
from toccata.conditioners.base import Conditions, MusicTextEncoder, TextEncoder
from toccata.conditioners.beats import Beats, named_beats
from toccata.conditioners.chroma import ChromaConfig
from toccata.conditioners.key import named_key
from toccata.finetuning.beat_cache import BeatCache
from toccata.finetuning.dataset import Item
from toccata.generation.musical_plan import match_beats
from toccata.models.model import Model

log = logging.getLogger(__name__)
# By the item's name and start.
BeatTracker = Mapping[tuple[str, float], Beats]
_ENOUGH_S = 6.0  # of a chunk, to tell its phrase by
_SAID_EVERY = 100

# Below torch's decorator, which would keep gradients from the projections.
_CONDITIONS: Callable[..., Conditions] = inspect.unwrap(Model.conditions)


@dataclass(frozen=True)
class ActiveConditions:
    """Which of an item's conditions the model is told."""

    caption: bool = True
    melody: bool = True
    beats: bool = True


class Conditioner:
    """Items to `Conditions`, as the model gets them when it makes music."""

    def __init__(self, model: Model, learns: bool, beats: BeatTracker) -> None:
        """`learns`: the projections of conditions are trained too."""
        self._learns, self._beats = learns, beats
        own = {field.name: getattr(model, field.name) for field in fields(model)}
        own["text_encoder"] = _remembering(model.text_encoder)
        self._model = _FromRows(**own)

    def __call__(self, item: Item, told: ActiveConditions) -> Conditions:
        beats = self._beats.get(_place(item)) if told.beats else None
        melody = None
        if told.melody and item.melody is not None:
            melody = Waveform(np.ascontiguousarray(item.melody.T), 1)
        prompt = item.caption if told.caption else None
        key = self._item_key(item) if told.caption else None
        with torch.set_grad_enabled(self._learns and torch.is_grad_enabled()):
            return _CONDITIONS(self._model, prompt, melody, beats=beats, key=key)

    def _item_key(self, item: Item) -> Key | None:
        """The key that the caption names, or that was heard."""
        if not self._model.follows_key:
            return None
        heard = None if item.tags.key is None else parse_key(item.tags.key)
        return named_key(item.caption) or heard


def heard_beats(model: Model, items: Sequence[Item], cache: BeatCache) -> BeatTracker:
    """The beats of all items whose caption names a tempo, or in which one was heard.

    Those that were found before are read from `cache`, which is saved.

    A metronome that is out of time with what it goes along with would teach the model not to
    listen to it: a chunk seldom starts on a beat, and less often with a bar. So the model says
    under which it finds the chunk likeliest, before it is trained.
    """
    found: dict[tuple[str, float], Beats] = {}
    if not model.follows_beats:
        return found
    for number, item in enumerate(items, 1):
        if item not in cache:
            cache[item] = _matched(model, item)
        if (beats := cache[item]) is not None:
            found[_place(item)] = beats
        if number % _SAID_EVERY == 0 or number == len(items):
            cache.save()
            log.info("heard the beats of %d of %d chunks", number, len(items))
    return found


def _matched(model: Model, item: Item) -> Beats | None:
    named = named_beats(item.caption)
    bpm = item.tags.bpm if named is None else named.bpm
    if bpm is None:
        return None
    frames = round(_ENOUGH_S * model.codec.frame_rate_hz)
    codes = item.codes[:, :frames].astype(np.int64)
    given = torch.from_numpy(codes).to(model.device)
    audio = model.codec.decode(given[None])[0].float().cpu().numpy()
    clip = Waveform(audio, model.codec.sample_rate_hz)
    return match_beats(model, item.caption, clip, codes, bpm)


def _place(item: Item) -> tuple[str, float]:
    return item.name, item.start_s


class _FromRows(Model):
    """Takes the rows of a melody [P, bins] in place of its sound, as a waveform of `bins` channels:
    they were made when the sound was at hand.
    """

    def _melody(self, chroma: ChromaConfig, melody: Waveform, start_s: float | None) -> Tensor:  # noqa: ARG002
        return torch.from_numpy(np.ascontiguousarray(melody.samples.T))


def _remembering(encoder: TextEncoder) -> TextEncoder:
    """The same encoder, which reads each prompt once; it is not trained.

    What it says is copied: a tensor of inference mode could not be part of what is trained.
    """
    twin = copy.copy(encoder)

    @cache
    def encode(prompt: str) -> Tensor:
        return encoder.encode(prompt).clone()

    vars(twin)["encode"] = encode
    if isinstance(encoder, MusicTextEncoder):
        knowing: MusicTextEncoder = encoder

        @cache
        def named(prompt: str) -> dict[str, Tensor]:
            return {kind: shares.clone() for kind, shares in knowing.named(prompt).items()}

        vars(twin)["named"] = named
    return twin
