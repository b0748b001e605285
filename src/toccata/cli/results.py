"""Write finished clips to their files, and report them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toccata.cli.inputs import Inputs
from toccata.cli.places import STDOUT, Place, Written, rescue_stem, rescued
from toccata.cli.play import Player
from toccata.cli.report import Stop, interruptible, show, show_json, terminable, try_to_say
from toccata.cli.sources import short_name
from toccata.errors import AudioError, CancelledError, InputError, ToccataError
from toccata.generation.clip import Clip
from toccata.generation.schema import ENCODE_DECODE

_NUMBERS = (
    "seed", "duration_s", "top_k", "top_p", "temperature", "cfg", "cfg_beta", "stride_s",
    "continuation_of_start_s", "continuation_of_end_s", "melody_of_start_s", "melody_of_end_s",
)  # fmt: skip

_FORMATS_WITH: Mapping[str, tuple[str, ...]] = {
    "bitrate": ("mp3", "ogg"),
    "bit_depth": ("wav", "flac"),
}


@dataclass(frozen=True)
class Finish:
    """The format of a file and its options; None for the default of the format.

    Raises:
        InputError: If the format does not have an option.
    """

    format: str
    bitrate: int | None = None
    bit_depth: int | None = None

    def __post_init__(self) -> None:
        for option, formats in _FORMATS_WITH.items():
            value = getattr(self, option)
            if value is not None and self.format not in formats:
                detail = f"{self.format} has none: leave it out, or write " + " or ".join(formats)
                raise InputError(option, value, detail)
        if self._options:
            from toccata.audio.encode import check_options

            check_options(self.format, **self._options)

    @property
    def _options(self) -> dict[str, int]:
        options = {"bitrate_kbps": self.bitrate, "bit_depth": self.bit_depth}
        return {name: value for name, value in options.items() if value is not None}

    def encoded(self, clip: Clip) -> bytes:
        """Encode a clip with its tags.

        Raises:
            AudioError: If the format does not support the audio.
        """
        from toccata.audio.files import write

        target = io.BytesIO()
        write(target, clip, self.format, tags=clip.tags, **self._options)
        return target.getvalue()


@dataclass(frozen=True)
class UnreportedResult:
    """A written result whose path could not be reported on stdout, and the reason."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Task:
    """A clip to generate, and the place of its file.

    Attributes:
        inputs: The inputs of the request.
        finish: The format of the file.
        place: The place of the file.
        origin: The line of the request in a file ("songs.csv line 2"), or "".
    """

    inputs: Inputs
    finish: Finish
    place: Place
    origin: str = ""


TaskResult = tuple[Task, Clip | ToccataError]
"""A task with its clip or its error."""


class CombinedError(ToccataError):
    """Problems of several results; the exit code is the largest one, which is that of a stop."""

    def __init__(self, problems: Sequence[ToccataError]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
        self.exit_code = max(problem.exit_code for problem in problems)


def deliver(
    results: Iterable[TaskResult], stop: Stop, *, json: bool, player: Player | None = None
) -> None:
    """Write every clip as soon as it is finished, and report its path or its JSON on stdout.

    After a failure, the next clips are still written. After Ctrl-C and SIGTERM, the clips that are
    finished are written.

    Args:
        results: The clips or errors of tasks, which `stop` ends.
        stop: Set by Ctrl-C or SIGTERM while a clip is written.
        json: Whether a JSON object is reported in place of the path.
        player: Plays each clip after it is written.

    Raises:
        ToccataError: At the end, if a clip could not be generated, written to its place, reported
            or played; a `CombinedError` for several problems.
    """
    problems: list[ToccataError] = []
    unreported: list[UnreportedResult] = []
    stderr_problem = ""
    try:
        with terminable(), interruptible("writing"):
            for task, clip in results:
                if isinstance(clip, ToccataError):
                    problems.append(clip)
                    continue
                try:
                    with stop.deferred():
                        written = _written(task, clip)
                        problems += [AudioError(written.problem)] if written.problem else []
                        problem = try_to_say(_summary(task.inputs, clip))
                        stderr_problem = problem or stderr_problem
                        unreported += _report(task, clip, written.path, json=json)
                except AudioError as error:
                    problems.append(error)
                    continue
                if player is not None and not stop.is_set:
                    problems += _played(player, clip, stop)
            if stop.is_set:  # all clips of the batch are finished
                problems.append(CancelledError("stopped while writing"))
    except ToccataError as error:
        problems.append(error)
    problems += [ToccataError(_unreported_sentence(unreported))] if unreported else []
    problems += [ToccataError(stderr_problem)] if stderr_problem else []
    if problems:
        raise problems[0] if len(problems) == 1 else CombinedError(problems)


def _played(player: Player, clip: Clip, stop: Stop) -> list[ToccataError]:
    """Play a clip until it ends, or until the user stops the work."""
    try:
        problem = player.play(clip)
    except KeyboardInterrupt:
        stop.is_set = True
        return []
    return [AudioError(problem)] if problem else []


def _report(task: Task, clip: Clip, path: Path, *, json: bool) -> list[UnreportedResult]:
    """Report a clip on stdout; if that fails, return it as unreported."""
    try:
        if json:
            show_json(description(clip, path, task.finish.format))
        elif task.place.path != STDOUT:
            show(str(path))
    except OSError as error:
        return [UnreportedResult(path, error.strerror or str(error))]
    return []


def _unreported_sentence(results: Sequence[UnreportedResult]) -> str:
    paths = ", ".join(str(one.path) for one in results)
    return f"stdout: cannot be written ({results[0].reason}); the results are saved in {paths}"


def _written(task: Task, clip: Clip) -> Written:
    try:
        data = task.finish.encoded(clip)
    except AudioError as error:  # the format does not support it, but a wav of floats does
        data = Finish("wav", bit_depth=32).encoded(clip)
        path = task.place.path
        return rescued(f"{path}: {error}", f"{rescue_stem(path)}.wav", data)
    return task.place.write(data, task.finish.format)


def _summary(inputs: Inputs, clip: Clip) -> str:
    if inputs.model == ENCODE_DECODE and inputs.audio is not None:
        source = short_name(str(inputs.audio.file))
        return f"{clip.duration_s:.2f} s of {source} through the codec of {clip.model}"
    return f"{clip.duration_s:.2f} s of music by {clip.model}, seed {clip.seed}"


def description(clip: Clip, path: Path, output_format: str) -> dict[str, object]:
    """Return the JSON object of a clip for `--json`."""
    return {
        "path": str(path),
        "format": output_format,
        "model": clip.model,
        "prompt": clip.prompt,
        "seed": clip.seed,
        "duration_s": round(clip.duration_s, 3),
        "sample_rate_hz": clip.sample_rate_hz,
        "channels": clip.channels,
        "parameters": {name: value_of(name, text) for name, text in clip.parameters.items()},
    }


def value_of(name: str, text: str) -> object:
    """Convert a tag to a number if it is one by its name; a prompt such as "1984" stays text."""
    if name not in _NUMBERS:
        return text
    try:
        return int(text) if text.lstrip("-").isdecimal() else float(text)
    except ValueError:
        return text
