"""`toccata info`: how a file was made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toccata.cli import flags
from toccata.cli.report import show, show_json


def info(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="wav, mp3, flac or ogg.")],
    *,
    json: flags.Json = False,
) -> None:
    """Show the prompt, seed, model and parameters that are written in a file."""
    from toccata.audio.tags import read_tags

    for file in files:
        tags = read_tags(file)
        if json:
            show_json({"path": str(file), **tags})
            continue
        show(str(file))
        for name, text in tags.items():
            show(f"  {name}: {text}")
        if not tags:
            show("  no tags: not made by toccata, or written by a program that drops them")
