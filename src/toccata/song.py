"""One brief under way: its conditions, its place in the engine, its audio as it becomes known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch

from toccata.audio.audio_input import read_audio
from toccata.audio.waveform import Samples
from toccata.brief import Brief
from toccata.conditioners.base import Conditions
from toccata.conditioners.beats import Beats, named_beats
from toccata.conditioners.key import named_key
from toccata.continuation import SEAM_S, Given, join, prepare
from toccata.engine.engine import Engine
from toccata.engine.random_stream import key_uniform, tempo_uniform
from toccata.engine.sequence import Request
from toccata.engine.windows import usable_prompt
from toccata.errors import CancelledError
from toccata.families.model import Model
from toccata.hearing.key import Key
from toccata.matching import match_beats, match_key
from toccata.types import Waveform

Tick = Callable[[], None]


class Song:
    """Begins when it is made; must be ended with `end`, done or not."""

    def __init__(self, brief: Brief, model: Model, engine: Engine) -> None:
        """`brief` is settled. Raises InputError, AudioError for audio that cannot be used."""
        self.brief = brief
        self._model = model
        self._engine = engine
        rate = model.codec.frame_rate_hz
        self._frames = _frames(brief.duration_s, rate)
        self._stride_frames = max(1, int((brief.stride_s or 0.0) * rate))
        self._given = self._prepared()
        self.sequence = engine.submit(self._request())

    def end(self) -> None:
        """Give up what is not done yet."""
        self._engine.cancel(self.sequence)

    def audio(self, chunk_frames: int, tick: Tick) -> Iterator[Samples]:
        """All samples [C, n], those of a continued clip first, about a chunk at a time.

        Drives the engine as far as each chunk needs, with a `tick` after every step.
        """
        codec = self._model.codec
        decoded = self._decoded(chunk_frames, tick)
        length = round(self.brief.duration_s * codec.sample_rate_hz)
        if self._given is None:
            return _take(decoded, length)
        given = self._given.samples
        copied = self.sequence.prompt_frames * codec.hop
        seam = round(SEAM_S * codec.sample_rate_hz)
        return _take(join(given, decoded, copied, seam), given.shape[1] + length)

    def _prepared(self) -> Given | None:
        if self.brief.continue_from is None:
            return None
        clip, model = read_audio("continue_from", self.brief.continue_from), self._model
        segment = int(model.segment_s * model.codec.frame_rate_hz)
        most = usable_prompt(segment, self._frames, segment, self._stride_frames)
        return prepare(clip, model.codec, model.segment_s, most, model.device)

    def _request(self) -> Request:
        return Request(
            conditions=self._conditions(),
            frames=self._frames,
            params=self.brief.sampling,
            seed=self.brief.seed or 0,
            stride_frames=self._stride_frames,
            prompt=None if self._given is None else self._given.codes,
        )

    def _conditions(self) -> Callable[[int], Conditions]:
        """The conditions of the window that starts at a frame."""
        brief, model = self.brief, self._model
        melody = None if brief.melody is None else read_audio("melody", brief.melody)
        beats, key = self._time_and_tune()
        first = model.conditions(brief.prompt, melody, beats=beats, key=key)

        def of_window(frame: int) -> Conditions:
            if frame == 0 or (beats is None and not (melody and model.chroma)):
                return first
            start_s = frame / model.codec.frame_rate_hz
            return model.conditions(brief.prompt, melody, start_s, beats, key)

        return of_window

    def _time_and_tune(self) -> tuple[Beats | None, Key | None]:
        """Those of the clip to carry on, those the prompt names, or some that go with its words."""
        brief, model, given = self.brief, self._model, self._given
        if given is not None:
            coded = given.samples[:, -given.codes.shape[1] * model.codec.hop :]
            clip = Waveform(coded, model.codec.sample_rate_hz)
            beats = match_beats(model, brief.prompt, clip, given.codes)
            return beats, match_key(model, brief.prompt, clip)
        if brief.melody is not None:  # what would be drawn is not the melody's
            return named_beats(brief.prompt), named_key(brief.prompt)
        seed = brief.seed or 0
        return (
            model.beats(brief.prompt, tempo_uniform(seed)),
            model.key(brief.prompt, key_uniform(seed)),
        )

    def _decoded(self, chunk_frames: int, tick: Tick) -> Iterator[Samples]:
        """The audio of all codes, those of a continued clip included."""
        sequence, decoder = self.sequence, self._model.codec.stream()
        total = sequence.codes.shape[1]
        for start in range(0, total, chunk_frames):
            end = min(start + chunk_frames, total)
            self._wait(end - sequence.prompt_frames, tick)
            codes = torch.from_numpy(sequence.codes[:, start:end]).to(self._model.device)
            yield decoder.push(codes).cpu().numpy()
        yield decoder.finish().cpu().numpy()

    def _wait(self, frames: int, tick: Tick) -> None:
        """Drive the engine until `frames` new frames are known."""
        sequence = self.sequence
        while sequence.ready < frames and not sequence.finished:
            self._engine.step()
            tick()
        if sequence.error is not None:
            raise sequence.error
        if sequence.finish_reason == "cancelled":
            raise CancelledError("the request was cancelled while it ran")


def _frames(duration_s: float, frame_rate_hz: float) -> int:
    """Enough frames for `duration_s`, at least one; the last may reach past it."""
    return max(1, math.ceil(round(duration_s * frame_rate_hz, 6)))


def _take(pieces: Iterator[Samples], count: int) -> Iterator[Samples]:
    """The first `count` samples."""
    for piece in pieces:
        yield piece[:, :count]
        count = max(0, count - piece.shape[1])
