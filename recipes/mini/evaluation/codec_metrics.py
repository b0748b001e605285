"""The codec's distortion of songs, and the language model's loss on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from recipes.mini.codec.losses import log_mel, si_sdr_db
from recipes.mini.composer.examples import Example
from toccata.analysis.spectrum import Samples
from toccata.conditioners.beats import named_beats
from toccata.decoder import delay
from toccata.models.model import Model

_MEL_SCALE = (1024, 256, 80)
_MAX_LOSSES = 64  # songs: the mean changes little after a few


@torch.inference_mode()
def through_codec(model: Model, songs: Sequence[Example]) -> list[Samples]:
    """Encode and decode the songs, each [N]."""
    return [_coded(model, torch.from_numpy(song.audio)).numpy() for song in songs]


def _coded(model: Model, audio: Tensor) -> Tensor:
    codec = model.codec
    channels = audio.expand(1, codec.channels, -1).to(model.device)
    return codec.decode(codec.encode(channels))[0, :, : len(audio)].mean(0).cpu()


def codec_figures(coded: Sequence[Samples], songs: Sequence[Example]) -> tuple[float, float]:
    """The mean SI-SDR in dB, and the mean L1 of log10 mel magnitudes."""
    pairs = [
        (torch.from_numpy(made)[None], torch.from_numpy(song.audio)[None])
        for made, song in zip(coded, songs, strict=True)
    ]
    distortion = np.mean([float(si_sdr_db(made, real)) for made, real in pairs])
    mel = np.mean([float(_mel_distance(made, real)) for made, real in pairs])
    return round(float(distortion), 3), round(float(mel), 4)


def _mel_distance(made: Tensor, real: Tensor) -> Tensor:
    return (log_mel(made, *_MEL_SCALE) - log_mel(real, *_MEL_SCALE)).abs().mean()


def losses(model: Model, songs: Sequence[Example]) -> tuple[float, ...]:
    """Cross-entropy by codebook in nats, with captions, of at most 64 songs."""
    by_song = [_loss(model, song) for song in songs[:_MAX_LOSSES]]
    return tuple(round(loss, 4) for loss in torch.stack(by_song).mean(0).tolist())


@torch.inference_mode()
def _loss(model: Model, song: Example) -> Tensor:
    """The loss of one song by codebook [K]."""
    config = model.lm.config
    codes = model.codec.encode(torch.from_numpy(song.audio)[None, None].to(model.device))
    steps = delay.apply(codes, config.delays, config.special_id)
    conditions = model.conditions(song.caption, beats=named_beats(song.caption))
    prefix = None if conditions.prefix is None else conditions.prefix[None]
    memory = None if conditions.text is None else conditions.text[None]
    step_conditioning = (
        None
        if conditions.step_conditioning is None
        else conditions.step_conditioning[None, : steps.shape[2] - 1]
    )
    logits = model.lm(
        steps[..., :-1], prefix=prefix, memory=memory, step_conditioning=step_conditioning
    )
    by_frame = delay.undo_logits(logits, config.delays).float().log_softmax(-1)
    return -by_frame.gather(-1, codes[..., None]).mean((0, 2, 3)).cpu()
