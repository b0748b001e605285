"""Resumable training state on disk, written aside and renamed: a crash leaves the last one."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from toccata.errors import CheckpointError


def save(path: Path, state: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".partial")
    torch.save(state, aside)
    aside.replace(path)


def load(path: Path) -> dict[str, Any]:
    """Raises CheckpointError for a file that is not a training state."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, UnpicklingError) as error:
        raise CheckpointError(
            f"{path}: cannot resume from this file ({error}); delete it to start afresh"
        ) from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: not a training state; delete it to start afresh")
    return state
