"""Run checked inputs with the library: load the model, read the audio, generate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

from toccata.audio.waveform import Waveform
from toccata.cli.batch import of_line, placed
from toccata.cli.inputs import Inputs
from toccata.cli.report import Advance, Stop, interruptible, say, working
from toccata.cli.results import Task, TaskResult
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
from toccata.generation.schema import ENCODE_DECODE
from toccata.settings import Settings

if TYPE_CHECKING:
    from toccata.audio.uris import NamedBytes
    from toccata.generation.handle import Toccata
    from toccata.generation.request import GenerationRequest

PartKey = tuple[object, bool, str]
Announce = Callable[[], None]
TaskInput = tuple[Inputs, Waveform | None, "GenerationRequest | None"]

COMPILING = "compiling kernels for this processor: once, for half a minute at most"


def open_model(machine: Settings, name: str, announce: Announce) -> Toccata:
    """Load a model.

    Args:
        machine: The device, the precision and other settings.
        name: A short name, hub id or folder; for encode-decode, the model of the settings is used.
        announce: Reports that kernels are being compiled.
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
    """Report if kernels are compiled while the block runs, which delays the first clip.

    Yields:
        A function that reports it, once for any number of calls.
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
    """Compile kernels before generation if the cache is empty."""
    from toccata.devices import pick_device
    from toccata.kernels.compiling import cache_folder, is_cold

    if pick_device(device).type == "cpu" and is_cold(cache_folder()):
        announce()
        with working("compiling"):
            model.warm_up()


def compose(machine: Settings, tasks: Sequence[Task], stop: Stop) -> Iterator[TaskResult]:
    """Yield the clip or the error of every task as soon as it is finished.

    Each model is loaded once. All input audio is checked before the first model is loaded, and the
    audio of one batch is in memory at a time.

    Args:
        machine: The device and other settings.
        tasks: The clips to generate.
        stop: After it is set, only finished clips are yielded.
    """
    with closing(PartReader(max_kept=machine.slots)) as parts:
        yield from _compose(machine, tasks, parts, stop)


def _compose(
    machine: Settings, tasks: Sequence[Task], parts: PartReader, stop: Stop
) -> Iterator[TaskResult]:
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
                yield from _results_of(model, own, machine.slots, parts, stop)
            except (CheckpointError, InputError) as error:  # of the model, or of all its tasks
                yield own[0], error


def _results_of(
    model: Toccata, own: Sequence[Task], slots: int, parts: PartReader, stop: Stop
) -> Iterator[TaskResult]:
    for start in range(0, len(own), slots):
        if stop.is_set:
            return
        batch, task_inputs = [], []
        for task in own[start : start + slots]:
            try:
                task_inputs.append(_prepared(model, task.inputs, parts))
                batch.append(task)
            except (AudioError, InputError) as error:
                yield task, placed(_named(error, task.inputs), task.origin)
        if not batch:
            continue
        doing = "composing" if len(own) <= slots else f"composing from {start + 1}"
        results = _generate(model, task_inputs, doing, stop)
        for task, result in zip(batch, results, strict=True):
            if isinstance(result, CancelledError):
                continue  # the stop is reported once, at the end
            if isinstance(result, ToccataError):
                yield task, placed(result, task.origin)
            else:
                yield task, result


def _generate(
    model: Toccata, task_inputs: Sequence[TaskInput], doing: str, stop: Stop
) -> Iterator[Clip | ToccataError]:
    """Yield the clips of one batch; there is no progress bar while the caller writes one."""
    if task_inputs[0][0].model == ENCODE_DECODE:
        yield from _coded(model, task_inputs, stop)
        return
    began_s, bars = time.monotonic(), list[Advance]()

    def on_progress(progress: Progress) -> None:
        bars[-1](progress.done_frames, progress.total_frames)

    requests = [request for _, _, request in task_inputs if request is not None]
    each = model.generate_each(requests, on_progress=on_progress, cancel=lambda: stop.is_set)
    with closing(each) as results:
        for inputs, part, _ in task_inputs:
            with working(doing, began_s) as advance:
                bars.append(advance)
                result = next(results)
            elapsed_s = time.monotonic() - began_s
            if isinstance(result, ToccataError):
                yield result
            else:
                yield _sourced(result, inputs, part)
        with interruptible(doing):
            next(results, None)  # raises what stopped the work
    say(f"composed in {elapsed_s:.1f} s")


def _prepared(model: Toccata, inputs: Inputs, parts: PartReader) -> TaskInput:
    """Read the audio of a task, and check its request against the model."""
    part = parts.read(inputs)
    if inputs.model == ENCODE_DECODE:
        return inputs, part, None
    return inputs, part, model.resolve(_request(inputs, part))


def _named(error: ToccataError, inputs: Inputs) -> ToccataError:
    """`error` with the names that the inputs were given under."""
    if isinstance(error, InputErrors):
        return InputErrors([inputs.renamed(problem) for problem in error.problems])
    return inputs.renamed(error) if isinstance(error, InputError) else error


def _coded(
    model: Toccata, task_inputs: Sequence[TaskInput], stop: Stop
) -> Iterator[Clip | ToccataError]:
    for inputs, part, _ in task_inputs:
        if stop.is_set:
            yield CancelledError("stopped before it was coded")
        elif part is not None:
            with working("encoding and decoding"):
                result = _encode_decode(model, part, inputs.request.normalization)
            yield result


def _encode_decode(model: Toccata, part: Waveform, normalization: str) -> Clip | ToccataError:
    try:
        return model.encode_decode(part, normalization=normalization)
    except (AudioError, InputError) as error:
        return error


@dataclass(frozen=True)
class Stream:
    """Audio that is written while it is generated.

    Attributes:
        chunks: The audio; the first chunk of a continuation is the input audio.
        new_s: The seconds of new audio.
        continues: Whether it is a continuation.
    """

    chunks: Iterator[Waveform]
    new_s: float
    continues: bool


def stream(machine: Settings, inputs: Inputs) -> Stream:
    """Generate the music of `inputs` piece by piece."""
    if inputs.model == ENCODE_DECODE:
        raise InputError("model", ENCODE_DECODE, "it cannot be streamed: write a file")
    with closing(PartReader()) as parts:
        part = parts.read(inputs)
    request = _request(inputs, part)
    chunks = _chunks(machine, inputs.model, request)
    return Stream(chunks, request.duration_s, request.continue_from is not None)


def _chunks(machine: Settings, name: str, request: GenerationRequest) -> Iterator[Waveform]:
    with announcing(machine.device) as announce:
        model = open_model(machine, name, announce)
        say(f"seed {request.seed}")
        yield from model.stream(**dict(request))


class PartReader:
    """Reads the parts of audio files that requests use.

    Args:
        max_kept: The number of checked parts that stay in memory.
    """

    def __init__(self, max_kept: int = 0) -> None:
        self._max_kept = max_kept
        self._kept: dict[PartKey, Waveform | None] = {}
        self._checked: set[PartKey] = set()
        self._files: dict[str, tuple[Path, str]] = {}  # of what is no file, by what was given
        self._folder: TemporaryDirectory[str] | None = None

    def close(self) -> None:
        """Remove the temporary files."""
        if self._folder is not None:
            self._folder.cleanup()

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
        """Return the part of a request; warnings about it are written to stderr once."""
        key = self._key(inputs)
        if key in self._kept:
            return self._kept[key]
        return self._read(inputs, quiet=key in self._checked)

    def _key(self, inputs: Inputs) -> PartKey:
        """Return all inputs that determine which part is read."""
        from toccata.generation.source_audio import part_in_use

        return part_in_use(inputs.request, inputs.model), inputs.continues, inputs.model

    def _read(self, inputs: Inputs, *, quiet: bool) -> Waveform | None:
        from toccata.generation import source_audio

        part = source_audio.part_in_use(inputs.request, inputs.model)
        if part is None:
            return None
        path, shown = self._file(str(part.file), inputs.audio_name)
        warn: source_audio.Warn = (lambda _: None) if quiet else _warn
        try:
            waveform = source_audio.read_part(
                part, inputs.audio_name, shown=shown, source=path, warn=warn
            )
        except InputError as error:
            raise inputs.renamed(error) from error
        if inputs.model != ENCODE_DECODE:
            source_audio.check_long_enough(waveform, inputs.audio_name)
        return waveform

    def _file(self, given: str, field: str) -> tuple[Path, str]:
        """The file with the audio that was given, and its name in messages.

        Standard input can be read only once, and downloads of many requests do not fit into memory:
        both are written to temporary files.
        """
        if given not in self._files:
            source = open_audio(given, field)
            if isinstance(source, str | Path):
                return Path(source), str(source)
            self._files[given] = self._spooled(source), source.name
        return self._files[given]

    def _spooled(self, source: NamedBytes) -> Path:
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="toccata-input-")
        path = Path(self._folder.name) / str(len(self._files))
        try:
            path.write_bytes(source.getbuffer())
        except OSError as error:
            cure = f"free some space in {path.parent.parent}, or set TMPDIR to another folder"
            raise AudioError(f"{source.name}: cannot be kept ({error.strerror}); {cure}") from error
        return path


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
