"""`toccata encode-decode`: what a model's codec makes of a file."""

from __future__ import annotations

from typing import Annotated

import typer

from toccata import settings
from toccata.cli import flags, session
from toccata.cli.outputs import names, suffix_format
from toccata.cli.results import Finish, deliver
from toccata.inputs import EXTENDED, check, from_text
from toccata.schema import ENCODE_DECODE

EXAMPLES = """
Example:

  toccata encode-decode song.flac --model melody -o through-the-codec.wav
"""


def encode_decode(
    file: Annotated[str, typer.Argument(help="The audio, of any length.")],
    *,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Whose codec.")] = None,
    start: Annotated[str | None, typer.Option(metavar="SECONDS", help="Start here.")] = None,
    end: Annotated[str | None, typer.Option(metavar="SECONDS", help="End here.")] = None,
    output: flags.Output = None,
    output_format: Annotated[
        str | None, typer.Option("--output-format", "--format", help="wav, mp3, flac or ogg.")
    ] = None,
    bitrate: flags.Bitrate = None,
    bit_depth: flags.BitDepth = None,
    json: flags.Json = False,
    device: flags.Device = None,
    offline: flags.Offline = None,
) -> None:
    """Pass a file through a model's codec, to hear the best it could sound."""
    machine = settings.read(model=model, device=device, offline=offline)
    given = {
        "output_format": suffix_format(output, output_format),
        "continuation_start": start,
        "continuation_end": end,
    }
    raw: dict[str, object] = {
        "model_version": ENCODE_DECODE,
        "input_audio": file,
        "normalization_strategy": "clip",  # the level of the file as it is, for comparison
        "seed": 0,
    }
    for name, text in given.items():
        if text is not None:
            raw[name] = from_text(EXTENDED[name], text)
    inputs = check(raw, EXTENDED)
    finish = Finish(inputs.output_format, bitrate, bit_depth)
    pattern = output or "{model}-" + ENCODE_DECODE + ".{format}"
    files = names(pattern, machine.model, inputs.output_format, count=1)
    deliver(session.make(machine, inputs, session.Extras()), finish, files, json=json)
