"""The logs of a prediction, with progress lines in the form of tqdm, which clients parse."""

from __future__ import annotations

from tqdm import tqdm  # type: ignore[import-untyped]

from toccata.server.worker.protocol import Job, seeds_of

_FORMAT = "{percentage:3.0f}%|{bar:10}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}]"


def first_lines(job: Job) -> str:
    """Return the first lines of a prediction's logs: its seeds and any stand-in."""
    seeds = seeds_of(job.seed, job.count)
    lines = f"Using seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}\n"
    if job.stand_in is None:
        return lines
    return f"{lines}{job.requested_model} is not on this machine: {job.stand_in} stands in for it\n"


def progress_line(done: int, total: int, elapsed_s: float) -> str:
    """Format the progress as tqdm does: ` 42%|####      | 210/500 [00:03<00:04, 70.00it/s]`.

    Args:
        done: How many frames are generated.
        total: How many frames there are in all.
        elapsed_s: The time since the start.
    """
    line: str = tqdm.format_meter(done, total, elapsed_s, ascii=" #", bar_format=_FORMAT)
    return line
