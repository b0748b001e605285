"""The models with short names, and where their weights are."""

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
    """hub_id: None for the model that is in the package. follows: what shapes its music."""

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
    """What is known under a short name or a hub id; any other hub id is taken as it is.

    Raises UnknownModelError, which lists the names.
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
        f"known are {', '.join(KNOWN)}, or give a hub id (owner/name) or a folder"
    )


def find_folder(name: str | Path, *, offline: bool) -> Path:
    """A folder as it is, otherwise that of the named model; fetched if it is not here yet.

    Raises UnknownModelError, CheckpointError.
    """
    if Path(name).is_dir():
        return Path(name)
    return hub.fetch(resolve(str(name)).hub_id, offline=offline)
