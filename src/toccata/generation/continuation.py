"""Continuation: the context that the model gets of a clip, and how the new audio joins it.

    given      ............########|            the user's samples, all of them kept
    codes              |---|---|---|            its last whole frames: they end where it ends
    decoded            ############|++++++++++  the codec's copy of them, then the new audio
    rings on                       |~~~         what would follow if all tones were held
    out        ....................|~+++++++++

At the seam the copy and the original differ: the new audio does not start where the user's samples
end. So these ring on by linear prediction, and the new audio is faded in meanwhile.

A model makes music at the level of what it was trained on, whatever the level of its prompt. So the
prompt is encoded at that level and without its DC offset, and the new audio is brought to the level
of the user's samples, which are never changed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from toccata.audio.extrapolation import ANALYSED, extrapolate
from toccata.audio.loudness import loudness_lufs
from toccata.audio.transforms import (
    Samples,
    peak,
    resample,
    to_channels,
    to_gain,
    to_model_channels,
)
from toccata.audio.waveform import Waveform
from toccata.codecs.base import Codec
from toccata.engine.sequence import Codes

# As long as makes a seam no more audible than other beats: docs/lab/evaluation.md has the figures.
SEAM_S = 0.05
# A DC offset of the user's samples goes on for so long into the new audio: a step would thump.
OFFSET_S = 0.5
# The loudness that prompts are encoded at: of the music that `mini` was trained on and makes.
MODEL_LUFS = -17.0
_SILENCE = 1e-6


@dataclass(frozen=True, eq=False)
class Given:
    """The clip to continue, at the model's rate.

    Attributes:
        samples: What the user gave [C, N], unchanged.
        context: What the model is given of it [codec's C, M]: its end at the model's level.
        codes: Of the context [K, P].
        gain: What brings audio at the model's level to that of `samples`.
        offset: The DC offset of each channel at the end of `samples` [C, 1].
    """

    samples: Samples
    context: Samples
    codes: Codes
    gain: float
    offset: Samples


def prepare(
    clip: Waveform, codec: Codec, segment_s: float, most_frames: int, device: torch.device
) -> Given:
    """Encode the end of `clip`, as much as the model can hold, and keep the last `most_frames`.

    The result has at least as many channels as `clip`: nothing the user gave is mixed down.
    """
    own = resample(clip, codec.sample_rate_hz)
    kept = to_channels(own, max(own.channels, codec.channels)).samples
    frames = max(1, min(kept.shape[1], int(segment_s * codec.sample_rate_hz)) // codec.hop)
    end, usable = frames * codec.hop, min(frames, most_frames) * codec.hop
    offset = kept[:, -usable:].mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    centred = Waveform(kept[:, -end:] - offset, codec.sample_rate_hz)
    prompt = to_model_channels(centred, codec.channels).samples
    gain = _level(prompt[:, -usable:], codec.sample_rate_hz)
    missing = end - prompt.shape[1]  # only of a clip shorter than one frame
    context = np.pad(prompt / np.float32(gain), ((0, 0), (missing, 0)))
    codes = codec.encode(torch.from_numpy(context)[None].to(device))[0, :, -most_frames:]
    return Given(kept, context[:, -usable:], codes.cpu().numpy(), gain, offset)


def _level(samples: Samples, sample_rate_hz: int) -> float:
    """The gain from the model's level to that of `samples` [C, N]; 1 for silence.

    Measured at full scale, so that the absolute gate of the measure plays no part.
    """
    loudest = peak(samples)
    if loudest < _SILENCE:
        return 1.0
    found = loudness_lufs(Waveform(samples / np.float32(loudest), sample_rate_hz))
    return loudest * to_gain(found - MODEL_LUFS) if math.isfinite(found) else 1.0


def join(
    given: Given, decoded: Iterator[Samples], copied: int, sample_rate_hz: int
) -> Iterator[Samples]:
    """The user's samples, then the new audio of `decoded`, whose first `copied` are the copy.

    decoded: [C or 1, n] each, at the model's level.
    """
    yield given.samples
    new = _new_audio(given, _skip(decoded, copied), round(SEAM_S * sample_rate_hz))
    fade, done = _fade(round(OFFSET_S * sample_rate_hz)), 0
    for piece in new:
        ahead = fade[done : done + piece.shape[1]]
        done += piece.shape[1]
        if ahead.size and given.offset.any():
            piece[:, : ahead.size] += given.offset * ahead
        yield piece


def _new_audio(given: Given, decoded: Iterator[Samples], seam: int) -> Iterator[Samples]:
    """At the level of what was given, without a DC offset; `seam` samples are the cross-fade."""
    channels = given.samples.shape[0]
    first = _at_the_level(given, _at_least(decoded, seam), channels)
    length = min(seam, first.shape[1])
    angle = (np.arange(length, dtype=np.float32) + 0.5) * np.float32(np.pi / 2 / max(length, 1))
    rings_on = extrapolate(given.samples[:, -ANALYSED:] - given.offset, length)
    first[:, :length] = first[:, :length] * np.sin(angle) + rings_on * np.cos(angle)
    yield first
    for piece in decoded:
        yield _at_the_level(given, piece, channels)


def _at_the_level(given: Given, samples: Samples, channels: int) -> Samples:
    return np.float32(given.gain) * to_channels(Waveform(samples, 1), channels).samples


def _fade(length: int) -> Samples:
    """1 to 0 along half a cosine."""
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length), np.float32)


def _skip(pieces: Iterator[Samples], count: int) -> Iterator[Samples]:
    for piece in pieces:
        yield piece[:, count:]
        count = max(0, count - piece.shape[1])


def _at_least(pieces: Iterator[Samples], count: int) -> Samples:
    """The pieces up to `count` samples, joined; fewer only if there are no more."""
    taken = [next(pieces)]
    while sum(piece.shape[1] for piece in taken) < count:
        piece = next(pieces, None)
        if piece is None:
            break
        taken.append(piece)
    return np.concatenate(taken, axis=1)
