"""The logs of a prediction, with progress lines in the form of tqdm, which clients parse."""

from __future__ import annotations

from toccata.server.worker.protocol import Job, seeds_of

BAR = 10


def first_lines(job: Job) -> str:
    """What a prediction's logs begin with: its seeds, and what stands in for what."""
    seeds = seeds_of(int(job.inputs["seed"]), job.count)
    lines = f"Using seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}\n"
    if job.stand_in is None:
        return lines
    asked = job.inputs["model_version"]
    return f"{lines}{asked} is not on this machine: {job.stand_in} stands in for it\n"


def progress_line(done: int, total: int, elapsed_s: float) -> str:
    """` 42%|####      | 210/500 [00:03<00:04, 70.00it/s]`, without a line end."""
    share = done / total
    filled = "#" * int(share * BAR)
    per_s = done / elapsed_s if elapsed_s > 0 else 0.0
    left = _clock((total - done) / per_s) if per_s else "?"
    return (
        f"{int(100 * share):3d}%|{filled:<{BAR}}| {done}/{total} "
        f"[{_clock(elapsed_s)}<{left}, {per_s:.2f}it/s]"
    )


def _clock(seconds: float) -> str:
    minutes, whole = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{whole:02d}" if hours else f"{minutes:02d}:{whole:02d}"
