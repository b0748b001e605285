"""A synthesizer of decaying sines with tinysoundfont's interface: no soundfont, no extra needed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_DECAY_S = 0.2


@dataclass
class FakeFont:
    """Voices ring until `reset`; note ends are only counted."""

    samplerate: int
    volumes: dict[int, float] = field(default_factory=dict)
    voices: list[tuple[int, float, float]] = field(default_factory=list)  # start, hertz, gain
    clock: int = 0
    ends: int = 0

    def reset(self) -> None:
        self.volumes.clear()
        self.voices.clear()

    def channel_set_bank(self, channel: int, bank: int) -> None: ...

    def channel_set_preset_number(self, channel: int, preset: int, drums: bool) -> None: ...

    def channel_set_volume(self, channel: int, gain: float) -> None:
        self.volumes[channel] = gain

    def channel_note_on(self, channel: int, pitch: int, velocity: float) -> None:
        hertz = 440 * 2 ** ((pitch - 69) / 12)
        self.voices.append((self.clock, hertz, velocity * self.volumes[channel]))

    def channel_note_off(self, channel: int, pitch: int) -> None:
        self.ends += 1

    def sound(self, samples: int) -> NDArray[np.float32]:
        total = np.zeros(samples)
        for start, hertz, gain in self.voices:
            time_s = (self.clock - start + np.arange(samples)) / self.samplerate
            total += gain * np.exp(-time_s / _DECAY_S) * np.cos(2 * np.pi * hertz * time_s)
        self.clock += samples
        self.voices = [v for v in self.voices if self.clock - v[0] < 10 * _DECAY_S * 32_000]
        return np.repeat(total, 2).astype(np.float32)


class Synth:
    def __init__(self, samplerate: int) -> None:
        self.soundfonts = {7: FakeFont(samplerate)}

    def sfload(self, path: str, max_voices: int) -> int:
        return 7

    def generate_simple(self, samples: int, buffer: memoryview | None = None) -> memoryview:
        sound = self.soundfonts[7].sound(samples).view(np.uint8)
        if buffer is not None:
            buffer[:] = sound.data
        return sound.data
