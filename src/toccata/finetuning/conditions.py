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
# Beats by an item's name and start.
BeatTracker = Mapping[tuple[str, float], Beats]
_TRACKED_S = 6.0  # of a chunk, enough to find its phrase
_LOG_INTERVAL = 100

# Without torch's decorator, which would disable gradients of the projections.
_CONDITIONS: Callable[..., Conditions] = inspect.unwrap(Model.conditions)


@dataclass(frozen=True)
class ActiveConditions:
    """Which of an item's conditions are active; the others are dropped."""

    caption: bool = True
    melody: bool = True
    beats: bool = True


class Conditioner:
    """Makes the `Conditions` of items as those of requests are made."""

    def __init__(self, model: Model, with_gradients: bool, beats: BeatTracker) -> None:
        """with_gradients: whether the projections of conditions are trained too."""
        self._with_gradients, self._beats = with_gradients, beats
        own = {field.name: getattr(model, field.name) for field in fields(model)}
        own["text_encoder"] = _cached(model.text_encoder)
        self._model = _FromRows(**own)

    def __call__(self, item: Item, active: ActiveConditions) -> Conditions:
        beats = self._beats.get(_place(item)) if active.beats else None
        melody = None
        if active.melody and item.melody is not None:
            melody = Waveform(np.ascontiguousarray(item.melody.T), 1)
        prompt = item.caption if active.caption else None
        key = self._item_key(item) if active.caption else None
        with torch.set_grad_enabled(self._with_gradients and torch.is_grad_enabled()):
            return _CONDITIONS(self._model, prompt, melody, beats=beats, key=key)

    def _item_key(self, item: Item) -> Key | None:
        """The key that the caption names, or else the detected one."""
        if not self._model.follows_key:
            return None
        detected = None if item.tags.key is None else parse_key(item.tags.key)
        return named_key(item.caption) or detected


def track_beats(model: Model, items: Sequence[Item], cache: BeatCache) -> BeatTracker:
    """Find the beats of all items whose caption names a tempo, or that have a detected one.

    Beat conditioning that is out of phase with the music would train the model to ignore it, and a
    chunk seldom starts on a beat. So the phase is the one under which the model, before it is
    trained, gives the chunk the highest likelihood.

    Args:
        model: A model that may follow beats.
        items: All items of a run.
        cache: Beats that were found before; it is saved.

    Returns:
        Beats by name and start of the items that have some; empty for other models.
    """
    found: dict[tuple[str, float], Beats] = {}
    if not model.follows_beats:
        return found
    for number, item in enumerate(items, 1):
        if item not in cache:
            cache[item] = _matched(model, item)
        if (beats := cache[item]) is not None:
            found[_place(item)] = beats
        if number % _LOG_INTERVAL == 0 or number == len(items):
            cache.save()
            log.info("tracked the beats of %d of %d chunks", number, len(items))
    return found


def _matched(model: Model, item: Item) -> Beats | None:
    named = named_beats(item.caption)
    bpm = item.tags.bpm if named is None else named.bpm
    if bpm is None:
        return None
    frames = round(_TRACKED_S * model.codec.frame_rate_hz)
    codes = item.codes[:, :frames].astype(np.int64)
    known = torch.from_numpy(codes).to(model.device)
    audio = model.codec.decode(known[None])[0].float().cpu().numpy()
    clip = Waveform(audio, model.codec.sample_rate_hz)
    return match_beats(model, item.caption, clip, codes, bpm)


def _place(item: Item) -> tuple[str, float]:
    return item.name, item.start_s


class _FromRows(Model):
    """A model that takes a melody's rows [P, bins], as a waveform of `bins` channels.

    They were computed when the item was encoded, and its audio is not kept.
    """

    def _melody(self, chroma: ChromaConfig, melody: Waveform, start_s: float | None) -> Tensor:  # noqa: ARG002
        return torch.from_numpy(np.ascontiguousarray(melody.samples.T))


def _cached(encoder: TextEncoder) -> TextEncoder:
    """The same encoder with a cache; it is not trained.

    Its outputs are copied, because tensors of inference mode cannot take part in training.
    """
    cached = copy.copy(encoder)

    @cache
    def encode(prompt: str) -> Tensor:
        return encoder.encode(prompt).clone()

    vars(cached)["encode"] = encode
    if isinstance(encoder, MusicTextEncoder):
        music_encoder: MusicTextEncoder = encoder

        @cache
        def named(prompt: str) -> dict[str, Tensor]:
            return {kind: shares.clone() for kind, shares in music_encoder.named(prompt).items()}

        vars(cached)["named"] = named
    return cached
