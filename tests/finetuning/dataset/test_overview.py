"""What the command line tells of a folder."""

from __future__ import annotations

import numpy as np
import pytest

from toccata.finetuning.dataset import Item, Tags, summary


def item(
    name: str, caption: str, bpm: float | None, key: str | None, held: bool = False, **more: bool
) -> Item:
    codes = np.zeros((4, 1500), np.uint16)
    return Item(name, 0.0, caption, Tags(bpm, key, -14.0), codes, None, held, **more)


ITEMS = [
    item("a.wav", "slow piano, 87 bpm, A minor", 87.2, "A minor"),
    item("a.wav", "slow piano, 81 bpm, A minor", 80.9, "A minor"),
    item("b.wav", "my style, 121 bpm, C major", 121.0, "C major", held=True, captioned=False),
    item("c.wav", "drone", None, None),
]


def test_a_folder_is_summed_up() -> None:
    found = summary(ITEMS)
    assert (found.files, found.held_out_files, found.chunks, found.held_out_chunks) == (3, 1, 4, 1)
    assert found.hours == pytest.approx(2 / 60)
    assert (found.wordless, found.untagged) == (1, 1)
    assert dict(found.tempi) == {"80 to 99 bpm": 2, "120 to 139 bpm": 1}
    assert list(found.keys.items()) == [("A minor", 2), ("C major", 1)]


def test_it_is_told_in_words() -> None:
    text = str(summary(ITEMS))
    assert "3 files, 4 chunks, 2.0 minutes" in text
    assert "80 to 99 bpm (2), 120 to 139 bpm (1)" in text
    assert "none detected" in str(summary(ITEMS[3:]))
