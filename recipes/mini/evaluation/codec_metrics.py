"""What the codec does to songs, and how surprised the language model is by them."""

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
_MAX_LOSSES = 64  # songs: the mean stands still after a few


@torch.inference_mode()
def through_codec(model: Model, songs: Sequence[Example]) -> list[Samples]:
    """The songs as the codec gives them back, each [N]."""
    return [_coded(model, torch.from_numpy(song.audio)).numpy() for song in songs]


def _coded(model: Model, audio: Tensor) -> Tensor:
    codec = model.codec
    channels = audio.expand(1, codec.channels, -1).to(model.device)
    return codec.decode(codec.encode(channels))[0, :, : len(audio)].mean(0).cpu()


def codec_figures(coded: Sequence[Samples], songs: Sequence[Example]) -> tuple[float, float]:
    """(SI-SDR in dB, L1 of log10 mel magnitudes), the means over songs."""
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
    """Cross-entropy in nats by codebook, given each caption, of the first 64 songs at most."""
    by_song = [_loss(model, song) for song in songs[:_MAX_LOSSES]]
    return tuple(round(loss, 4) for loss in torch.stack(by_song).mean(0).tolist())


@torch.inference_mode()
def _loss(model: Model, song: Example) -> Tensor:
    """Of one song [K]."""
    config = model.lm.config
    codes = model.codec.encode(torch.from_numpy(song.audio)[None, None].to(model.device))
    steps = delay.apply(codes, config.delays, config.special_id)
    given = model.conditions(song.caption, beats=named_beats(song.caption))
    prefix = None if given.prefix is None else given.prefix[None]
    memory = None if given.text is None else given.text[None]
    sums = (
        None
        if given.step_conditioning is None
        else given.step_conditioning[None, : steps.shape[2] - 1]
    )
    logits = model.lm(steps[..., :-1], prefix=prefix, memory=memory, step_conditioning=sums)
    by_frame = delay.undo_logits(logits, config.delays).float().log_softmax(-1)
    return -by_frame.gather(-1, codes[..., None]).mean((0, 2, 3)).cpu()
