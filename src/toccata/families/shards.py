"""Weights that are split over several safetensors files, listed by an index."""

from __future__ import annotations

from pathlib import Path

from toccata.errors import CheckpointError
from toccata.families.fields import read_json


def shard_files(index: Path) -> list[Path]:
    """The files that `index` names, all beside it. Raises CheckpointError for any other name."""
    names = set(read_json(index).get("weight_map", dict).values())
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise CheckpointError(f"{index}: {name!r} is no file beside it; nothing was read")
    return [index.parent / name for name in sorted(names)]
