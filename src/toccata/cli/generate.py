"""`toccata generate`: generate music into files, a stream or a player."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from toccata import settings
from toccata.cli import flags, session
from toccata.cli.batch import checked_rows, read_rows
from toccata.cli.outputs import DEFAULT_PATTERN, is_stdout, names, suffix_format
from toccata.cli.places import STDOUT, Place, reserve
from toccata.cli.play import find_player
from toccata.cli.report import Stop
from toccata.cli.results import Finish, Task, deliver
from toccata.cli.sources import is_stdin, read_text
from toccata.cli.stream import check_target, stream_to_stdout
from toccata.errors import InputError, InputErrors, check_path
from toccata.generation.inputs import Inputs, check
from toccata.generation.schema import EXTENDED, MAX_PROMPT_CHARACTERS, MAX_SEED, RANDOM_SEED, Schema
from toccata.settings import Settings

EXAMPLES = """
Examples:

  toccata generate "lo-fi beat, 80 bpm, mellow piano" -d 12 -o beat.wav

  toccata generate "happy rock" --count 4 --seed 1 -o rock.mp3

  toccata generate --prompts songs.csv -d 20 -o songs/

  toccata generate "a string quartet" --input-audio whistle.m4a

  toccata generate "slow piano" -d 20 -o - --format mp3 > piano.mp3

  toccata generate --input-audio song.mp3 --continuation --continuation-end 10

  toccata generate "my style, calm piano" --lora style.safetensors:0.8

  toccata generate "slow ambient pads" -d 60 --stream - | ffplay -autoexit -
