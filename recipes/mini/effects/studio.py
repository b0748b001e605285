"""The chain of a song, from the synthesizer's sound to the finished recording."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recipes.mini.composer.composition import FRAMES_PER_MINUTE, HOP, Facts
from recipes.mini.effects.chains import CHAINS, Chain, chain_name
from recipes.mini.effects.chorus import chorus
from recipes.mini.effects.dynamics import compress, saturate
from recipes.mini.effects.filters import (
    MEMORY,
    SIZE,
    Response,
    apply,
    high_shelf,
    low_pass,
    low_shelf,
)
from recipes.mini.effects.levels import to_loudness, to_rms
from recipes.mini.effects.reverb import ROOMS, answer

Floats = NDArray[np.float32]

_THRESHOLD_DB = -12.0
_LOW_HZ, _HIGH_HZ = 200.0, 3000.0


class Studio:
    """Keeps what the chains need: the answers of the rooms and the responses of the chains."""

    def __init__(self) -> None:
        self._answers = {name: answer(room) for name, room in ROOMS.items()}
        self._responses: dict[Chain, Response] = {}

    def master(self, audio: Floats, facts: Facts) -> Floats:
        """Master audio [N]: near TARGET_LUFS, with a peak below 0.9."""
        return to_loudness(
            self.effects(to_rms(audio), CHAINS[chain_name(facts)], bar_samples(facts))
        )

    def effects(self, audio: Floats, chain: Chain, bar: float) -> Floats:
        """Audio [N] through a chain; `bar` is the length of a bar in samples."""
        if not audio.any():
            return audio
        if chain.drive_db:
            audio = saturate(audio, chain.drive_db)
        if chain.ratio > 1.0:
            audio = compress(audio, chain.ratio, _THRESHOLD_DB)
        if chain.chorus_share:
            audio = chorus(audio, chain.chorus_share, bar)
        tail = self._answers[chain.room].size if chain.room else 0
        return apply(self._response(chain), audio, MEMORY + tail)

    def _response(self, chain: Chain) -> Response:
        if chain not in self._responses:
            response = low_shelf(_LOW_HZ, chain.low_db) * high_shelf(_HIGH_HZ, chain.high_db)
            if chain.low_pass_hz:
                response = response * low_pass(chain.low_pass_hz)
            if chain.room:
                wet = np.fft.rfft(self._answers[chain.room], SIZE) * 10 ** (chain.wet_db / 20)
                response = response * (1 + wet)
            self._responses[chain] = response.astype(np.complex64)
        return self._responses[chain]


def bar_samples(facts: Facts) -> float:
    """The average length of a bar, which need not be a whole number of samples."""
    beats = int(facts.meter.partition("/")[0])
    return beats * FRAMES_PER_MINUTE / facts.bpm * HOP
