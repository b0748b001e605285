"""The map: every stage from a request to a clip, in order.

check -> conditions -> engine -> codec decode -> continuation join -> level -> fade -> clip
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, aclosing, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

import numpy as np
import torch

from toccata.audio.audio_input import AudioInput
from toccata.audio.loudness import level
from toccata.audio.transforms import fade, resample, to_model_channels
from toccata.audio.waveform import Waveform
from toccata.codecs.base import Codec
from toccata.engine.engine import Engine
from toccata.errors import (
    CancelledError,
    ClosedError,
    InputError,
    InputErrors,
    ToccataError,
)
from toccata.generation.asynchronous import Cancellation, in_thread, iterate_in_thread
from toccata.generation.clip import Clip, Progress
from toccata.generation.request import (
    GenerationRequest,
    RequestOptions,
    check_callbacks,
    check_item,
    check_name,
    checked_chunk_s,
    checked_slots,
    listed,
)
from toccata.generation.running import RunningRequest, check_process
from toccata.generation.source_audio import read_audio
from toccata.models.model import Model

if TYPE_CHECKING:
    from toccata.models.lora_names import LoraNames

DECODE_FRAMES = 250
LISTENER_FRAMES = 50  # somebody listens meanwhile: smaller pieces come sooner
WARM_UP_S = 0.1

OnProgress = Callable[[Progress], None]
OnAudio = Callable[[Waveform], None]
Cancel = Callable[[], bool]
T = TypeVar("T")


def load(
    name: str | Path = "mini",
    *,
    device: str | torch.device | None = None,
    precision: str | None = None,
    slots: int = 8,
    offline: bool | None = None,
    lora: LoraNames | None = None,
) -> Toccata:
    """Load a model by short name, hub id or folder.

    device: cpu, cuda or mps. precision: fp32, bf16 or fp16; int8 and int4, on CPUs, keep the LM's
    matrices in so many bits (int4 is experimental). None picks what suits the machine.
    slots: how many requests run at once. lora: one or several files that `toccata train lora` has
    written, each FILE or FILE:scale ("style.safetensors:0.8"); they add up.
    Raises CheckpointError, InputError; GenerationError in a process that was forked from one that
    has loaded a model.
    """
    from toccata.models.loading import load_model
    from toccata.models.lora_names import labels

    check_name(name)
    slots = checked_slots(slots)
    check_process(_first_process(), "a model was loaded")
    model = load_model(name, device=device, precision=precision, offline=offline, lora=lora)
    return Toccata(model, slots, labels(lora))


@cache
def _first_process() -> int:
    """The process that first loaded a model: those forked from it remember its number."""
    return os.getpid()


class Toccata:
    """A loaded model that makes music. Threads may share one: their requests run in one batch.

    It is a context manager: `with toccata.load("mini") as model:` closes it at the end.
    """

    def __init__(self, model: Model, slots: int = 8, lora: str = "") -> None:
        """lora: what was added to the model, for the tags of what it makes."""
        engine = Engine(model, checked_slots(slots))
        self._parts: tuple[Model, Engine] | None = (model, engine)
        self._name = model.name
        self._pid = os.getpid()
        self._tags = {"lora": lora} if lora else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all requests and let go of the weights; nothing happens the second time.

        Whoever waits for a request gets CancelledError.
        """
        parts, self._parts = self._parts, None
        if parts is not None and self._pid == os.getpid():
            parts[1].close()

    @property
    def model(self) -> Model:
        """The model's parts. Raises ClosedError after `close`."""
        return self._open()[0]

    @property
    def _engine(self) -> Engine:
        return self._open()[1]

    def _open(self) -> tuple[Model, Engine]:
        if self._parts is None:
            raise ClosedError(f"the model {self._name} is closed; load it again")
        check_process(self._pid, f"the model {self._name} was loaded")
        return self._parts

    def warm_up(self) -> None:
        """Do now what the first clips would wait for, with room for all slots at full length.

        On CUDA that is seconds, and memory that would be taken later, or not at all; on a CPU it
        compiles kernels if none are kept from an earlier start. Raises InputError if the device's
        memory does not hold so many slots.
        """
        self._engine.warm_up()
        self.generate("music", duration_s=WARM_UP_S, seed=0)

    def generate(
        self,
        prompt: str | None = None,
        *,
        duration_s: float = 8.0,
        seed: int | None = None,
        melody: AudioInput | None = None,
        continue_from: AudioInput | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        temperature: float | None = None,
        cfg: float | None = None,
        cfg_beta: float | None = None,
        normalization: str = "loudness",
        stride_s: float | None = None,
        fade_in_s: float = 0.0,
        fade_out_s: float = 0.0,
        on_progress: OnProgress | None = None,
        on_audio: OnAudio | None = None,
        cancel: Cancel | None = None,
    ) -> Clip:
        """Generate one clip.

        Args:
            prompt: A description of the music. This and the arguments up to fade_out_s are the
                attributes of `GenerationRequest`, which describes them.
            on_progress: Called after every step.
            on_audio: Called with each second of audio as it becomes known, as `stream` yields it.
            cancel: Asked after every step whether to stop.

        Returns:
            The clip, [C, N] float32 at the rate of the model. With continue_from it is that audio,
            followed by duration_s of new audio.

        Raises:
            InputErrors: With every problem of the request.
            AudioError: Audio cannot be read.
            GenerationError: The request failed while it ran.
            CancelledError: `cancel` returned True.
        """
        check_callbacks(on_progress=on_progress, on_audio=on_audio, cancel=cancel)
        request = GenerationRequest(
            prompt=prompt, duration_s=duration_s, seed=seed, melody=melody,
            continue_from=continue_from, top_k=top_k, top_p=top_p, temperature=temperature,
            cfg=cfg, cfg_beta=cfg_beta, normalization=normalization, stride_s=stride_s,
            fade_in_s=fade_in_s, fade_out_s=fade_out_s,
        )  # fmt: skip
        return self._generate(self._resolved(request), on_progress, on_audio, cancel)

    def _generate(
        self,
        request: GenerationRequest,
        on_progress: OnProgress | None,
        on_audio: OnAudio | None,
        cancel: Cancel | None,
    ) -> Clip:
        running: list[RunningRequest] = []
        tick = _ticker(running, on_progress, cancel)
        with ExitStack() as ending:
            running.append(RunningRequest(request, self.model, self._engine))
            ending.callback(running[0].end)
            return self._clip(running[0], tick, on_audio)

    async def agenerate(
        self,
        prompt: str | None = None,
        *,
        on_progress: OnProgress | None = None,
        on_audio: OnAudio | None = None,
        cancel: Cancel | None = None,
        **options: Unpack[RequestOptions],
    ) -> Clip:
        """Generate one clip without blocking the event loop; otherwise as `generate`.

        Calls under way at the same time run in one batch. Cancelling the task ends the request
        after the step under way. The callbacks are called in another thread.
        """
        with Cancellation(cancel) as cancellation:
            return await in_thread(
                partial(
                    self.generate,
                    prompt,
                    on_progress=on_progress,
                    on_audio=on_audio,
                    cancel=cancellation,
                    **options,
                )
            )

    def generate_batch(
        self,
        wanted: Sequence[GenerationRequest | str | Mapping[str, Any]],
        *,
        on_progress: OnProgress | None = None,
        cancel: Cancel | None = None,
    ) -> list[Clip]:
        """Make clips of different prompts, lengths and parameters together, in order.

        Each is a prompt, the keyword arguments of `generate`, or a GenerationRequest, and comes out
        as it would alone. Progress is of all together. If one fails, all end with its error.

        Raises:
            InputError: `wanted` is no list.
            InputErrors: With every problem of every item; each is named "wanted[INDEX].FIELD".
            AudioError, GenerationError: Of one item; the message begins with "wanted[INDEX]: ".
            CancelledError: `cancel` returned True.
        """
        check_callbacks(on_progress=on_progress, cancel=cancel)
        clips = []
        for index, made in enumerate(self._each(wanted, on_progress, cancel, fail_at_once=True)):
            with _of_item(index):
                clips.append(_unless_failed(made))
        return clips

    def generate_each(
        self,
        wanted: Sequence[GenerationRequest | str | Mapping[str, Any]],
        *,
        on_progress: OnProgress | None = None,
        cancel: Cancel | None = None,
    ) -> Generator[Clip | ToccataError, None, None]:
        """Make clips together, as `generate_batch` does, and yield each, in order, once it is made.

        In the place of one that fails is its error, and the others go on. Closing the iterator
        ends what is not made yet. After Ctrl-C or `cancel`, those that are finished come all the
        same, with CancelledErrors in the places of the others, before it is raised. Raises what
        `generate_batch` raises of all items.
        """
        check_callbacks(on_progress=on_progress, cancel=cancel)
        return self._each(wanted, on_progress, cancel, fail_at_once=False)

    def _each(
        self,
        wanted: Sequence[GenerationRequest | str | Mapping[str, Any]],
        on_progress: OnProgress | None,
        cancel: Cancel | None,
        *,
        fail_at_once: bool,
    ) -> Generator[Clip | ToccataError, None, None]:
        begun: list[RunningRequest | ToccataError] = []
        running: list[RunningRequest] = []
        tick = _ticker(running, on_progress, cancel)
        with ExitStack() as ending:
            for index, request in enumerate(self._resolved_all(wanted)):
                one = _result(partial(RunningRequest, request, self.model, self._engine))
                begun.append(one)
                if isinstance(one, RunningRequest):
                    running.append(one)
                    ending.callback(one.end)
                elif fail_at_once:
                    with _of_item(index):
                        raise one
            stop: BaseException | None = None
            for one in begun:
                try:
                    made = self._made(one, tick) if stop is None else self._known(one)
                except (KeyboardInterrupt, CancelledError) as error:
                    if fail_at_once or stop is not None or self._parts is None:
                        raise
                    stop, made = error, self._known(one)
                yield made
            if stop is not None:
                raise stop

    def _made(
        self, one: RunningRequest | ToccataError, tick: Callable[[], None]
    ) -> Clip | ToccataError:
        return _result(partial(self._clip, one, tick)) if isinstance(one, RunningRequest) else one

    def _known(self, one: RunningRequest | ToccataError) -> Clip | ToccataError:
        """What was finished when the work was stopped is not lost."""
        if isinstance(one, RunningRequest) and not one.is_known:
            return CancelledError("stopped before it was made")
        return self._made(one, _nothing)

    def stream(
        self,
        prompt: str | None = None,
        *,
        chunk_s: float = 1.0,
        duration_s: float = 8.0,
        seed: int | None = None,
        melody: AudioInput | None = None,
        continue_from: AudioInput | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        temperature: float | None = None,
        cfg: float | None = None,
        cfg_beta: float | None = None,
        normalization: str = "loudness",
        stride_s: float | None = None,
        fade_in_s: float = 0.0,
        fade_out_s: float = 0.0,
    ) -> Generator[Waveform, None, None]:
        """Generate one clip and yield it as it becomes known.

        The chunks together are what `generate` makes before its normalization and fades, which
        need the whole clip and are left out here. Closing the iterator ends the request.

        Args:
            prompt: A description of the music. This and all arguments after chunk_s are the
                attributes of `GenerationRequest`, which describes them.
            chunk_s: Seconds of audio in each chunk, about.

        Raises:
            InputErrors: With every problem of the request.
            InputError: chunk_s is not above 0.
            AudioError: Audio cannot be read.
            GenerationError: The request failed while it ran.
        """
        chunk_s = checked_chunk_s(chunk_s)
        request = GenerationRequest(
            prompt=prompt, duration_s=duration_s, seed=seed, melody=melody,
            continue_from=continue_from, top_k=top_k, top_p=top_p, temperature=temperature,
            cfg=cfg, cfg_beta=cfg_beta, normalization=normalization, stride_s=stride_s,
            fade_in_s=fade_in_s, fade_out_s=fade_out_s,
        )  # fmt: skip
        chunk_frames = max(1, round(chunk_s * self.model.codec.frame_rate_hz))
        return self._stream(self._resolved(request), chunk_frames)

    async def astream(
        self,
        prompt: str | None = None,
        *,
        chunk_s: float = 1.0,
        **options: Unpack[RequestOptions],
    ) -> AsyncGenerator[Waveform, None]:
        """Generate one clip and yield it as it becomes known, without blocking the event loop.

        Otherwise as `stream`. Cancelling the task, or closing the iterator, ends the request.
        """
        async with aclosing(
            iterate_in_thread(self.stream(prompt, chunk_s=chunk_s, **options))
        ) as chunks:
            async for chunk in chunks:
                yield chunk

    def encode_decode(
        self, audio: AudioInput, *, normalization: str = "clip", cancel: Cancel | None = None
    ) -> Clip:
        """What the codec makes of `audio`, of any length, at the model's rate and channels.

        Args:
            audio: As melody and continue_from may be: see `GenerationRequest`.
            normalization: loudness, peak, rms or clip.
            cancel: Ends the work, within a few seconds of audio, once it returns True.

        Raises:
            InputError: `audio` is nothing that can be read, or without samples.
            AudioError: It cannot be read as audio.
            CancelledError: `cancel` returned True.
        """
        check_callbacks(cancel=cancel)
        tick = _ticker((), None, cancel)
        codec = self.model.codec
        given = to_model_channels(
            resample(read_audio(audio, "audio"), codec.sample_rate_hz), codec.channels
        )
        length = given.samples.shape[1]
        if length == 0:
            raise InputError("audio", None, "give audio that is not empty", "holds no samples")
        codes = codec.encode(torch.from_numpy(given.samples)[None].to(self.model.device), tick)
        decoded = _decoded(codec, codes[0], tick)[:, :length].cpu().numpy()
        parameters = {"normalization": normalization}
        clip = Clip(decoded, codec.sample_rate_hz, model=self.model.name, parameters=parameters)
        return level(clip, normalization)

    def _resolved(self, wanted: GenerationRequest | str | Mapping[str, Any]) -> GenerationRequest:
        return GenerationRequest.of(wanted).resolve(self.model.defaults, self.model.segment_s)

    def _resolved_all(
        self, wanted: Sequence[GenerationRequest | str | Mapping[str, Any]]
    ) -> list[GenerationRequest]:
        requests: list[GenerationRequest] = []
        problems: list[InputError] = []
        for index, one in enumerate(listed(wanted)):
            try:
                check_item(index, one)
                with _of_item(index):
                    requests.append(self._resolved(one))
            except InputErrors as error:
                problems += error.problems
            except InputError as error:
                problems.append(error)
        if problems:
            raise InputErrors(problems)
        return requests

    def _clip(
        self, one: RunningRequest, tick: Callable[[], None], on_audio: OnAudio | None = None
    ) -> Clip:
        request, rate = one.request, self.model.codec.sample_rate_hz
        pieces = []
        for piece in one.audio(DECODE_FRAMES if on_audio is None else LISTENER_FRAMES, tick):
            pieces.append(piece)
            if on_audio is not None and piece.shape[1]:
                on_audio(Waveform(piece.copy(), rate))  # a listener may change what it gets
        clip = Clip(
            np.concatenate(pieces, axis=1),
            rate,
            seed=request.seed or 0,
            model=self.model.name,
            prompt=request.prompt or "",
            parameters={**request.parameters(), **self._tags},
        )
        clip = level(clip, request.normalization)
        return fade(clip, request.fade_in_s, request.fade_out_s)

    def _stream(
        self, request: GenerationRequest, chunk_frames: int
    ) -> Generator[Waveform, None, None]:
        one = RunningRequest(request, self.model, self._engine)
        try:
            for samples in one.audio(chunk_frames, _nothing):
                if samples.shape[1]:
                    yield Waveform(samples, self.model.codec.sample_rate_hz)
        finally:
            one.end()