"""


@flags.takes_inputs
def generate(
    raw: dict[str, Any],
    *,
    text: flags.Text = None,
    prompts: flags.Prompts = None,
    count: flags.Count = 1,
    output: flags.Output = None,
    overwrite: flags.Overwrite = False,
    play: flags.Play = False,
    stream: flags.Stream = None,
    headerless: flags.Headerless = False,
    bitrate: flags.Bitrate = None,
    bit_depth: flags.BitDepth = None,
    fade_in: flags.FadeIn = 0.0,
    fade_out: flags.FadeOut = 0.0,
    stride: flags.Stride = None,
    cfg_beta: flags.CfgBeta = None,
    json: flags.Json = False,
    device: flags.Device = None,
    precision: flags.Precision = None,
    lora: flags.Lora = None,
    offline: flags.Offline = None,
) -> None:
    """Make music from a prompt, from audio, or from both."""
    machine = settings.read(device=device, precision=precision, offline=offline, lora=lora)
    asked = _requests(_with_text(raw, text, prompts), prompts, count, output, machine)
    requests = [inputs for inputs, _ in asked]
    extras = session.Extras(stride, cfg_beta, fade_in, fade_out)
    finishes = [Finish(one.output_format, bitrate, bit_depth) for one in requests]
    if stream is not None:
        [inputs], [finish] = requests[:1], finishes[:1]
        as_it_is = finish == Finish("wav") and not fade_in and not fade_out and not play
        alone = as_it_is and len(requests) == 1 and output is None and not json
        _check_stream(stream, inputs, alone)
        stream_to_stdout(
            session.stream(machine, inputs, extras),
            inputs.normalization_strategy,
            headerless=headerless,
        )
        return
    if headerless:
        raise InputError("raw", True, "it goes with --stream", "cannot be used alone")
    _check_stdout(output, len(requests), json, play)
    default = DEFAULT_PATTERN if prompts is None else _batch_pattern(prompts)
    tasks = _tasks(asked, finishes, output, default, overwrite)
    player = find_player() if play else None
    reserve([task.place for task in tasks])
    stop = Stop()
    deliver(session.compose(machine, tasks, extras, stop), stop, json=json, player=player)


def _with_text(raw: Mapping[str, Any], text: str | None, prompts: str | None) -> dict[str, Any]:
    """`raw` with the prompt that stands alone, or the one on stdin."""
    given = dict(raw)
    if text is not None:
        if "prompt" in raw:
            problem = "is given twice, as an argument too"
            raise InputError("prompt", text, "leave out one of the two", problem)
        given["prompt"] = text
    named = {"prompt": given.get("prompt"), "input_audio": given.get("input_audio")}
    users = [name for name, value in {**named, "prompts": prompts}.items() if is_stdin(value)]
    if len(users) > 1:
        both = f"is to come from stdin, and so is {users[0]}"
        raise InputError(users[1], "-", "only one of them can", both)
    if is_stdin(given.get("prompt")):
        given["prompt"] = read_text("prompt", MAX_PROMPT_CHARACTERS)
    return given


def _requests(
    raw: Mapping[str, Any],
    prompts: str | None,
    count: int,
    output: str | None,
    machine: Settings,
) -> list[tuple[Inputs, str]]:
    """One for each result, with the line that asks for it if one does.

    Seeds that are not given for each follow each other.
    """
    if prompts is None:
        first = _inputs(raw, output, machine.model)
        if first.seed + count - 1 > MAX_SEED:
            raise InputError("count", count, f"seed {first.seed} leaves no room for that many")
        return [(replace(first, seed=first.seed + index), "") for index in range(count)]
    if count > 1:
        raise InputError("count", count, "give each its own line", "cannot be used with --prompts")

    def of_row(index: int, row: Mapping[str, Any]) -> Inputs:
        if is_stdin(prompts) and is_stdin(row.get("input_audio")):
            problem = "is to come from stdin, and so are the requests"
            raise InputError("input_audio", "-", "name a file, or write them in one", problem)
        inputs = _inputs({**raw, **row}, output, machine.model)
        follows = raw.get("seed", RANDOM_SEED) != RANDOM_SEED and "seed" not in row
        if not follows:
            return inputs
        if inputs.seed + index > MAX_SEED:
            raise InputError("seed", inputs.seed, "use a smaller one: each row has the next seed")
        return replace(inputs, seed=inputs.seed + index)

    rows = read_rows(prompts)
    return list(zip(checked_rows(rows, of_row), [where for where, _ in rows], strict=True))


def _inputs(raw: Mapping[str, Any], output: str | None, model: str) -> Inputs:
    given = {"model_version": model, **raw}
    if form := suffix_format(output, given.get("output_format")):
        given["output_format"] = form
    inputs = check(given, _schema(given["model_version"]))
    _check_part(inputs)
    return inputs


def _check_part(inputs: Inputs) -> None:
    """Raises InputErrors for a part of no audio, which the hosted model passes over in silence."""
    part = {name: getattr(inputs, name) for name in ("continuation_start", "continuation_end")}
    cure = "it needs input_audio, the audio that it is a part of"
    problems = [
        InputError(name, value, cure, "cannot be used alone")
        for name, value in part.items()
        if value and inputs.input_audio is None
    ]
    if problems:
        raise InputErrors(problems)


def _tasks(
    asked: Sequence[tuple[Inputs, str]],
    finishes: Sequence[Finish],
    output: str | None,
    default: str,
    overwrite: bool,
) -> list[Task]:
    """Each request with the place of its result."""
    if is_stdout(output):
        return [Task(asked[0][0], finishes[0], Place(STDOUT))]
    chosen = names(output, len(asked), default)
    tasks = []
    for n, ((inputs, origin), finish) in enumerate(zip(asked, finishes, strict=True), start=1):
        path = chosen.path(inputs.seed, n, inputs.model_version, inputs.output_format)
        check_path("output", path)
        place = Place(path, overwrite, chosen.is_automatic and not overwrite)
        tasks.append(Task(inputs, finish, place, origin))
    return tasks


def _batch_pattern(prompts: str) -> str:
    """The results of songs.csv are songs-1.wav, songs-2.wav and so on."""
    stem = "prompts" if is_stdin(prompts) else Path(prompts).stem
    return stem.replace("{", "{{").replace("}", "}}") + "-{n}.{format}"


def _schema(model: object) -> Schema:
    """On one's own machine a model may also be a folder, or any repository of the hub."""
    choices = EXTENDED["model_version"].choices
    if not isinstance(model, str) or model in choices or "\0" in model:
        return EXTENDED
    check_path("model_version", model)
    if not ("/" in model or Path(model).is_dir()):
        return EXTENDED
    return EXTENDED.changed(model_version={"choices": (*choices, model)})


def _check_stream(stream: str, inputs: Inputs, alone: bool) -> None:
    check_target(stream, inputs.normalization_strategy)
    if not alone:
        detail = "a stream is one clip as 16-bit wav: leave out --count, --prompts, --output, "
        detail += "--play, --json, the format and its options, and the fades"
        raise InputError("stream", stream, detail)


def _check_stdout(output: str | None, count: int, json: bool, play: bool) -> None:
    """Standard output holds one file and nothing else."""
    if is_stdout(output) and (count > 1 or json or play):
        detail = "stdout takes one file: leave out --count, --prompts, --json and --play"
        raise InputError("output", output, detail)
