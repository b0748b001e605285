"""The flags that commands share; flags of inputs are generated from the table in `inputs.py`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from toccata.cli import completion
from toccata.cli.inputs import INPUTS, hosted_names
from toccata.cli.setting_flags import option
from toccata.generation.schema import Field, default_of
from toccata.generation.values import from_text

Device = Annotated[str | None, option("device")]
Precision = Annotated[str | None, option("precision")]
Lora = Annotated[list[str] | None, option("lora")]
Offline = Annotated[bool | None, option("offline")]
Full = Annotated[
    str,
    typer.Option(
        "--precision",
        help="Precision of the weights: fp32, bf16 or fp16.",
        autocompletion=completion.of(("fp32", "bf16", "fp16")),
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write one JSON object per result to stdout.")]
Text = Annotated[
    str | None,
    typer.Argument(
        metavar="PROMPT", help="Description of the music, as --prompt. - reads it from stdin."
    ),
]
Count = Annotated[
    int,
    typer.Option(
        "--count", "-n", min=1, max=1000, help="Number of clips, with the seeds SEED, SEED + 1, ..."
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATTERN",
        help="Output file, whose suffix sets the format; {seed}, {n}, {model} and {format} are "
        "filled in. A folder gets files of the default name; - is stdout. Several clips of one "
        "name are numbered. Default: {model}-{seed}.{format}. Default names are numbered if the "
        "file exists.",
    ),
]
CodedOutput = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Output file, whose suffix sets the format; a folder; or - for stdout. Default: named "
        "after the input, for example song-mini-encode-decode.wav.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
Play = Annotated[
    bool,
    typer.Option("--play", help="Play the result with ffplay, afplay, paplay or aplay."),
]
Prompts = Annotated[
    str | None,
    typer.Option(
        metavar="FILE.csv|.jsonl",
        help="File with one request per row; its columns are inputs, for example prompt, duration "
        "and seed. Options of the command line apply where a row has no value.",
    ),
]
Stream = Annotated[
    str | None,
    typer.Option(
        metavar="-",
        help="Write 16-bit wav to stdout while it is generated. Its level adapts to the audio so "
        "far, and ends within about 1 dB of that of the file.",
        autocompletion=completion.of(("-",)),
    ),
]
Headerless = Annotated[
    bool, typer.Option("--raw", help="With --stream: write samples without a wav header.")
]
Bitrate = Annotated[
    int | None,
    typer.Option(
        min=8,
        max=500,
        help="Bit rate of mp3, and approximately of ogg, in kbit/s. Default: mp3 192 in mono and "
        "320 in stereo; ogg about 100 in mono and 190 in stereo.",
    ),
]
BitDepth = Annotated[
    int | None,
    typer.Option(
        help="Bits per sample of wav and flac: 16 or 24; 32 is a wav of floats. Default: 16.",
        autocompletion=completion.of(("16", "24", "32")),
    ),
]

_SHORT = {"model": "-m", "prompt": "-p", "duration": "-d"}
_METAVARS = {"integer": "INTEGER", "number": "NUMBER", "audio": "FILE|URI|-", "string": "TEXT"}


def takes_inputs(command: Callable[..., None]) -> Callable[..., None]:
    """Add a flag for every input to a command, which gets their values as its parameter `raw`."""
    own = inspect.signature(command, eval_str=True)
    others = [parameter for parameter in own.parameters.values() if parameter.name != "raw"]
    flags = [_parameter(field) for field in INPUTS.fields]

    @functools.wraps(command)
    def with_raw(**values: Any) -> None:
        raw = {}
        for field in INPUTS.fields:
            value = values.pop(field.name)
            if value is not None:
                raw[field.name] = from_text(field, value) if isinstance(value, str) else value
        command(raw=raw, **values)

    everything = [*flags, *others]
    with_raw.__signature__ = own.replace(parameters=everything)  # type: ignore[attr-defined]
    with_raw.__annotations__ = {parameter.name: parameter.annotation for parameter in everything}
    return with_raw


def _parameter(field: Field) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(field.name, kind, default=None, annotation=_annotation(field))


def _annotation(field: Field) -> Any:
    """Numbers stay text until the request checks them, which reports all problems at once."""
    flag = _flag(field.name)
    if field.kind == "boolean":
        return Annotated[bool | None, typer.Option(f"{flag}/--no-{flag[2:]}", help=_help(field))]
    metavar = "|".join(field.choices) if 0 < len(field.choices) < 6 else _METAVARS[field.kind]
    names = [_flag(name) for name in hosted_names(field.name)]
    short = [_SHORT[field.name]] if field.name in _SHORT else []
    complete = completion.of(field.choices) if field.choices else None
    return Annotated[
        str | None,
        typer.Option(
            flag, *short, *names, metavar=metavar, help=_help(field), autocompletion=complete
        ),
    ]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _help(field: Field) -> str:
    limits = f" {field.allowed.capitalize()}." if field.kind in ("integer", "number") else ""
    default = default_of(field)
    return f"{field.description}{limits}" + (default and f" Default: {default}.")
