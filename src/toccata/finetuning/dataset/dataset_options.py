"""How a folder of music becomes training material."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toccata.errors import InputError, InputErrors

_MAX_HELD_OUT = 0.5
_LONGEST_HOP_S = 3600.0


@dataclass(frozen=True)
class FolderOptions:
    """segment_s: length of a chunk; hop_s: distance of their starts, None: no overlap.

    shortest_s: the end of a file is a chunk too if it is at least so long; a file that is shorter
        is an error.
    captions: a CSV with the columns file and caption, in place of files beside the audio.
    devocalise: take the vocals out (extra `stems`).
    auto_tags: hear tempo and key, and add them to captions that name none.
    held_out_share: of the files, for validation; which ones is decided by name and seed.
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
    """Raises InputErrors with all that is wrong; `longest_s` is what the model holds at once."""
    limits = [("segment_s", options.segment_s, longest_s)]
    if options.hop_s is not None:
        limits.append(("hop_s", options.hop_s, _LONGEST_HOP_S))
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
