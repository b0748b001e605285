"""The Python library: `load` a model, and generate with the `Toccata` that it returns."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, Unpack

import torch

from toccata.audio.audio_input import AudioInput
from toccata.audio.waveform import Waveform
from toccata.engine.engine import Engine
from toccata.errors import ClosedError, ToccataError
from toccata.generation.asynchronous import Cancellation, in_thread, iterate_in_thread
from toccata.generation.batch import AnyRequest, BatchRun, Requests, of_item, resolve_all
from toccata.generation.clip import Clip
from toccata.generation.pipeline import Cancel, OnAudio, OnProgress, Pipeline, ticker
from toccata.generation.request import (
    EncodeDecodeRequest,
    GenerationRequest,
    RequestOptions,
    check_callbacks,
    check_name,
    checked_chunk_s,
    checked_slots,
)
from toccata.generation.running import check_process
from toccata.models.model import Model

if TYPE_CHECKING:
    from toccata.models.lora_names import LoraNames

WARM_UP_S = 0.1


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

    Args:
        name: A short name (`toccata models list`), a hub id, or a folder.
        device: cpu, cuda or mps. None: the fastest one available.
        precision: fp32, bf16 or fp16; on CPUs also int8 and int4 (experimental), which keep the
            matrices of the language model in so many bits. None: the fastest for the device.
        slots: The number of requests that run at the same time.
        offline: Use only weights that are on this machine. None: as TOCCATA_OFFLINE says.
        lora: One or several LoRA files, each FILE or FILE:SCALE ("style.safetensors:0.8"); their
            updates add up.

    Returns:
        The loaded model, which is also a context manager that closes it.

    Raises:
        InputError: An argument is wrong.
        CheckpointError: A file of the model is missing, damaged or of an unknown kind.
        GenerationError: This process was forked from one that has loaded a model.
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
    """A loaded model that generates music.

    Threads may share one: their requests run in one batch. As a context manager it closes itself:
    `with toccata.load("mini") as model:`.

    Args:
        model: The parts of the model.
        slots: The number of requests that run at the same time.
        lora: The names of the LoRAs in the model, for the tags of its clips.
    """

    def __init__(self, model: Model, slots: int = 8, lora: str = "") -> None:
        engine = Engine(model, checked_slots(slots))
        self._pipeline: Pipeline | None = Pipeline(model, engine, {"lora": lora} if lora else {})
        self._name = model.name
        self._pid = os.getpid()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all requests and release the weights; a second call does nothing.

        Requests under way end with CancelledError.
        """
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None and self._pid == os.getpid():
            pipeline.engine.close()

    @property
    def model(self) -> Model:
        """The parts of the model. Raises ClosedError after `close`."""
        return self._open().model

    @property
    def _engine(self) -> Engine:
        return self._open().engine

    def _open(self) -> Pipeline:
        if self._pipeline is None:
            raise ClosedError(f"the model {self._name} is closed; load it again")
        check_process(self._pid, f"the model {self._name} was loaded")
        return self._pipeline

    def warm_up(self) -> None:
        """Prepare everything that the first clips would wait for, for all slots at full length.

        On CUDA that takes seconds, and memory that would be taken later, or not at all; on a CPU
        it compiles kernels if none are cached from an earlier start.

        Raises:
            InputError: The memory of the device does not hold so many slots.
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
        return self._generate(self.resolve(request), on_progress, on_audio, cancel)

    def _generate(
        self,
        request: GenerationRequest,
        on_progress: OnProgress | None,
        on_audio: OnAudio | None,
        cancel: Cancel | None,
    ) -> Clip:
        pipeline = self._open()
        running = pipeline.start(request)
        try:
            return pipeline.finish(running, ticker((running,), on_progress, cancel), on_audio)
        finally:
            running.end()

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
        wanted: Requests,
        *,
        on_progress: OnProgress | None = None,
        cancel: Cancel | None = None,
    ) -> list[Clip]:
        """Generate the clips of several requests together, in one batch.

        Args:
            wanted: The requests, of any prompts, lengths and parameters: each a prompt, the keyword
                arguments of `generate`, or a GenerationRequest.
            on_progress: Called after every step with the progress of all together.
            cancel: Asked after every step whether to stop.

        Returns:
            The clips in the order of the requests, each as it would be alone.

        Raises:
            InputError: `wanted` is no list.
            InputErrors: With every problem of every item; each is named "wanted[INDEX].FIELD".
            AudioError, GenerationError: Of one item; the message begins with "wanted[INDEX]: ".
            CancelledError: `cancel` returned True.
        """
        check_callbacks(on_progress=on_progress, cancel=cancel)
        clips = []
        for index, made in enumerate(self._each(wanted, on_progress, cancel, fail_at_once=True)):
            if isinstance(made, ToccataError):
                with of_item(index):
                    raise made
            clips.append(made)
        return clips

    def generate_each(
        self,
        wanted: Requests,
        *,
        on_progress: OnProgress | None = None,
        cancel: Cancel | None = None,
    ) -> Generator[Clip | ToccataError, None, None]:
        """Generate clips together, as `generate_batch`, and yield each once it is finished.

        A request that fails yields its error in its place, and the others go on. Closing the
        iterator ends what is unfinished. After Ctrl-C or `cancel`, clips that are finished are
        still yielded, with CancelledErrors in the places of the others, before it is raised.

        Raises:
            InputError, InputErrors: As `generate_batch`.
        """
        check_callbacks(on_progress=on_progress, cancel=cancel)
        return self._each(wanted, on_progress, cancel, fail_at_once=False)

    def _each(
        self,
        wanted: Requests,
        on_progress: OnProgress | None,
        cancel: Cancel | None,
        *,
        fail_at_once: bool,
    ) -> Generator[Clip | ToccataError, None, None]:
        requests = resolve_all(wanted, self.resolve)
        run = BatchRun(
            self._open(), fail_at_once=fail_at_once, is_closed=lambda: self._pipeline is None
        )
        yield from run.clips(requests, on_progress, cancel)

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
        return self._open().stream(self.resolve(request), chunk_frames)

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
        """Pass audio of any length through the codec alone.

        Args:
            audio: The audio, as melody and continue_from of `GenerationRequest`.
            normalization: How the result is leveled: loudness, peak, rms or clip.
            cancel: Ends the work, within a few seconds of audio, once it returns True.

        Returns:
            The decoded audio, at the rate and with the channels of the model.

        Raises:
            InputError: `audio` is nothing that can be read, or has no samples.
            AudioError: It cannot be read as audio.
            CancelledError: `cancel` returned True.
        """
        check_callbacks(cancel=cancel)
        request = EncodeDecodeRequest(audio=audio, normalization=normalization)
        return self._open().encode_decode(request, ticker((), None, cancel))

    def resolve(self, wanted: AnyRequest) -> GenerationRequest:
        """Check a request against this model, and fill in its defaults and a seed.

        Args:
            wanted: A prompt, the keyword arguments of `generate`, or a GenerationRequest.

        Returns:
            The request that `generate` runs; generating it again gives the same clip.

        Raises:
            InputErrors: With the problems of the request.
            AudioError: Audio cannot be read.
        """
        return GenerationRequest.of(wanted).resolve(self.model.defaults, self.model.segment_s)
