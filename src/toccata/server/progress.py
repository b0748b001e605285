"""Progress as text: lines in the form of tqdm, which clients read out of a prediction's logs."""

from __future__ import annotations

BAR = 10


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
