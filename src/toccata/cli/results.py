"""Write finished clips and report them."""

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

_TAKEN_BY: Mapping[str, tuple[str, ...]] = {
    "bitrate": ("mp3", "ogg"),
    "bit_depth": ("wav", "flac"),
}


@dataclass(frozen=True)
class Finish:
    """The format of the file and its options. None: the format's own default."""

    format: str
    bitrate: int | None = None
    bit_depth: int | None = None

    def __post_init__(self) -> None:
        """Raises InputError for options that the format does not take."""
        for option, formats in _TAKEN_BY.items():
            value = getattr(self, option)
            if value is not None and self.format not in formats:
                detail = f"{self.format} has none: leave it out, or write " + " or ".join(formats)
                raise InputError(option, value, detail)
        if self._options:
            from toccata.audio.encode import check_options

            check_options(self.format, **self._options)

    @property
    def _options(self) -> dict[str, int]:
        given = {"bitrate_kbps": self.bitrate, "bit_depth": self.bit_depth}
        return {name: value for name, value in given.items() if value is not None}

    def encoded(self, clip: Clip) -> bytes:
        """The bytes of the file, tags included. Raises AudioError."""
        from toccata.audio.files import write

        target = io.BytesIO()
        write(target, clip, self.format, tags=clip.tags, **self._options)
        return target.getvalue()


@dataclass(frozen=True)
class UnreportedResult:
    """A result that is written, and why stdout could not say where."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Task:
    """One result to be made, and where it goes.

    Attributes:
        inputs: What is asked for.
        finish: The format of its file.
        place: Where it goes.
        origin: The line of a file that asks for it ("songs.csv line 2"), if one does.
    """

    inputs: Inputs
    finish: Finish
    place: Place
    origin: str = ""


Made = tuple[Task, Clip | ToccataError]
"""A task with its clip, or with the error in its place."""


class CombinedError(ToccataError):
    """Problems of several results; a stop by the user decides how the program ends."""

    def __init__(self, problems: Sequence[ToccataError]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
        self.exit_code = max(problem.exit_code for problem in problems)


def deliver(made: Iterable[Made], stop: Stop, *, json: bool, player: Player | None = None) -> None:
    """Write every clip as soon as it is there; say on stdout where it is, or all about it as JSON.

    Whatever fails, the clips that follow are written. Ctrl-C and SIGTERM end the work, and what
    is finished by then is written. `stop` is what `made` heeds.

    Raises:
        ToccataError: At the end, if a clip could not be made, written where it was to go, or
            played (the message says where it is instead), or if stdout or stderr took no word of
            it. `CombinedError`, if there are several such problems.
    """
    problems: list[ToccataError] = []
    untold: list[UnreportedResult] = []
    unsaid = ""
    try:
        with terminable(), interruptible("writing"):
            for task, clip in made:
                if isinstance(clip, ToccataError):
                    problems.append(clip)
                    continue
                try:
                    with stop.deferred():
                        written = _written(task, clip)
                        problems += [AudioError(written.problem)] if written.problem else []
                        unsaid = try_to_say(_summary(task.inputs, clip)) or unsaid
                        untold += _told(task, clip, written.path, json=json)
                except AudioError as error:
                    problems.append(error)
                    continue
                if player is not None and not stop.is_set:
                    problems += _played(player, clip, stop)
            if stop.is_set:  # all that was under way had been finished by then
                problems.append(CancelledError("stopped while writing"))
    except ToccataError as error:
        problems.append(error)
    problems += [ToccataError(_untold_sentence(untold))] if untold else []
    problems += [ToccataError(unsaid)] if unsaid else []
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


def _told(task: Task, clip: Clip, path: Path, *, json: bool) -> list[UnreportedResult]:
    """Say on stdout where a clip is; if that fails, return what could not be said."""
    try:
        if json:
            show_json(description(clip, path, task.finish.format))
        elif task.place.path != STDOUT:
            show(str(path))
    except OSError as error:
        return [UnreportedResult(path, error.strerror or str(error))]
    return []


def _untold_sentence(untold: Sequence[UnreportedResult]) -> str:
    paths = ", ".join(str(one.path) for one in untold)
    return f"stdout: cannot be written ({untold[0].reason}); the results are saved in {paths}"


def _written(task: Task, clip: Clip) -> Written:
    try:
        data = task.finish.encoded(clip)
    except AudioError as error:  # its format cannot hold it: a wav of floats can
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
    """What `--json` says about a clip."""
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


# Tags that are numbers; others, as the prompt "1984", are text whatever they look like.


def value_of(name: str, text: str) -> object:
    """A number where the tag is one; foreign files may have anything there."""
    if name not in _NUMBERS:
        return text
    try:
        return int(text) if text.lstrip("-").isdecimal() else float(text)
    except ValueError:
        return text
