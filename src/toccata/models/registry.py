"""The models that have short names, and the hub ids of their weights."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from toccata.errors import UnknownModelError
from toccata.models import hub

MINI = "mini"
PUBLISHED = "facebook/musicgen-"
HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


@dataclass(frozen=True)
class KnownModel:
    """A model that can be loaded by name.

    Attributes:
        name: The short name.
        hub_id: The repository of the weights; None for the model in the package.
        follows: The inputs that it is conditioned on.
        channels: The number of channels; 0 if only the configuration has it.
    """

    name: str
    hub_id: str | None
    follows: str
    channels: int


def _row(name: str, follows: str, channels: int) -> KnownModel:
    return KnownModel(name, PUBLISHED + name, follows, channels)


TEXT, MELODY, STYLE = "text", "text and melody", "text and style"
KNOWN = {
    row.name: row
    for row in (
        KnownModel(MINI, None, MELODY, 1),
        _row("small", TEXT, 1),
        _row("medium", TEXT, 1),
        _row("large", TEXT, 1),
        _row("melody", MELODY, 1),
        _row("melody-large", MELODY, 1),
        _row("stereo-small", TEXT, 2),
        _row("stereo-medium", TEXT, 2),
        _row("stereo-large", TEXT, 2),
        _row("stereo-melody", MELODY, 2),
        _row("stereo-melody-large", MELODY, 2),
        _row("style", STYLE, 1),
    )
}


def resolve(name: str) -> KnownModel:
    """Find a model by its short name or hub id; an unknown hub id is accepted.

    Raises:
        UnknownModelError: If it is neither; the message lists the names.
    """
    short = name.removeprefix(PUBLISHED)
    if short in KNOWN:
        return KNOWN[short]
    if HUB_ID.fullmatch(name) and not name.startswith(PUBLISHED):
        return KnownModel(name, name, "what its configuration says", 0)
    near = difflib.get_close_matches(short, KNOWN, 1)
    guess = f"did you mean {near[0]}? " if near else ""
    raise UnknownModelError(
        f"{name}: there is no such model or folder; {guess}"
        f"use {', '.join(KNOWN)}, a hub id (owner/name) or a folder"
    )


def find_folder(name: str | Path, *, offline: bool) -> Path:
    """Return the folder of a model, and download it if it is missing.

    Args:
        name: A folder, a short name or a hub id.
        offline: Whether nothing may be downloaded.

    Raises:
        UnknownModelError: If there is no model of this name.
        CheckpointError: If it cannot be downloaded.
    """
    if Path(name).is_dir():
        return Path(name)
    return hub.fetch(resolve(str(name)).hub_id, offline=offline)
