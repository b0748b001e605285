"""`toccata encode-decode`: pass a file through the codec of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toccata import settings
from toccata.cli import completion, flags, session
from toccata.cli.inputs import field_of, read_inputs
from toccata.cli.outputs import is_stdout, names, suffix_format
from toccata.cli.places import STDOUT, Place, reserve
from toccata.cli.play import find_player
from toccata.cli.report import Stop
from toccata.cli.results import Finish, Task, deliver
from toccata.cli.sources import short_name
from toccata.errors import InputError
from toccata.generation.schema import ENCODE_DECODE
from toccata.generation.values import from_text

EXAMPLES = """
Example:

  toccata encode-decode song.flac --model melody -o through-the-codec.wav
"""


def encode_decode(
    file: Annotated[str, typer.Argument(help="A file, a URI or - for stdin; of any length.")],
    *,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Whose codec.", autocompletion=completion.models),
    ] = None,
    start: Annotated[str | None, typer.Option(metavar="SECONDS", help="Start here.")] = None,
    end: Annotated[str | None, typer.Option(metavar="SECONDS", help="End here.")] = None,
    output: flags.CodedOutput = None,
    overwrite: flags.Overwrite = False,
    play: flags.Play = False,
    output_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "--output-format",
            help="Format: wav, mp3, flac or ogg.",
            autocompletion=completion.formats,
        ),
    ] = None,
    bitrate: flags.Bitrate = None,
    bit_depth: flags.BitDepth = None,
    json: flags.Json = False,
    device: flags.Device = None,
    offline: flags.Offline = None,
) -> None:
    """Pass a file through a model's codec, which limits the quality of generated audio."""
    machine = settings.read(model=model, device=device, offline=offline)
    given = {
        "format": suffix_format(output, output_format),
        "start": start,
        "end": end,
    }
    raw: dict[str, object] = {
        "model": ENCODE_DECODE,
        "input_audio": file,
        "normalization": "clip",  # keep the level of the file, for comparison
    }
    for name, text in given.items():
        if text is not None:
            raw[name] = from_text(field_of(name), text)
    inputs = read_inputs(raw, ENCODE_DECODE)
    finish = Finish(inputs.output_format, bitrate, bit_depth)
    if is_stdout(output) and (json or play):
        raise InputError("output", output, "stdout takes one file: leave out --json and --play")
    place = _place(output, file, machine.model, inputs.output_format, overwrite)
    player = find_player() if play else None
    reserve([place])
    tasks = [Task(inputs, finish, place)]
    stop = Stop()
    deliver(session.compose(machine, tasks, stop), stop, json=json, player=player)


def _place(
    output: str | None, source: str, model: str, output_format: str, overwrite: bool
) -> Place:
    """Return the output file; by default song.flac becomes song-mini-encode-decode.wav."""
    if is_stdout(output):
        return Place(STDOUT)
    stem = Path(short_name(source)).stem.replace("{", "{{").replace("}", "}}")
    chosen = names(output, 1, f"{stem}-{{model}}-{ENCODE_DECODE}.{{format}}")
    path = chosen.path(0, 1, model, output_format)
    return Place(path, overwrite, chosen.is_automatic and not overwrite)
