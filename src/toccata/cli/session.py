"""Run checked inputs with the library: load the model, read the audio, generate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, cast

from toccata.audio.waveform import Waveform
from toccata.cli.batch import of_line, placed
from toccata.cli.inputs import Inputs
from toccata.cli.report import Advance, Stop, interruptible, say, working
from toccata.cli.results import Made, Task
from toccata.cli.sources import open_audio, short_name
from toccata.errors import (
    AudioError,
    CancelledError,
    CheckpointError,
    InputError,
    ToccataError,
)
from toccata.generation.clip import Clip, Progress
from toccata.generation.schema import ENCODE_DECODE
from toccata.settings import Settings

if TYPE_CHECKING:
    from toccata.audio.source import Source
    from toccata.generation.handle import Toccata
    from toccata.generation.request import GenerationRequest

PartKey = tuple[object, bool, str]
Announce = Callable[[], None]
Given = tuple[Inputs, Waveform | None]

COMPILING = "compiling kernels for this processor: once, for half a minute at most"


def open_model(machine: Settings, name: str, announce: Announce) -> Toccata:
    """Load the model called `name`; encode-decode is a task, which the settings' model does.

    Args:
        machine: The device, the precision and the rest.
        name: A short name, hub id or folder.
        announce: Says that kernels are being compiled.
    """
    import toccata

    name = machine.model if name == ENCODE_DECODE else name
    with working(f"loading {name}"):
        model = toccata.load(
            name,
            device=machine.device,
            precision=machine.precision,
            slots=machine.slots,
            offline=machine.offline or None,
            lora=machine.lora,
        )
    _compile(model, machine.device, announce)
    return model


@contextmanager
def announcing(device: str | None) -> Iterator[Announce]:
    """Say so when kernels are compiled while the block runs: that makes the first clip late.

    Yields:
        A function that says it; however often it is called, it is said once.
    """
    from toccata.devices import pick_device
    from toccata.kernels import compiling

    announce = cache(lambda: say(COMPILING))
    if pick_device(device).type != "cpu":
        yield announce
        return
    with compiling.announcing(announce):
        yield announce


def _compile(model: Toccata, device: str | None, announce: Announce) -> None:
    """Compile beforehand where nothing is compiled yet, which is known without trying."""
    from toccata.devices import pick_device
    from toccata.kernels.compiling import cache_folder, is_cold

    if pick_device(device).type == "cpu" and is_cold(cache_folder()):
        announce()
        with working("compiling"):
            model.warm_up()


def compose(machine: Settings, tasks: Sequence[Task], stop: Stop) -> Iterator[Made]:
    """The clips of all tasks, each as soon as it is made: each model is loaded once.

    In the place of what fails is its error, and the rest goes on. After a `stop`, only what is
    finished is still given. All audio is checked before the
    first model is loaded, and no more of it is held than one batch takes.
    """
    parts = PartReader(max_kept=machine.slots)
    if any(task.inputs.audio is not None for task in tasks):
        with working("reading audio"):
            for task in tasks:
                parts.check(task.inputs, task.origin)
    with announcing(machine.device) as announce:
        for name in dict.fromkeys(task.inputs.model for task in tasks):
            if stop.is_set:
                return
            own = [task for task in tasks if task.inputs.model == name]
            try:
                model = open_model(machine, name, announce)
                yield from _made_by(model, own, machine.slots, parts, stop)
            except (CheckpointError, InputError) as error:  # of the model, or of all its tasks
                yield own[0], error


def _made_by(
    model: Toccata, own: Sequence[Task], slots: int, parts: PartReader, stop: Stop
) -> Iterator[Made]:
    for start in range(0, len(own), slots):
        if stop.is_set:
            return
        batch, given = [], []
        for task in own[start : start + slots]:
            try:
                given.append((task.inputs, parts.read(task.inputs)))
                batch.append(task)
            except (AudioError, InputError) as error:  # it was changed since it was checked
                yield task, placed(error, task.origin)
        if not batch:
            continue
        doing = "composing" if len(own) <= slots else f"composing from {start + 1}"
        made = _make(model, given, doing, stop)
        for task, result in zip(batch, made, strict=True):
            if isinstance(result, CancelledError):
                continue  # that it was stopped is told once, at the end
            if isinstance(result, ToccataError):
                yield task, placed(result, task.origin)
            else:
                yield task, result


def _make(
    model: Toccata, given: Sequence[Given], doing: str, stop: Stop
) -> Iterator[Clip | ToccataError]:
    """The clips of tasks that fit into the engine at once; no bar is there while one is written."""
    if given[0][0].model == ENCODE_DECODE:
        with working("encoding and decoding"):
            coded = [_coded(model, inputs, part) for inputs, part in given if part is not None]
        yield from coded
        return
    began_s, bars = time.monotonic(), list[Advance]()

    def on_progress(progress: Progress) -> None:
        bars[-1](progress.done_frames, progress.total_frames)

    requests = [_request(inputs, part) for inputs, part in given]
    each = model.generate_each(requests, on_progress=on_progress, cancel=lambda: stop.is_set)
    with closing(each) as results:
        for inputs, part in given:
            with working(doing, began_s) as advance:
                bars.append(advance)
                result = next(results)
            made_s = time.monotonic() - began_s
            if isinstance(result, ToccataError):
                yield result
            else:
                yield _sourced(result, inputs, part)
        with interruptible(doing):
            next(results, None)  # raises what stopped the work
    say(f"composed in {made_s:.1f} s")


def _coded(model: Toccata, inputs: Inputs, part: Waveform) -> Clip:
    return model.encode_decode(part, normalization=inputs.request.normalization)


@dataclass(frozen=True)
class Stream:
    """Music that is played while it is generated.

    Attributes:
        chunks: The audio; of a continuation, the first chunk is the audio that it continues.
        new_s: Seconds of new audio.
        continues: Whether it is a continuation.
    """

    chunks: Iterator[Waveform]
    new_s: float
    continues: bool


def stream(machine: Settings, inputs: Inputs) -> Stream:
    """Generate the music of `inputs` piece by piece."""
    if inputs.model == ENCODE_DECODE:
        raise InputError("model", ENCODE_DECODE, "it cannot be streamed: write a file")
    part = PartReader().read(inputs)
    request = _request(inputs, part)
    chunks = _chunks(machine, inputs.model, request)
    return Stream(chunks, request.duration_s, request.continue_from is not None)


def _chunks(machine: Settings, name: str, request: GenerationRequest) -> Iterator[Waveform]:
    with announcing(machine.device) as announce:
        model = open_model(machine, name, announce)
        say(f"seed {request.seed}")
        yield from model.stream(**dict(request))


class PartReader:
    """Reads the parts of audio files that requests use."""

    def __init__(self, max_kept: int = 0) -> None:
        """max_kept: of the parts that are checked, so many stay in memory."""
        self._max_kept = max_kept
        self._kept: dict[PartKey, Waveform | None] = {}
        self._checked: set[PartKey] = set()
        self._sources: dict[str, Source] = {}  # stdin can be read but once

    def check(self, inputs: Inputs, origin: str) -> None:
        """Read the part of a request, for its errors and warnings.

        Args:
            inputs: The request.
            origin: The line that it comes from, which errors name; or nothing.

        Raises:
            AudioError: For what cannot be read.
            InputError: For a part that starts after the end.
        """
        key = self._key(inputs)
        if key in self._checked:
            return
        with of_line(origin):
            part = self.read(inputs)
        self._checked.add(key)
        if len(self._kept) < self._max_kept:
            self._kept[key] = part

    def read(self, inputs: Inputs) -> Waveform | None:
        """The part of a request; what is wrong with it goes to stderr, once."""
        key = self._key(inputs)
        if key in self._kept:
            return self._kept[key]
        return self._read(inputs, quiet=key in self._checked)

    def _key(self, inputs: Inputs) -> PartKey:
        """All that decides what is read."""
        from toccata.generation.source_audio import part_in_use

        return part_in_use(inputs.request, inputs.model), inputs.continues, inputs.model

    def _read(self, inputs: Inputs, *, quiet: bool) -> Waveform | None:
        from toccata.generation import source_audio

        part = source_audio.part_in_use(inputs.request, inputs.model)
        if part is None:
            return None
        name = str(part.file)
        if name not in self._sources:
            self._sources[name] = open_audio(name, inputs.audio_name)
        warn: source_audio.Warn = (lambda _: None) if quiet else _warn
        try:
            waveform = source_audio.read_part(
                part, inputs.audio_name, source=self._sources[name], warn=warn
            )
        except InputError as error:
            raise inputs.renamed(error) from error
        if inputs.model != ENCODE_DECODE:
            source_audio.check_long_enough(waveform, inputs.audio_name)
        return waveform


def _warn(text: str) -> None:
    say(f"warning: {text}")


def _request(inputs: Inputs, part: Waveform | None) -> GenerationRequest:
    """The request of `inputs` with its audio in memory."""
    request = inputs.request if part is None else inputs.request.with_audio(part)
    return cast("GenerationRequest", request)


def _sourced(clip: Clip, inputs: Inputs, part: Waveform | None) -> Clip:
    """`clip` with tags that name the audio it was made from."""
    source = inputs.audio
    if source is None or part is None:
        return clip
    role = "continuation_of" if inputs.continues else "melody_of"
    tags = {
        role: short_name(str(source.file)),
        f"{role}_start_s": f"{source.start_s:g}",
        f"{role}_end_s": f"{source.start_s + part.duration_s:.6g}",
    }
    return replace(clip, parameters={**clip.parameters, **tags})
