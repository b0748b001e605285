"""`toccata info`: how a clip was made, and what a LoRA is for."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from toccata.cli import flags
from toccata.cli.report import show, show_json
from toccata.cli.sources import STDIN_NAME, is_stdin, open_audio

# Tags that are numbers; others, as the prompt "1984", are text whatever they look like.
_NUMBERS = (
    "seed", "duration_s", "top_k", "top_p", "temperature", "cfg", "cfg_beta", "stride_s",
    "continuation_of_start_s", "continuation_of_end_s", "melody_of_start_s", "melody_of_end_s",
)  # fmt: skip


def info(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="Audio, as wav, mp3, flac or ogg, - or a URI; or a LoRA."
        ),
    ],
    *,
    json: flags.Json = False,
) -> None:
    """Show the length of a clip, and the prompt, seed, model and parameters written in its file.

    Of a LoRA: the model it was trained on, its size, and the words that call for its style.
    """
    for file in files:
        audio, tags = _read(file)
        if json:
            extra = {"audio": audio} if audio else {}
            show_json({"path": file, **tags, **extra})
            continue
        show(STDIN_NAME if is_stdin(file) else file)
        if audio:
            show("  {duration_s:g} s, {sample_rate_hz} Hz, {channels} ch, {format}".format(**audio))
        for name, text in tags.items():
            show(f"  {name}: {text}")
        if not tags:
            show("  no tags: not made by toccata, or written by a program that drops them")


def _read(file: str) -> tuple[dict[str, object], dict[str, object]]:
    """What the audio is, and what its tags say. Of a LoRA there are only tags."""
    if Path(file).suffix == ".safetensors":
        from toccata.families.lora import read_info

        return {}, asdict(read_info(Path(file)))
    from toccata.audio.files import MAX_BYTES, blocks
    from toccata.audio.sniff import sniff
    from toccata.audio.source import load, name_of
    from toccata.audio.tags import read_tags
    from toccata.audio.uris import NamedBytes

    source = open_audio(file, "files")
    name, data = name_of(source), load(source, MAX_BYTES)
    audio: dict[str, object] = {"duration_s": 0.0, "format": sniff(data, name)}
    tags = read_tags(NamedBytes(data, name))
    samples = 0
    for block in blocks(NamedBytes(data, name), max_seconds=None):
        samples += block.samples.shape[1]
        audio |= {"sample_rate_hz": block.sample_rate_hz, "channels": block.channels}
        audio["duration_s"] = round(samples / block.sample_rate_hz, 3)
    return audio, {key: _value(key, text) for key, text in tags.items()}


def _value(name: str, text: str) -> object:
    """A number where the tag is one; foreign files may have anything there."""
    if name not in _NUMBERS:
        return text
    try:
        return int(text) if text.lstrip("-").isdecimal() else float(text)
    except ValueError:
        return text
