"""Training state on disk, from which a run resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from toccata.errors import CheckpointError
from toccata.models.checkpoints.bin_files import UNREADABLE, damage_of
from toccata.whole_files import replaced


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a state, whole or not at all. Raises CheckpointError."""
    with replaced(path) as temporary:
        torch.save(state, temporary)


def load(path: Path) -> dict[str, Any]:
    """Read a state. Raises CheckpointError for a file that is none."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise CheckpointError(
            f"{path}: cannot resume from this file: {damage_of(error)}; delete it to start afresh"
        ) from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: not a training state; delete it to start afresh")
    return state
