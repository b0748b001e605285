"""Folders of small music for the fake model, and a codec that counts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tests.fakes import SineCodec, fake_model
from toccata.audio.files import write
from toccata.audio.waveform import Waveform
from toccata.codecs.base import OnBlock
from toccata.finetuning.dataset import FolderOptions, Item, prepare
from toccata.models.model import Model

RATE_HZ = 8000
OPTIONS = FolderOptions(segment_s=1.0, shortest_s=0.4)


def chord(
    duration_s: float, pitches_hz: Sequence[float] = (220.0, 262.0, 330.0), channels: int = 1
) -> Waveform:
    """A held chord, A minor, louder on the left."""
    time = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    wave = sum(np.sin(2 * np.pi * pitch * time) for pitch in pitches_hz)
    sides = [0.2 * np.asarray(wave) / (1 + side) for side in range(channels)]
    return Waveform(np.stack(sides).astype(np.float32), RATE_HZ)


def clicks(duration_s: float, bpm: float) -> Waveform:
    """A chord over its root, struck on every beat: without the root it may be half of F major."""
    sound = chord(duration_s, (110.0, 220.0, 262.0, 330.0))
    time = np.arange(sound.samples.shape[1]) / RATE_HZ
    decay = np.exp(-8 * (time % (60 / bpm))).astype(np.float32)
    return replace(sound, samples=sound.samples * decay)


def song(folder: Path, name: str, duration_s: float = 1.0, **options: object) -> Path:
    """Write a chord to `name` in `folder`."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, chord(duration_s, **options))  # type: ignore[arg-type]
    return path


def caption(folder: Path, name: str, words: str | dict[str, object]) -> None:
    text = words if isinstance(words, str) else json.dumps(words)
    (folder / name).write_text(text, encoding="utf-8")


class CountingCodec(SineCodec):
    """Counts the clips it encodes."""

    encoded = 0

    def encode(self, audio: Tensor, on_block: OnBlock | None = None) -> Tensor:
        self.encoded += audio.shape[0]
        return super().encode(audio, on_block)


def counting_model() -> tuple[Model, CountingCodec]:
    model, codec = fake_model(), CountingCodec()
    model.codec = codec
    return model, codec


def prepared(
    data: Path, options: FolderOptions = OPTIONS, model: Model | None = None
) -> list[Item]:
    """With a cache beside the folder."""
    return prepare(data, model or fake_model(), options, data.parent / "cache")


class Singer:
    """A separator that finds half of everything to be vocals."""

    sources: Sequence[str] = ("drums", "bass", "other", "vocals")
    sample_rate_hz, channels = 4000, 2

    def __init__(self) -> None:
        self.mixes: list[Tensor] = []

    def separate(self, mix: Tensor) -> Tensor:
        self.mixes.append(mix)
        return torch.stack([mix / 4, mix / 8, mix / 8, mix / 2])
