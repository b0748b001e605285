"""Continuation: encode the end of a clip as the model's prompt, and join the new audio to the clip.

    input         ............########|            the user's samples, all of which are kept
    codes                 |---|---|---|            its last whole frames, which end where it ends
    decoded               ############|++++++++++  the codec's copy of them, then the new audio
    extrapolated                      |~~~         the input continued by linear prediction
    output        ....................|~+++++++++

The codec's copy differs from the input, so the new audio does not continue the input's waveform at
the seam. The input is therefore extrapolated by linear prediction, with a crossfade to the new
audio.

A model generates music at the level of its training data, for prompts of any level. The prompt is
therefore encoded at that level and without DC offset, and the new audio is scaled to the level of
the input. The input itself is never changed.
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

# With this length a seam is no more audible than other beats; docs/lab/evaluation.md has figures.
SEAM_S = 0.05
# A DC offset of the input is faded out for so long in the new audio: a step would be audible.
OFFSET_S = 0.5
# Prompts are encoded at the loudness of the music that `mini` was trained on and generates.
MODEL_LUFS = -17.0
_SILENCE = 1e-6


@dataclass(frozen=True, eq=False)
class Continued:
    """The clip that is continued, at the model's rate.

    Attributes:
        samples: The input [C, N], unchanged.
        context: The end of the input at the model's level, [C of the codec, M].
        codes: The codes of the context, [K, P].
        gain: The factor from the model's level to that of the input.
        offset: The DC offset of each channel at the end of the input, [C, 1].
    """

    samples: Samples
    context: Samples
    codes: Codes
    gain: float
    offset: Samples


def prepare(
    clip: Waveform, codec: Codec, segment_s: float, max_frames: int, device: torch.device
) -> Continued:
    """Encode the end of a clip, up to a segment of the model, and keep the last frames.

    Args:
        clip: The input. It is not mixed down: the result has at least as many channels.
        codec: The codec of the model.
        segment_s: The length of a segment in seconds.
        max_frames: The most frames that are kept.
        device: The device of the codec.
    """
    own = resample(clip, codec.sample_rate_hz)
    kept = to_channels(own, max(own.channels, codec.channels)).samples
    frames = max(1, min(kept.shape[1], int(segment_s * codec.sample_rate_hz)) // codec.hop)
    end, usable = frames * codec.hop, min(frames, max_frames) * codec.hop
    offset = kept[:, -usable:].mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    centred = Waveform(kept[:, -end:] - offset, codec.sample_rate_hz)
    prompt = to_model_channels(centred, codec.channels).samples
    gain = _level(prompt[:, -usable:], codec.sample_rate_hz)
    missing = end - prompt.shape[1]  # above 0 only if the clip is shorter than one frame
    context = np.pad(prompt / np.float32(gain), ((0, 0), (missing, 0)))
    codes = codec.encode(torch.from_numpy(context)[None].to(device))[0, :, -max_frames:]
    return Continued(kept, context[:, -usable:], codes.cpu().numpy(), gain, offset)


def _level(samples: Samples, sample_rate_hz: int) -> float:
    """Return the factor from the model's level to that of samples [C, N]; 1 for silence.

    The loudness is measured at full scale, where the absolute gate has no effect.
    """
    loudest = peak(samples)
    if loudest < _SILENCE:
        return 1.0
    found = loudness_lufs(Waveform(samples / np.float32(loudest), sample_rate_hz))
    return loudest * to_gain(found - MODEL_LUFS) if math.isfinite(found) else 1.0


def join(
    continued: Continued, decoded: Iterator[Samples], copied: int, sample_rate_hz: int
) -> Iterator[Samples]:
    """Yield the input, and then the new audio with a crossfade.

    Args:
        continued: The input.
        decoded: Decoded audio in pieces [C or 1, n], at the model's level: a copy of the context,
            then the new audio.
        copied: The number of samples of the copy, which are skipped.
        sample_rate_hz: The rate.

    Yields:
        Pieces [C, n].
    """
    yield continued.samples
    new = _new_audio(continued, _skip(decoded, copied), round(SEAM_S * sample_rate_hz))
    fade, done = _fade(round(OFFSET_S * sample_rate_hz)), 0
    for piece in new:
        ahead = fade[done : done + piece.shape[1]]
        done += piece.shape[1]
        if ahead.size and continued.offset.any():
            piece[:, : ahead.size] += continued.offset * ahead
        yield piece


def _new_audio(continued: Continued, decoded: Iterator[Samples], seam: int) -> Iterator[Samples]:
    """Yield the new audio at the input's level, without DC offset, after a crossfade."""
    channels = continued.samples.shape[0]
    first = _to_level(continued, _at_least(decoded, seam), channels)
    length = min(seam, first.shape[1])
    angle = (np.arange(length, dtype=np.float32) + 0.5) * np.float32(np.pi / 2 / max(length, 1))
    extrapolated = extrapolate(continued.samples[:, -ANALYSED:] - continued.offset, length)
    first[:, :length] = first[:, :length] * np.sin(angle) + extrapolated * np.cos(angle)
    yield first
    for piece in decoded:
        yield _to_level(continued, piece, channels)


def _to_level(continued: Continued, samples: Samples, channels: int) -> Samples:
    return np.float32(continued.gain) * to_channels(Waveform(samples, 1), channels).samples


def _fade(length: int) -> Samples:
    """Return a raised cosine from 1 to 0."""
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length), np.float32)


def _skip(pieces: Iterator[Samples], count: int) -> Iterator[Samples]:
    for piece in pieces:
        yield piece[:, count:]
        count = max(0, count - piece.shape[1])


def _at_least(pieces: Iterator[Samples], count: int) -> Samples:
    """Join pieces to at least `count` samples, or fewer if there are no more."""
    first_pieces = [next(pieces)]
    while sum(piece.shape[1] for piece in first_pieces) < count:
        piece = next(pieces, None)
        if piece is None:
            break
        first_pieces.append(piece)
    return np.concatenate(first_pieces, axis=1)
