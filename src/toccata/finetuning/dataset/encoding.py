"""Encode an audio file in chunks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from toccata.audio.collect import in_form
from toccata.audio.files import blocks
from toccata.audio.transforms import Samples, resample, rms, to_channels
from toccata.audio.waveform import Waveform
from toccata.conditioners.chroma import melody_rows, mono
from toccata.conditioners.stems import Separator
from toccata.finetuning.dataset.chunks import Cut, chunks
from toccata.finetuning.dataset.dataset_options import FolderOptions
from toccata.finetuning.dataset.items import Tags
from toccata.finetuning.dataset.tagging import detect_tags
from toccata.models.model import Model

VOCALS = "vocals"

SILENCE = 1e-3  # -60 dBFS: chunks whose RMS is below it are left out
MAX_BYTES = 2**31  # of a file: an hour of studio quality


@dataclass(frozen=True, eq=False)
class Encoded:
    """An encoded chunk.

    Attributes:
        start_s: Where it begins in the file.
        tags: Tempo, key and loudness.
        codes: [K, T].
        pitch: The loudest pitch class of each row of the melody [P]; None for models without one.
    """

    start_s: float
    tags: Tags
    codes: NDArray[np.uint16]
    pitch: NDArray[np.uint8] | None


class TrackEncoder:
    """Encodes with the codec of `model`, on its device. separator: removes the vocals."""

    def __init__(self, model: Model, options: FolderOptions, separator: Separator | None) -> None:
        self._model, self._options, self._separator = model, options, separator
        # Vocals are taken out before anything is mixed down or resampled for the codec.
        form = model.codec if separator is None else separator
        self._rate_hz, self._channels = form.sample_rate_hz, form.channels
        self._cut = Cut.of(options, model.codec, self._rate_hz)
        self._longest = Cut.of(options, model.codec, model.codec.sample_rate_hz).length

    def __call__(self, path: Path) -> list[Encoded]:
        """All chunks that are not silent. Memory grows with the codes alone. Raises AudioError."""
        song = blocks(path, max_bytes=MAX_BYTES, max_seconds=None)
        pieces = in_form(song, self._rate_hz, self._channels)
        encoded = (self._encode(start, samples) for start, samples in chunks(pieces, self._cut))
        return [chunk for chunk in encoded if chunk is not None]

    def _encode(self, start: int, samples: Samples) -> Encoded | None:
        audio = self._for_codec(Waveform(samples, self._rate_hz))
        if rms(audio.samples) < SILENCE:
            return None
        tags = detect_tags(audio, tempo_and_key=self._options.auto_tags)
        return Encoded(start / self._rate_hz, tags, self._codes(audio), self._pitch(audio))

    def _for_codec(self, chunk: Waveform) -> Waveform:
        codec = self._model.codec
        if self._separator is not None:
            chunk = without_vocals(chunk, self._separator)
        audio = resample(to_channels(chunk, codec.channels), codec.sample_rate_hz)
        return replace(audio, samples=audio.samples[:, : self._longest])

    @torch.inference_mode()
    def _codes(self, audio: Waveform) -> NDArray[np.uint16]:
        samples = torch.from_numpy(np.ascontiguousarray(audio.samples))
        codes = self._model.codec.encode(samples[None].to(self._model.device))
        return codes[0].cpu().numpy().astype(np.uint16)

    def _pitch(self, audio: Waveform) -> NDArray[np.uint8] | None:
        """The melody, as `Model.conditions` takes it from audio."""
        config = self._model.chroma
        if config is None:
            return None
        melody = mono(self._model.stems(audio) if config.stems else audio, config.sample_rate_hz)
        rows = melody_rows(torch.from_numpy(melody.samples[0]), config)
        return rows.argmax(dim=-1).numpy().astype(np.uint8)


def without_vocals(mix: Waveform, separator: Separator) -> Waveform:
    """Sum all stems but the vocals, at the separator's rate and channels."""
    form = resample(to_channels(mix, separator.channels), separator.sample_rate_hz)
    stems = separator.separate(torch.from_numpy(form.samples))
    kept = [stem for name, stem in zip(separator.sources, stems, strict=True) if name != VOCALS]
    return Waveform(torch.stack(kept).sum(dim=0).cpu().numpy(), separator.sample_rate_hz)
