"""`toccata generate`: music into files, or into a player while it is made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toccata import settings
from toccata.cli import flags, session
from toccata.cli.outputs import names, suffix_format
from toccata.cli.results import Finish, deliver
from toccata.cli.stream import check_target, stream_to_stdout
from toccata.errors import InputError
from toccata.inputs import Inputs, check
from toccata.schema import EXTENDED, Schema

EXAMPLES = """
Examples:

  toccata generate "lo-fi beat, 80 bpm, mellow piano" -d 12 -o beat.wav

  toccata generate "happy rock" --count 4 --seed 1 -o "rock-{n}.mp3"

  toccata generate "a string quartet" --input-audio whistle.m4a

  toccata generate --input-audio song.mp3 --continuation --continuation-end 10

  toccata generate "my style, calm piano" --lora style.safetensors:0.8

  toccata generate "slow ambient pads" -d 60 --stream - | ffplay -autoexit -
"""


@flags.takes_inputs
def generate(
    raw: dict[str, Any],
    *,
    text: flags.Text = None,
    count: flags.Count = 1,
    output: flags.Output = None,
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
    inputs = _inputs(raw, text, output, machine.model)
    extras = session.Extras(stride, cfg_beta, fade_in, fade_out)
    finish = Finish(inputs.output_format, bitrate, bit_depth)
    if stream is not None:
        as_it_is = finish == Finish("wav") and not fade_in and not fade_out
        _check_stream(stream, as_it_is and count == 1 and output is None and not json)
        stream_to_stdout(session.stream(machine, inputs, extras), headerless=headerless)
    elif headerless:
        raise InputError("raw", True, "it goes with --stream", "cannot be used alone")
    else:
        files = names(output, inputs.model_version, inputs.output_format, count)
        deliver(session.make(machine, inputs, extras, count), finish, files, json=json)


def _inputs(raw: Mapping[str, Any], text: str | None, output: str | None, model: str) -> Inputs:
    if text is not None and "prompt" in raw:
        raise InputError(
            "prompt", text, "leave out one of the two", "is given twice, as an argument too"
        )
    given = {"model_version": model, **raw}
    if text is not None:
        given["prompt"] = text
    if form := suffix_format(output, given.get("output_format")):
        given["output_format"] = form
    return check(given, _schema(given["model_version"]))


def _schema(model: str) -> Schema:
    """On one's own machine a model may also be a folder, or any repository of the hub."""
    choices = EXTENDED["model_version"].choices
    if model in choices or not ("/" in model or Path(model).is_dir()):
        return EXTENDED
    return EXTENDED.changed(model_version={"choices": (*choices, model)})


def _check_stream(stream: str, alone: bool) -> None:
    check_target(stream)
    if not alone:
        detail = "a stream is one clip as 16-bit wav: leave out --count, --output, --json, the "
        raise InputError("stream", stream, detail + "format and its options, and the fades")
