"""Run checked inputs with the library: load the model, read the audio, generate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toccata.audio.waveform import Waveform
from toccata.cli.batch import of_line, placed
from toccata.cli.report import Advance, Stop, interruptible, say, working
from toccata.cli.results import Made, Task
from toccata.cli.sources import open_audio, short_name
from toccata.errors import (
    AudioError,
    CancelledError,
    CheckpointError,
    InputError,
    InputErrors,
    ToccataError,
)
from toccata.generation.clip import Clip, Progress
from toccata.generation.inputs import Inputs
from toccata.generation.request import MAX_BETA, is_number, request_options
from toccata.generation.schema import ENCODE_DECODE
from toccata.settings import Settings

if TYPE_CHECKING:
    from toccata.audio.source import Source
    from toccata.generation.handle import Toccata

PartKey = tuple[str | Path | None, float, float | None, float, bool, str]
Announce = Callable[[], None]
Given = tuple[Inputs, Waveform | None]

MAX_FADE_S = 600
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


@dataclass(frozen=True)
class Extras:
    """What the library takes beside the 14 inputs. None: by the model."""

    stride_s: float | None = None
    cfg_beta: float | None = None
    fade_in_s: float = 0.0
    fade_out_s: float = 0.0

    def __post_init__(self) -> None:
        """Raises InputErrors for what no model takes."""
        problems = []
        if self.stride_s is not None and not 0 < self.stride_s < inf:
            allowed = "it must be more than 0 and at most the model's segment"
            problems.append(InputError("stride_s", self.stride_s, allowed))
        if self.cfg_beta is not None and not is_number(self.cfg_beta, MAX_BETA):
            problems.append(InputError("cfg_beta", self.cfg_beta, f"use 0 to {MAX_BETA}"))
        for name in ("fade_in_s", "fade_out_s"):
            if not is_number(value := getattr(self, name), MAX_FADE_S):
                problems.append(InputError(name, value, f"use 0 to {MAX_FADE_S} seconds"))
        if problems:
            raise InputErrors(problems)


def compose(machine: Settings, tasks: Sequence[Task], extras: Extras, stop: Stop) -> Iterator[Made]:
    """The clips of all tasks, each as soon as it is made: each model is loaded once.

    In the place of what fails is its error, and the rest goes on. After a `stop`, only what is
    finished is still given. All audio is checked before the
    first model is loaded, and no more of it is held than one batch takes.
    """
    parts = PartReader(max_kept=machine.slots)
    if any(task.inputs.input_audio is not None for task in tasks):
        with working("reading audio"):
            for task in tasks:
                parts.check(task.inputs, task.origin)
    with announcing(machine.device) as announce:
        for name in dict.fromkeys(task.inputs.model_version for task in tasks):
            if stop.is_set:
                return
            own = [task for task in tasks if task.inputs.model_version == name]
            try:
                model = open_model(machine, name, announce)
                yield from _made_by(model, own, machine.slots, parts, extras=extras, stop=stop)
            except (CheckpointError, InputError) as error:  # of the model, or of all its tasks
                yield own[0], error


def _made_by(
    model: Toccata,
    own: Sequence[Task],
    slots: int,
    parts: PartReader,
    *,
    extras: Extras,
    stop: Stop,
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
        made = _make(model, given, doing, extras=extras, stop=stop)
        for task, result in zip(batch, made, strict=True):
            if isinstance(result, CancelledError):
                continue  # that it was stopped is told once, at the end
            if isinstance(result, ToccataError):
                yield task, placed(result, task.origin)
            else:
                yield task, result


def _make(
    model: Toccata, given: Sequence[Given], doing: str, *, extras: Extras, stop: Stop
) -> Iterator[Clip | ToccataError]:
    """The clips of tasks that fit into the engine at once; no bar is there while one is written."""
    if given[0][0].model_version == ENCODE_DECODE:
        with working("encoding and decoding"):
            coded = [_coded(model, inputs, part) for inputs, part in given if part is not None]
        yield from coded
        return
    began_s, bars = time.monotonic(), list[Advance]()

    def on_progress(progress: Progress) -> None:
        bars[-1](progress.done_frames, progress.total_frames)

    requests = [_request(inputs, part, extras) for inputs, part in given]
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
    return model.encode_decode(part, normalization=inputs.normalization_strategy)


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


def stream(machine: Settings, inputs: Inputs, extras: Extras) -> Stream:
    """The music of `inputs`, piece by piece while it is made."""
    if inputs.model_version == ENCODE_DECODE:
        raise InputError("model_version", ENCODE_DECODE, "it cannot be streamed: write a file")
    part = PartReader().read(inputs)
    return Stream(_chunks(machine, inputs, part, extras), inputs.duration, inputs.continuation)


def _chunks(
    machine: Settings, inputs: Inputs, part: Waveform | None, extras: Extras
) -> Iterator[Waveform]:
    with announcing(machine.device) as announce:
        model = open_model(machine, inputs.model_version, announce)
        say(f"seed {inputs.seed}")
        yield from model.stream(**_request(inputs, part, extras))


class PartReader:
    """Reads the parts of input_audio that requests use."""

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
        key = _part_key(inputs)
        if key in self._checked:
            return
        with of_line(origin):
            part = self.read(inputs)
        self._checked.add(key)
        if len(self._kept) < self._max_kept:
            self._kept[key] = part

    def read(self, inputs: Inputs) -> Waveform | None:
        """The part of a request; what is wrong with it goes to stderr, once."""
        key = _part_key(inputs)
        if key in self._kept:
            return self._kept[key]
        return _input_part(inputs, self._sources, quiet=key in self._checked)


def _part_key(inputs: Inputs) -> PartKey:
    """All that decides what is read."""
    audio, start_s, end_s = inputs.input_audio, inputs.continuation_start, inputs.continuation_end
    return audio, start_s, end_s, inputs.duration, inputs.continuation, inputs.model_version


def _input_part(inputs: Inputs, sources: dict[str, Source], *, quiet: bool) -> Waveform | None:
    from toccata.generation.source_audio import input_part

    audio = inputs.input_audio
    if audio is None:
        return None
    if str(audio) not in sources:
        sources[str(audio)] = open_audio(audio, "input_audio")
    return input_part(
        inputs,
        inputs.model_version,
        (lambda _: None) if quiet else (lambda text: say(f"warning: {text}")),
        source=sources[str(audio)],
    )


def _request(inputs: Inputs, part: Waveform | None, extras: Extras) -> dict[str, Any]:
    """The fields of a `GenerationRequest`, for `inputs`."""
    return {**request_options(inputs, part), **asdict(extras)}


def _sourced(clip: Clip, inputs: Inputs, part: Waveform | None) -> Clip:
    """`clip` with tags that say which audio it was made from."""
    if inputs.input_audio is None or part is None:
        return clip
    role = "continuation_of" if inputs.continuation else "melody_of"
    start_s = inputs.continuation_start
    source = {
        role: short_name(inputs.input_audio),
        f"{role}_start_s": f"{start_s:g}",
        f"{role}_end_s": f"{start_s + part.duration_s:.6g}",
    }
    return replace(clip, parameters={**clip.parameters, **source})