def _decoded(codec: Codec, codes: torch.Tensor, tick: Callable[[], None]) -> torch.Tensor:
    """Codes [K, T] as audio [C, N], with a `tick` before every block."""
    stream, pieces = codec.stream(), []
    for start in range(0, codes.shape[1], DECODE_FRAMES):
        tick()
        pieces.append(stream.push(codes[:, start : start + DECODE_FRAMES]))
    return torch.cat([*pieces, stream.finish()], -1)


def _ticker(
    running: Sequence[RunningRequest], on_progress: OnProgress | None, cancel: Cancel | None
) -> Callable[[], None]:
    def tick() -> None:
        if cancel is not None and cancel():
            raise CancelledError("stopped on request")
        if on_progress is not None:
            done = sum(one.sequence.ready for one in running)
            on_progress(Progress(done, sum(one.sequence.request.frames for one in running)))

    return tick


@contextmanager
def _of_item(index: int) -> Iterator[None]:
    """Errors from inside say of which item of a batch they are."""
    try:
        yield
    except CancelledError:
        raise
    except InputError as error:
        for problem in error.problems if isinstance(error, InputErrors) else (error,):
            problem.field = f"wanted[{index}].{problem.field}"
            problem.args = (f"wanted[{index}].{problem}",)
        raise
    except ToccataError as error:
        error.args = (f"wanted[{index}]: {error}",)
        raise


def _result(make: Callable[[], T]) -> T | ToccataError:
    """What `make` returns, or the error of this item of a batch alone."""
    try:
        return make()
    except (CancelledError, ClosedError):
        raise
    except ToccataError as error:
        return error


def _unless_failed(made: Clip | ToccataError) -> Clip:
    if isinstance(made, ToccataError):
        raise made
    return made


def _nothing() -> None:
    """The tick of a stream: whoever reads it sees its progress, and closes it to stop."""
