"""A summary of a prepared folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toccata.finetuning.dataset.caption_tags import names_key, names_tempo
from toccata.finetuning.dataset.items import Item

_BPM_STEP = 20
_MAX_LISTED = 8


@dataclass(frozen=True)
class FolderSummary:
    """Statistics of a dataset.

    Attributes:
        files: The number of files.
        held_out_files: Those for validation.
        chunks: The number of chunks.
        held_out_chunks: Those for validation.
        hours: The length of all chunks.
        wordless: Chunks whose caption is only trigger and tags.
        untagged: Chunks whose caption names neither tempo nor key.
        tempi: Chunks by detected tempo, "80 to 99 bpm", from slow to fast.
        keys: Chunks by detected key, "A minor", the most frequent first.
    """

    files: int
    held_out_files: int
    chunks: int
    held_out_chunks: int
    hours: float
    wordless: int
    untagged: int
    tempi: Mapping[str, int]
    keys: Mapping[str, int]

    def __str__(self) -> str:
        """Lines for a terminal."""
        return "\n".join(
            (
                f"{self.files} files, {self.chunks} chunks, {_length(self.hours)}; for validation "
                f"{self.held_out_files} files, {self.held_out_chunks} chunks",
                f"captions: {self.wordless} of {self.chunks} chunks have only detected tags, "
                f"{self.untagged} are without tempo and key",
                f"tempo: {_counted(self.tempi)}",
                f"key: {_counted(self.keys)}",
            )
        )


def summary(items: Sequence[Item], frame_rate_hz: float = 50.0) -> FolderSummary:
    """Summarize items whose codec has `frame_rate_hz`."""
    held = [item for item in items if item.held_out]
    return FolderSummary(
        files=len({item.name for item in items}),
        held_out_files=len({item.name for item in held}),
        chunks=len(items),
        held_out_chunks=len(held),
        hours=sum(item.codes.shape[1] for item in items) / frame_rate_hz / 3600,
        wordless=sum(not item.captioned for item in items),
        untagged=sum(not _is_tagged(item.caption) for item in items),
        tempi=_tempi(items),
        keys=dict(Counter(item.tags.key for item in items if item.tags.key).most_common()),
    )


def _is_tagged(caption: str) -> bool:
    return names_tempo(caption) or names_key(caption)


def _tempi(items: Sequence[Item]) -> dict[str, int]:
    tempi = [item.tags.bpm for item in items if item.tags.bpm is not None]
    steps = Counter(int(bpm) // _BPM_STEP * _BPM_STEP for bpm in tempi)
    return {f"{low} to {low + _BPM_STEP - 1} bpm": steps[low] for low in sorted(steps)}


def _length(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.1f} minutes"


def _counted(counts: Mapping[str, int]) -> str:
    """The first few."""
    if not counts:
        return "none detected"
    listed = [f"{name} ({count})" for name, count in [*counts.items()][:_MAX_LISTED]]
    more = len(counts) - _MAX_LISTED
    return ", ".join(listed) + (f" and {more} more" if more > 0 else "")
