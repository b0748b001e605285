"""The pipeline with every stage from a request to a clip.

check -> conditions -> engine -> codec decode -> continuation join -> level -> fade -> clip
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from toccata.audio.loudness import level
from toccata.audio.transforms import fade, resample, to_model_channels
from toccata.audio.waveform import Waveform
from toccata.codecs.base import Codec
from toccata.engine.engine import Engine
from toccata.errors import CancelledError, InputError
from toccata.generation.clip import Clip, Progress
from toccata.generation.request import EncodeDecodeRequest, GenerationRequest
from toccata.generation.running import RunningRequest
from toccata.generation.source_audio import read_audio
from toccata.models.model import Model

DECODE_FRAMES = 250
CALLBACK_FRAMES = 50  # smaller pieces, so that a callback gets audio earlier

OnProgress = Callable[[Progress], None]
OnAudio = Callable[[Waveform], None]
Cancel = Callable[[], bool]
Tick = Callable[[], None]


@dataclass(frozen=True, eq=False)
class Pipeline:
    """A model and its engine, with the stages that generate clips.

    Attributes:
        model: The loaded model.
        engine: Runs all requests in one batch.
        tags: Added to the parameters of every clip.
    """

    model: Model
    engine: Engine
    tags: Mapping[str, str]

    def start(self, request: GenerationRequest) -> RunningRequest:
        """Compute the conditions of a resolved request and submit it to the engine.

        Raises:
            InputError: If its audio is invalid.
            AudioError: If its audio cannot be read.
        """
        return RunningRequest(request, self.model, self.engine)

    def finish(self, running: RunningRequest, tick: Tick, on_audio: OnAudio | None = None) -> Clip:
        """Run a request to its end, and return its clip.

        Args:
            running: The running request.
            tick: Called after every step.
            on_audio: Called with each second of audio once it is decoded.
        """
        request, rate = running.request, self.model.codec.sample_rate_hz
        pieces = []
        for piece in running.audio(DECODE_FRAMES if on_audio is None else CALLBACK_FRAMES, tick):
            pieces.append(piece)
            if on_audio is not None and piece.shape[1]:
                on_audio(Waveform(piece.copy(), rate))  # a callback may change its samples
        clip = Clip(
            np.concatenate(pieces, axis=1),
            rate,
            seed=request.seed or 0,
            model=self.model.name,
            prompt=request.prompt or "",
            parameters={**request.parameters(), **self.tags},
        )
        clip = level(clip, request.normalization)
        return fade(clip, request.fade_in_s, request.fade_out_s)

    def stream(
        self, request: GenerationRequest, chunk_frames: int
    ) -> Generator[Waveform, None, None]:
        """Yield the audio of a resolved request as it is decoded, without level and fades."""
        running = self.start(request)
        try:
            for samples in running.audio(chunk_frames, no_tick):
                if samples.shape[1]:
                    yield Waveform(samples, self.model.codec.sample_rate_hz)
        finally:
            running.end()

    def encode_decode(self, request: EncodeDecodeRequest, tick: Tick) -> Clip:
        """Pass audio of any length through the codec, see `Toccata.encode_decode`."""
        codec = self.model.codec
        waveform = to_model_channels(
            resample(read_audio(request.audio, "audio"), codec.sample_rate_hz), codec.channels
        )
        length = waveform.samples.shape[1]
        if length == 0:
            raise InputError("audio", None, "give audio that is not empty", "holds no samples")
        codes = codec.encode(torch.from_numpy(waveform.samples)[None].to(self.model.device), tick)
        decoded = _decoded(codec, codes[0], tick)[:, :length].cpu().numpy()
        parameters = {"normalization": request.normalization}
        clip = Clip(decoded, codec.sample_rate_hz, model=self.model.name, parameters=parameters)
        return level(clip, request.normalization)


def _decoded(codec: Codec, codes: torch.Tensor, tick: Tick) -> torch.Tensor:
    """Decode codes [K, T] to audio [C, N], and call `tick` before every block."""
    stream, pieces = codec.stream(), []
    for start in range(0, codes.shape[1], DECODE_FRAMES):
        tick()
        pieces.append(stream.push(codes[:, start : start + DECODE_FRAMES]))
    return torch.cat([*pieces, stream.finish()], -1)


def ticker(
    running: Sequence[RunningRequest], on_progress: OnProgress | None, cancel: Cancel | None
) -> Tick:
    """Return a function for every step, which checks `cancel` and reports progress."""

    def tick() -> None:
        if cancel is not None and cancel():
            raise CancelledError("stopped on request")
        if on_progress is not None:
            done = sum(one.sequence.ready for one in running)
            on_progress(Progress(done, sum(one.sequence.request.frames for one in running)))

    return tick


def no_tick() -> None:
    """Do nothing: the reader of a stream sees its progress, and closes it to cancel."""
