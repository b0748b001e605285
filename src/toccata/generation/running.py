"""A running request: it computes its conditions, drives the engine, and decodes its audio."""

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
from toccata.generation.continuation import Continued, join, prepare
from toccata.generation.musical_plan import match_beats, match_key
from toccata.generation.request import GenerationRequest
from toccata.generation.source_audio import read_prompt
from toccata.models.model import Model

Tick = Callable[[], None]


class RunningRequest:
    """A request that is submitted to the engine when it is created, and must be ended with `end`.

    Args:
        request: A resolved request.
        model: The model.
        engine: Its engine.

    Raises:
        InputError: If its audio is invalid.
        AudioError: If its audio cannot be read.
    """

    def __init__(self, request: GenerationRequest, model: Model, engine: Engine) -> None:
        self.request = request
        self._model = model
        self._engine = engine
        self._pid = os.getpid()
        rate = model.codec.frame_rate_hz
        self._frames = _frames(request.duration_s, rate)
        self._segment_frames = int(model.segment_s * rate)
        self._stride_frames = max(1, int((request.stride_s or 0.0) * rate))
        self._continued = self._prepared()
        self.sequence = engine.submit(self._request())

    @property
    def is_known(self) -> bool:
        """Whether the engine has generated all frames."""
        sequence = self.sequence
        is_done = sequence.finished and sequence.error is None
        return is_done and sequence.finish_reason != "cancelled"

    def end(self) -> None:
        """Cancel the request if it is not done; in a forked process, do nothing."""
        if self._pid == os.getpid():
            self._engine.cancel(self.sequence)

    def audio(self, chunk_frames: int, tick: Tick) -> Iterator[Samples]:
        """Yield all samples, those of a continued clip first.

        It drives the engine until the frames of each chunk are known.

        Args:
            chunk_frames: The number of frames in a chunk.
            tick: Called after every step of the engine.

        Yields:
            Samples [C, n].
        """
        codec = self._model.codec
        decoded = self._decoded(chunk_frames, tick)
        length = round(self.request.duration_s * codec.sample_rate_hz)
        if self._continued is None:
            return _take(decoded, length)
        copied = self.sequence.prompt_frames * codec.hop
        joined = join(self._continued, decoded, copied, codec.sample_rate_hz)
        return _take(joined, self._continued.samples.shape[1] + length)

    def _prepared(self) -> Continued | None:
        if self.request.continue_from is None:
            return None
        clip, model = read_prompt(self.request.continue_from, "continue_from"), self._model
        segment = self._segment_frames
        max_frames = usable_prompt(segment, self._frames, segment, self._stride_frames)
        return prepare(clip, model.codec, model.segment_s, max_frames, model.device)

    @property
    def _known_frames(self) -> int:
        """The number of frames of the continued clip in the prompt."""
        return 0 if self._continued is None else self._continued.codes.shape[1]

    def _request(self) -> Request:
        return Request(
            conditions=self._conditions(),
            frames=self._frames,
            params=self.request.sampling,
            seed=self.request.seed or 0,
            stride_frames=self._stride_frames,
            prompt=None if self._continued is None else self._continued.codes,
        )

    def _conditions(self) -> Callable[[int], Conditions]:
        """Return a function that computes the conditions of the window at a frame."""
        request, model = self.request, self._model
        melody = self._melody()
        beats, key = self._beats_and_key()
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
        """Read the part of a melody that the windows use; a style needs the whole file."""
        request, chroma = self.request, self._model.chroma
        if request.melody is None:
            return None
        reach_s = None
        if chroma is not None:
            reach_s = request.duration_s + chroma.samples_needed / chroma.sample_rate_hz
        return read_prompt(request.melody, "melody", reach_s=reach_s)

    def _beats_and_key(self) -> tuple[Beats | None, Key | None]:
        """Return those of the continued clip, those the prompt names, or sampled ones."""
        request, model, continued = self.request, self._model, self._continued
        if continued is not None:
            clip = Waveform(continued.context, model.codec.sample_rate_hz)
            beats = match_beats(model, request.prompt, clip, continued.codes)
            return beats, match_key(model, request.prompt, clip)
        if request.melody is not None:  # sampled ones would not be those of the melody
            return named_beats(request.prompt), named_key(request.prompt)
        seed = request.seed or 0
        return (
            model.beats(request.prompt, tempo_uniform(seed)),
            model.key(request.prompt, key_uniform(seed)),
        )

    def _decoded(self, chunk_frames: int, tick: Tick) -> Iterator[Samples]:
        """Yield the audio of all codes, including those of a continued clip."""
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
    """Check that this is not a forked process, which does not have torch's threads.

    Args:
        pid: The process that has loaded the model or started the request.
        done: What that process did, as the beginning of a sentence.

    Raises:
        GenerationError: If this is another process.
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
    """Return the number of frames that cover `duration_s`, at least one."""
    return max(1, math.ceil(round(duration_s * frame_rate_hz, 6)))


def _take(pieces: Iterator[Samples], count: int) -> Iterator[Samples]:
    """Yield the first `count` samples."""
    for piece in pieces:
        yield piece[:, :count]
        count = max(0, count - piece.shape[1])
