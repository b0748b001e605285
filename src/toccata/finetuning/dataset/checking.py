"""Is it music: whole, long enough, and to be heard?"""

from __future__ import annotations

from toccata.audio.files import blocks
from toccata.audio.transforms import peak
from toccata.errors import AudioError, InputError
from toccata.finetuning.dataset.encoding import MAX_BYTES, SILENCE
from toccata.finetuning.dataset.listing import Track


def check_audio(song: Track, shortest_s: float) -> None:
    """Decode all of it, which takes little beside encoding it. Raises InputError with the cure."""
    duration_s, loudest = 0.0, 0.0
    try:
        for block in blocks(song.path, max_bytes=MAX_BYTES, max_seconds=None):
            duration_s += block.duration_s
            loudest = max(loudest, peak(block.samples))
    except AudioError as error:
        reason = str(error).removeprefix(f"{song.path}: ")
        raise InputError("data", song.name, f"it {reason}") from error
    if duration_s < shortest_s:
        cure = f"take it away, or let shortest_s be less than {shortest_s:g}"
        raise InputError("data", song.name, f"it lasts only {duration_s:.2f} s: {cure}")
    if loudest < SILENCE:
        raise InputError("data", song.name, "it is silent: export it again, or take it away")
