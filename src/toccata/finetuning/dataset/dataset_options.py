"""Options of preparing a folder of music."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toccata.errors import InputError, InputErrors

_MAX_HELD_OUT = 0.5
_MAX_HOP_S = 3600.0


@dataclass(frozen=True)
class FolderOptions:
    """How a folder of music becomes a dataset.

    Attributes:
        segment_s: The length of a chunk.
        hop_s: The time from the start of a chunk to that of the next; None: no overlap.
        shortest_s: The minimum length of a file's last chunk, and of a file.
        captions: A CSV with the columns file and caption; None: files beside the audio.
        devocalise: Whether vocals are removed (extra `stems`).
        auto_tags: Whether detected tempo and key are added to captions that name none.
        held_out_share: The share of the files for validation.
        seed: With the names it determines which files these are.
    """

    segment_s: float
    hop_s: float | None = None
    shortest_s: float = 2.0
    captions: Path | None = None
    devocalise: bool = False
    auto_tags: bool = True
    held_out_share: float = 0.1
    seed: int = 0


def check_options(options: FolderOptions, longest_s: float) -> None:
    """Raises InputErrors for all wrong options; `longest_s` is the model's window."""
    limits = [("segment_s", options.segment_s, longest_s)]
    if options.hop_s is not None:
        limits.append(("hop_s", options.hop_s, _MAX_HOP_S))
    if options.segment_s > 0:
        limits.append(("shortest_s", options.shortest_s, min(options.segment_s, longest_s)))
    problems = [
        InputError(name, value, f"use more than 0 and at most {most:g} seconds")
        for name, value, most in limits
        if not 0 < value <= most
    ]
    if not 0 <= options.held_out_share <= _MAX_HELD_OUT:
        cure = f"use a share from 0 to {_MAX_HELD_OUT}"
        problems.append(InputError("held_out_share", options.held_out_share, cure))
    if problems:
        raise InputErrors(problems)
