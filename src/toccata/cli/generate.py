"""`toccata generate`: generate music into files, a stream or a player."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toccata import settings
from toccata.cli import flags, session
from toccata.cli.batch import checked_rows, read_rows
from toccata.cli.inputs import (
    AUDIO,
    ENCODE_DECODE_INPUTS,
    INPUTS,
    Inputs,
    field_of,
    read_inputs,
)
from toccata.cli.outputs import DEFAULT_PATTERN, is_stdout, names, suffix_format
from toccata.cli.places import STDOUT, Place, reserve
from toccata.cli.play import find_player
from toccata.cli.report import Stop
from toccata.cli.results import Finish, Task, deliver
from toccata.cli.sources import is_stdin, read_text
from toccata.cli.stream import check_target, stream_to_stdout
from toccata.errors import InputError, check_path
from toccata.generation.schema import ENCODE_DECODE, MAX_PROMPT_CHARACTERS, MAX_SEED, RANDOM_SEED
from toccata.settings import Settings

EXAMPLES = """
Examples:

  toccata generate "lo-fi beat, 80 bpm, mellow piano" -d 12 -o beat.wav

  toccata generate "happy rock" --count 4 --seed 1 -o rock.mp3

  mkdir -p songs && toccata generate --prompts songs.csv -d 20 -o songs/

  toccata generate "a string quartet" --melody whistle.m4a

  toccata generate "slow piano" -d 20 -o - --format mp3 > piano.mp3

  toccata generate --continue-from song.mp3 --end 10

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
    json: flags.Json = False,
    device: flags.Device = None,
    precision: flags.Precision = None,
    lora: flags.Lora = None,
    offline: flags.Offline = None,
) -> None:
    """Generate music from a prompt, from audio, or from both."""
    machine = settings.read(device=device, precision=precision, offline=offline, lora=lora)
    asked = _requests(_with_text(raw, text, prompts), prompts, count, output, machine)
    requests = [inputs for inputs, _ in asked]
    finishes = [Finish(one.output_format, bitrate, bit_depth) for one in requests]
    if stream is not None:
        [inputs], [finish] = requests[:1], finishes[:1]
        fades = any(raw.get(name) for name in ("fade_in", "fade_out"))
        as_it_is = finish == Finish("wav") and not fades and not play
        alone = as_it_is and len(requests) == 1 and output is None and not json
        _check_stream(stream, inputs, alone)
        stream_to_stdout(
            session.stream(machine, inputs),
            inputs.request.normalization,
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
    deliver(session.compose(machine, tasks, stop), stop, json=json, player=player)


def _with_text(raw: Mapping[str, Any], text: str | None, prompts: str | None) -> dict[str, Any]:
    """Add the prompt that is an argument or on stdin to the inputs."""
    given = dict(raw)
    if text is not None:
        if "prompt" in raw:
            problem = "is given twice, as an argument too"
            raise InputError("prompt", text, "leave out one of the two", problem)
        given["prompt"] = text
    named = {name: given.get(name) for name in ("prompt", *AUDIO)}
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
    """Return the inputs of each result, with the line of its row or "".

    Seeds that rows do not have are consecutive.
    """
    if prompts is None:
        first = _inputs(raw, output, machine.model)
        if first.seed + count - 1 > MAX_SEED:
            raise InputError("count", count, f"seed {first.seed} leaves no room for that many")
        return [(first.with_seed(first.seed + index), "") for index in range(count)]
    if count > 1:
        raise InputError("count", count, "give each its own line", "cannot be used with --prompts")

    def of_row(index: int, row: Mapping[str, Any]) -> Inputs:
        for name in AUDIO:
            if is_stdin(prompts) and is_stdin(row.get(name)):
                problem = "is to come from stdin, and so are the requests"
                raise InputError(name, "-", "name a file, or write them in one", problem)
        inputs = _inputs(_overridden(raw, row), output, machine.model)
        follows = raw.get("seed", RANDOM_SEED) != RANDOM_SEED and "seed" not in row
        if not follows:
            return inputs
        if inputs.seed + index > MAX_SEED:
            raise InputError("seed", inputs.seed, "use a smaller one: each row has the next seed")
        return inputs.with_seed(inputs.seed + index)

    rows = read_rows(prompts)
    return list(zip(checked_rows(rows, of_row), [where for where, _ in rows], strict=True))


def _overridden(raw: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of the command line that apply to a row and that the row does not have."""
    own = {field_of(name).name: value for name, value in row.items()}
    only = ENCODE_DECODE_INPUTS if own.get("model") == ENCODE_DECODE else INPUTS.names
    shared = {name: raw[name] for name in raw if name not in own and field_of(name).name in only}
    return {**shared, **row}


def _inputs(raw: Mapping[str, Any], output: str | None, model: str) -> Inputs:
    name = next((name for name in raw if field_of(name).name == "format"), "format")
    if form := suffix_format(output, raw.get(name)):
        return read_inputs({**raw, name: form}, model)
    return read_inputs(raw, model)


def _tasks(
    asked: Sequence[tuple[Inputs, str]],
    finishes: Sequence[Finish],
    output: str | None,
    default: str,
    overwrite: bool,
) -> list[Task]:
    """Return each request with the place of its result."""
    if is_stdout(output):
        return [Task(asked[0][0], finishes[0], Place(STDOUT))]
    chosen = names(output, len(asked), default)
    tasks = []
    for n, ((inputs, origin), finish) in enumerate(zip(asked, finishes, strict=True), start=1):
        path = chosen.path(inputs.seed, n, inputs.model, inputs.output_format)
        check_path("output", path)
        place = Place(path, overwrite, chosen.is_automatic and not overwrite)
        tasks.append(Task(inputs, finish, place, origin))
    return tasks


def _batch_pattern(prompts: str) -> str:
    """Return the pattern of results: those of songs.csv are songs-1.wav, songs-2.wav and so on."""
    stem = "prompts" if is_stdin(prompts) else Path(prompts).stem
    return stem.replace("{", "{{").replace("}", "}}") + "-{n}.{format}"


def _check_stream(stream: str, inputs: Inputs, alone: bool) -> None:
    check_target(stream, inputs.request.normalization)
    if not alone:
        detail = "a stream is one clip as 16-bit wav: leave out --count, --prompts, --output, "
        detail += "--play, --json, the format and its options, and the fades"
        raise InputError("stream", stream, detail)


def _check_stdout(output: str | None, count: int, json: bool, play: bool) -> None:
    """Raise InputError if stdout would get more than one file."""
    if is_stdout(output) and (count > 1 or json or play):
        detail = "stdout takes one file: leave out --count, --prompts, --json and --play"
        raise InputError("output", output, detail)
