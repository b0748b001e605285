"""Parse the names of LoRA files, FILE or FILE:scale, without torch, which servers load later."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

from toccata.errors import CheckpointError, InputError, check_path

MAX_SCALE = 100.0
_CURE = "use the path of a LoRA, FILE or FILE:scale, or a list of such paths"
_SCALED = re.compile(r"(?P<path>.+):(?P<scale>[+-]?[\d.]+(?:e[+-]?\d+)?)", re.IGNORECASE)

LoraNames = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def listed(names: LoraNames | None) -> list[str | Path]:
    """Return one name, several or none as a list.

    Raises:
        InputError: If a value is not the name of a file.
    """
    if names is None:
        return []
    sequence: object = [names] if isinstance(names, str | os.PathLike) else names
    if not isinstance(sequence, list | tuple):
        raise InputError("lora", names, _CURE)
    for name in sequence:
        if not isinstance(name, str | os.PathLike) or not isinstance(os.fspath(name), str):
            raise InputError("lora", name, _CURE)
        check_path("lora", name)
    return [name if isinstance(name, str) else Path(name) for name in sequence]


def parse(name: str | Path) -> tuple[Path, float]:
    """Split a name into file and scale; a colon without a number after it is part of the file name.

    Raises:
        InputError: If the scale is out of range.
    """
    match = _SCALED.fullmatch(str(name))
    if match is None:
        return Path(name), 1.0
    try:
        scale = float(match["scale"])
    except ValueError:
        scale = math.inf
    if abs(scale) > MAX_SCALE:
        allowed = f"the scale after the colon must be from {-MAX_SCALE:g} to {MAX_SCALE:g}"
        raise InputError("lora", str(name), allowed)
    return Path(match["path"]), scale


def existing(path: Path) -> Path:
    """Return `path` if it is a file.

    Raises:
        CheckpointError: If it is not.
    """
    check_path("lora", path)
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such LoRA; give the path of its file")
    return path


def labels(names: LoraNames | None) -> str:
    """Return the names and scales of LoRAs as the tags of clips have them."""
    parsed = [parse(name) for name in listed(names)]
    return ", ".join(f"{path.name}:{scale:g}" for path, scale in parsed)
