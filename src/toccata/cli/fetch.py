"""Download weights from the hub and show the progress."""

from __future__ import annotations

from pathlib import Path

from toccata.cli.report import working


def fetch(model: str, *, offline: bool) -> Path:
    """The folder with all that `model`, a short name or a hub id, needs; an interrupted download
    goes on. Raises UnknownModelError, CheckpointError.
    """
    from toccata.models import hub, resolve
    from toccata.models.loading import parts_elsewhere

    with working(f"fetching {model}") as advance:
        folder = hub.fetch(resolve(model).hub_id, offline=offline, on_bytes=advance)
        for part in parts_elsewhere(folder):
            hub.fetch(part, offline=offline, on_bytes=advance)
    return folder
