"""A request under way: its conditions, its engine slot, its audio as it becomes known."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from toccata.analysis.key import Key
from toccata.audio.transforms import Samples
from toccata.audio.waveform import Waveform
from toccata.conditioners.base import Conditions
from toccata.conditioners.beats import Beats, named_beats
from toccata.conditioners.key import named_key
from toccata.engine.engine import Engine
from toccata.engine.rng import key_uniform, tempo_uniform
from toccata.engine.sequence import Request
from toccata.engine.windows import usable_prompt
from toccata.errors import CancelledError, GenerationError
from toccata.generation.continuation import Given, join, prepare
from toccata.generation.musical_plan import match_beats, match_key
from toccata.generation.request import GenerationRequest
from toccata.generation.source_audio import read_prompt
from toccata.models.model import Model

Tick = Callable[[], None]


class RunningRequest:
    """Begins when it is made; must be ended with `end`, done or not."""

    def __init__(self, request: GenerationRequest, model: Model, engine: Engine) -> None:
        """`request` is settled. Raises InputError, AudioError for audio that cannot be used."""
        self.request = request
        self._model = model
        self._engine = engine
        self._pid = os.getpid()
        rate = model.codec.frame_rate_hz
        self._frames = _frames(request.duration_s, rate)
        self._segment_frames = int(model.segment_s * rate)
        self._stride_frames = max(1, int((request.stride_s or 0.0) * rate))
        self._given = self._prepared()
        self.sequence = engine.submit(self._request())

    @property
    def is_known(self) -> bool:
        """Whether the engine has done all that it is to do for it."""
        done = self.sequence
        return done.finished and done.error is None and done.finish_reason != "cancelled"

    def end(self) -> None:
        """Give up what is not done yet; in a forked child, nothing."""
        if self._pid == os.getpid():
            self._engine.cancel(self.sequence)

    def audio(self, chunk_frames: int, tick: Tick) -> Iterator[Samples]:
        """All samples [C, n], those of a continued clip first, about a chunk at a time.

        Drives the engine as far as each chunk needs, with a `tick` after every step.
        """
        codec = self._model.codec
        decoded = self._decoded(chunk_frames, tick)
        length = round(self.request.duration_s * codec.sample_rate_hz)
        if self._given is None:
            return _take(decoded, length)
        copied = self.sequence.prompt_frames * codec.hop
        joined = join(self._given, decoded, copied, codec.sample_rate_hz)
        return _take(joined, self._given.samples.shape[1] + length)

    def _prepared(self) -> Given | None:
        if self.request.continue_from is None:
            return None
        clip, model = read_prompt(self.request.continue_from, "continue_from"), self._model
        segment = self._segment_frames
        most = usable_prompt(segment, self._frames, segment, self._stride_frames)
        return prepare(clip, model.codec, model.segment_s, most, model.device)

    @property
    def _known_frames(self) -> int:
        """Frames of the clip to carry on that the model reads."""
        return 0 if self._given is None else self._given.codes.shape[1]

    def _request(self) -> Request:
        return Request(
            conditions=self._conditions(),
            frames=self._frames,
            params=self.request.sampling,
            seed=self.request.seed or 0,
            stride_frames=self._stride_frames,
            prompt=None if self._given is None else self._given.codes,
        )

    def _conditions(self) -> Callable[[int], Conditions]:
        """The conditions of the window that starts at a frame."""
        request, model = self.request, self._model
        melody = self._melody()
        beats, key = self._time_and_tune()
        one_window = self._known_frames + self._frames <= self._segment_frames
        start = None if one_window else 0.0
        first = model.conditions(request.prompt, melody, start, beats, key)

        def of_window(frame: int) -> Conditions:
            if frame == 0 or (beats is None and not (melody and model.chroma)):
                return first
            start_s = frame / model.codec.frame_rate_hz
            return model.conditions(request.prompt, melody, start_s, beats, key)

        return of_window

    def _melody(self) -> Waveform | None:
        """Of a file, what the windows of the clip reach; a style is that of its middle."""
        request, chroma = self.request, self._model.chroma
        if request.melody is None:
            return None
        reach_s = None
        if chroma is not None:
            reach_s = request.duration_s + chroma.samples_needed / chroma.sample_rate_hz
        return read_prompt(request.melody, "melody", reach_s=reach_s)

    def _time_and_tune(self) -> tuple[Beats | None, Key | None]:
        """Those of the clip to carry on, those the prompt names, or some that go with its words."""
        request, model, given = self.request, self._model, self._given
        if given is not None:
            clip = Waveform(given.context, model.codec.sample_rate_hz)
            beats = match_beats(model, request.prompt, clip, given.codes)
            return beats, match_key(model, request.prompt, clip)
        if request.melody is not None:  # what would be drawn is not the melody's
            return named_beats(request.prompt), named_key(request.prompt)
        seed = request.seed or 0
        return (
            model.beats(request.prompt, tempo_uniform(seed)),
            model.key(request.prompt, key_uniform(seed)),
        )

    def _decoded(self, chunk_frames: int, tick: Tick) -> Iterator[Samples]:
        """The audio of all codes, those of a continued clip included."""
        sequence, decoder = self.sequence, self._model.codec.stream()
        total = sequence.codes.shape[1]
        for start in range(0, total, chunk_frames):
            check_process(self._pid, "this request was begun")
            end = min(start + chunk_frames, total)
            self._wait(end - sequence.prompt_frames, tick)
            codes = torch.from_numpy(sequence.codes[:, start:end]).to(self._model.device)
            yield _finite(decoder.push(codes))
        check_process(self._pid, "this request was begun")
        yield _finite(decoder.finish())

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


def check_process(pid: int, done: str) -> None:
    """Raises GenerationError in any other process: the threads of torch are not in a forked one.

    Args:
        pid: The process that has done it.
        done: What was done, as the beginning of a sentence.
    """
    if pid != os.getpid():
        cure = 'start processes by spawn, as multiprocessing.get_context("spawn") does'
        raise GenerationError(f"{done} in another process, of which this is a fork; {cure}")


def _finite(audio: Tensor) -> Samples:
    if not audio.isfinite().all():
        cure = "check its weights, or load it in precision fp32"
        raise GenerationError(f"the model has made audio that is not finite; {cure}")
    samples: Samples = audio.cpu().numpy()
    return samples


def _frames(duration_s: float, frame_rate_hz: float) -> int:
    """Enough frames for `duration_s`, at least one; the last may reach past it."""
    return max(1, math.ceil(round(duration_s * frame_rate_hz, 6)))


def _take(pieces: Iterator[Samples], count: int) -> Iterator[Samples]:
    """The first `count` samples."""
    for piece in pieces:
        yield piece[:, :count]
        count = max(0, count - piece.shape[1])
