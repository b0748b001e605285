"""The command `toccata info`, which shows the tags of clips and LoRA files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from toccata.cli import flags
from toccata.cli.report import one_line, show, show_json
from toccata.cli.results import CombinedError, value_of
from toccata.cli.sources import STDIN_NAME, is_stdin, open_audio
from toccata.errors import ToccataError


def info(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="Audio (wav, mp3, flac or ogg; - or a URI), or LoRA files."
        ),
    ],
    *,
    json: flags.Json = False,
) -> None:
    """Show the length of a clip, and the prompt, seed, model and parameters in its tags.

    Of a LoRA, show the model that it was trained on, its size, and the words that evoke its style.
    Files that cannot be read are skipped, and reported at the end.
    """
    problems: list[ToccataError] = []
    for file in files:
        try:
            _show(file, json=json)
        except ToccataError as error:
            problems.append(error)
    if problems:
        raise problems[0] if len(problems) == 1 else CombinedError(problems)


def _show(file: str, *, json: bool) -> None:
    audio, tags = _read(file)
    if json:
        extra = {} if audio is None else {"audio": asdict(audio)}
        show_json({"path": file, **tags, **extra})
        return
    show(STDIN_NAME if is_stdin(file) else file)
    if audio is not None:
        form = f"{audio.sample_rate_hz} Hz, {audio.channels} ch, {audio.format}"
        show(f"  {audio.duration_s:g} s, {form}")
    for name, text in tags.items():
        show(f"  {one_line(name)}: {one_line(str(text))}")
    if not tags:
        show("  no tags: not made by toccata, or written by a program that drops them")


@dataclass(frozen=True)
class Audio:
    """The length and format of an audio file."""

    duration_s: float
    format: str
    sample_rate_hz: int
    channels: int


def _read(file: str) -> tuple[Audio | None, dict[str, object]]:
    """Read the audio and the tags of a file; a LoRA has only tags."""
    if Path(file).suffix == ".safetensors":
        from toccata.models.lora_files import read_info

        return None, asdict(read_info(Path(file)))
    from toccata.audio.files import MAX_BYTES, blocks
    from toccata.audio.sniff import sniff
    from toccata.audio.source import load, name_of
    from toccata.audio.tags import read_tags
    from toccata.audio.uris import NamedBytes

    source = open_audio(file, "files")
    name, data = name_of(source), load(source, MAX_BYTES)
    kind, tags = sniff(data, name), read_tags(NamedBytes(data, name))
    duration_s, rate, channels = 0.0, 0, 0
    for block in blocks(NamedBytes(data, name), max_seconds=None):
        duration_s += block.duration_s
        rate, channels = block.sample_rate_hz, block.channels
    audio = Audio(round(duration_s, 3), kind, rate, channels)
    return audio, {key: value_of(key, text) for key, text in tags.items()}
