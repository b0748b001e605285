"""`toccata info`: how a clip was made, and what a LoRA is for."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from toccata.cli import flags
from toccata.cli.report import show, show_json


def info(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="wav, mp3, flac, ogg, or a LoRA.")
    ],
    *,
    json: flags.Json = False,
) -> None:
    """Show the prompt, seed, model and parameters that are written in a file.

    Of a LoRA: the model it was trained on, its size, and the words that call for its style.
    """
    for file in files:
        tags = _tags(file)
        if json:
            show_json({"path": str(file), **tags})
            continue
        show(str(file))
        for name, text in tags.items():
            show(f"  {name}: {text}")
        if not tags:
            show("  no tags: not made by toccata, or written by a program that drops them")


def _tags(file: Path) -> dict[str, object]:
    if file.suffix == ".safetensors":
        from toccata.families.lora import read_info

        return asdict(read_info(file))
    from toccata.audio.tags import read_tags

    return dict(read_tags(file))
