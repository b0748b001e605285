"""The flags that commands share. Those of the inputs are made from the table in `schema.py`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from toccata.cli import completion
from toccata.generation.inputs import from_text
from toccata.generation.schema import EXTENDED, Field, default_of

Device = Annotated[
    str | None,
    typer.Option(
        help="cpu, cuda, cuda:N or mps. Default: the best there is.",
        autocompletion=completion.devices,
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        help="fp32, bf16, fp16, on CPUs int8 or int4 (experimental). Default (auto): by machine.",
        autocompletion=completion.precisions,
    ),
]
Lora = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE[:SCALE]", help="Add what `toccata train lora` has learnt; repeatable."
    ),
]
Full = Annotated[
    str,
    typer.Option(
        "--precision",
        help="fp32, bf16 or fp16.",
        autocompletion=completion.of(("fp32", "bf16", "fp16")),
    ),
]
Offline = Annotated[
    bool | None, typer.Option("--offline/--online", help="Never ask the hub for weights.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object per result on stdout.")]
Text = Annotated[
    str | None,
    typer.Argument(metavar="PROMPT", help="The same as --prompt; - reads it from stdin."),
]
Count = Annotated[
    int, typer.Option("--count", "-n", min=1, max=1000, help="Variations: seed, seed + 1, ...")
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATTERN",
        help="A file, with {seed}, {n}, {model} and {format} filled in, whose suffix is the "
        "format; or a folder, or - for stdout. Default: {model}-{seed}.{format}; that and names in "
        "a folder are numbered if they exist already.",
    ),
]
CodedOutput = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="A file, whose suffix is the format; or a folder, or - for stdout. Default: named "
        "after the source, as song-mini-encode-decode.wav.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist already.")]
Play = Annotated[
    bool,
    typer.Option("--play", help="Play the result, by ffplay, afplay, paplay or aplay."),
]
Prompts = Annotated[
    str | None,
    typer.Option(
        metavar="FILE.csv|.jsonl",
        help="Many requests, one a line; the columns are inputs, as prompt, duration and seed. "
        "Flags are for the rows that leave them out.",
    ),
]
Stream = Annotated[
    str | None,
    typer.Option(
        metavar="-",
        help="Write 16-bit wav to stdout while it is made. Its level follows what is known so "
        "far, and ends within about 1 dB of the file's.",
        autocompletion=completion.of(("-",)),
    ),
]
Headerless = Annotated[
    bool, typer.Option("--raw", help="With --stream: samples only, without a wav header.")
]
Bitrate = Annotated[
    int | None,
    typer.Option(
        min=8,
        max=500,
        help="Of mp3 and (about) of ogg, in kbit/s. Default: mp3 192 in mono and 320 in stereo; "
        "ogg about 100 in mono and 190 in stereo.",
    ),
]
BitDepth = Annotated[
    int | None,
    typer.Option(
        help="Of wav and flac: 16, 24, or 32 for a wav of floats. Default: 16.",
        autocompletion=completion.of(("16", "24", "32")),
    ),
]
FadeIn = Annotated[float, typer.Option(help="Seconds, from 0 to 600.")]
FadeOut = Annotated[float, typer.Option(help="Seconds, from 0 to 600.")]
CfgBeta = Annotated[
    float | None,
    typer.Option(
        help="Of style: how much more the prompt counts than the audio, from 0 to 100. Default: 5."
    ),
]
Stride = Annotated[
    float | None,
    typer.Option(
        help="For clips longer than the model's window: seconds by which the window moves on. "
        "Default: 0.6 of it, which is 18 of 30 s."
    ),
]

_ALIASES = {
    "model_version": ("--model", "-m"),
    "prompt": ("-p",),
    "duration": ("-d",),
    "classifier_free_guidance": ("--cfg",),
    "output_format": ("--format",),
}
_METAVARS = {"integer": "INTEGER", "number": "NUMBER", "audio": "FILE|URI|-", "string": "TEXT"}


def takes_inputs(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command` a flag for every input; it gets the given ones as its parameter `raw`."""
    own = inspect.signature(command, eval_str=True)
    others = [parameter for parameter in own.parameters.values() if parameter.name != "raw"]
    flags = [_parameter(field) for field in EXTENDED.fields]

    @functools.wraps(command)
    def with_raw(**values: Any) -> None:
        raw = {}
        for field in EXTENDED.fields:
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
    """Numbers stay text until `inputs.check`, which reports everything that is wrong at once."""
    flag = "--" + field.name.replace("_", "-")
    if field.kind == "boolean":
        return Annotated[bool | None, typer.Option(f"{flag}/--no-{flag[2:]}", help=_help(field))]
    metavar = "|".join(field.choices) if 0 < len(field.choices) < 6 else _METAVARS[field.kind]
    aliases = _ALIASES.get(field.name, ())
    complete = completion.of(field.choices) if field.choices else None
    return Annotated[
        str | None,
        typer.Option(flag, *aliases, metavar=metavar, help=_help(field), autocompletion=complete),
    ]


def _help(field: Field) -> str:
    limits = f" {field.allowed.capitalize()}." if field.kind in ("integer", "number") else ""
    default = default_of(field)
    return f"{field.description}{limits}" + (default and f" Default: {default}.")
