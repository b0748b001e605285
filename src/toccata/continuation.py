"""Carrying on a clip: what the model is given of it, and how the new audio is joined to it.

    given      ............########|            the user's samples, all of them kept
    codes              |---|---|---|            its last whole frames: they end where it ends
    decoded            ############|++++++++++  the codec's copy of them, then the new audio
    rings on                       |~~~         what would follow if all tones were held
    out        ....................|~+++++++++

At the seam the copy and the original differ: the new audio does not start where the user's samples
end. So these ring on by linear prediction, and the new audio is faded in meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from toccata.audio.extrapolation import extrapolate
from toccata.audio.waveform import Samples, resample, to_channels
from toccata.codecs.base import Codec
from toccata.engine.sequence import Codes
from toccata.errors import InputError
from toccata.types import Waveform

# As long as makes a seam no more audible than other beats: docs/evaluation.md has the figures.
SEAM_S = 0.05


@dataclass(frozen=True, eq=False)
class Given:
    """The clip to carry on, at the model's rate, and its codes [K, P]."""

    samples: Samples
    codes: Codes


def prepare(
    clip: Waveform, codec: Codec, segment_s: float, most_frames: int, device: torch.device
) -> Given:
    """Encode the end of `clip`, as much as the model can hold, and keep the last `most_frames`.

    The result has at least as many channels as `clip`: nothing the user gave is mixed down.
    Raises InputError for an empty clip.
    """
    if clip.samples.shape[1] == 0:
        raise InputError("continue_from", None, "give audio that is not empty", "holds no samples")
    own = resample(clip, codec.sample_rate_hz)
    kept = to_channels(own, max(own.channels, codec.channels))
    heard = to_channels(own, codec.channels).samples
    frames = max(1, min(heard.shape[1], int(segment_s * codec.sample_rate_hz)) // codec.hop)
    end = heard[:, -frames * codec.hop :]
    missing = frames * codec.hop - end.shape[1]  # only of a clip shorter than one frame
    audio = torch.from_numpy(np.pad(end, ((0, 0), (missing, 0)))).to(device)
    return Given(kept.samples, codec.encode(audio[None])[0, :, -most_frames:].cpu().numpy())


def join(given: Samples, decoded: Iterator[Samples], copied: int, seam: int) -> Iterator[Samples]:
    """The user's samples, then the new audio of `decoded`, whose first `copied` are the copy.

    given [C, N]; decoded [C or 1, n] each; `seam` is the length of the cross-fade in samples.
    """
    yield given
    decoded = _skip(decoded, copied)
    new = _spread(_at_least(decoded, seam), given.shape[0]).copy()
    length = min(seam, new.shape[1])
    angle = (np.arange(length, dtype=np.float32) + 0.5) * np.float32(np.pi / 2 / max(length, 1))
    rings_on = extrapolate(given, length)
    new[:, :length] = new[:, :length] * np.sin(angle) + rings_on * np.cos(angle)
    yield new
    for piece in decoded:
        yield _spread(piece, given.shape[0])


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


def _spread(samples: Samples, channels: int) -> Samples:
    return to_channels(Waveform(samples, 1), channels).samples
