"""What a prompt says of the key."""

from __future__ import annotations

import pytest

from toccata.analysis.key import Key
from toccata.conditioners.key import FEATURES, key_row, named_key


@pytest.mark.parametrize(
    ("prompt", "key"),
    [
        ("a calm piece in A minor", (9, "minor")),
        ("Edo25 major g melodies in g major", (7, "major")),
        ("F# major, house", (6, "major")),
        ("jazz, bb minor", (10, "minor")),
        ("waltz in B flat major", (10, "major")),
        ("C sharp min funk", (1, "minor")),
        ("key of E maj", (4, "major")),
        ("techno in F#m, 130 bpm", (6, "minor")),
        ("pop in C", (0, "major")),
        ("key: Am", (9, "minor")),
        ("MINOR F#, rock", (6, "minor")),
        ("Edo25 major g melodies that sound triumphant", (7, "major")),
        ("a B minor trap beat", (11, "minor")),
        ("disco, Abm, 120 bpm", (8, "minor")),
        ("key - em", (4, "minor")),
        ("i need g#m", (8, "minor")),
        ("key: minor a + bpm: 94", (9, "minor")),
        ("E-minor riff", (4, "minor")),
        ("LOUD ROCK IN D MINOR", (2, "minor")),
    ],
)
def test_a_named_key_is_read(prompt: str, key: Key) -> None:
    assert named_key(prompt) == key


@pytest.mark.parametrize(
    "prompt",
    [None, "", "a minor key change", "I Am happy", "music in A", "in Bali", "major hit",
     "drum and bass", "in Country style", "the A major third", "grab minor fame", "in Dm_x"],
)  # fmt: skip
def test_no_key_is_named(prompt: str | None) -> None:
    assert named_key(prompt) is None


def test_relative_keys_share_their_scale_only() -> None:
    c_major, a_minor = key_row((0, "major")), key_row((9, "minor"))
    assert c_major.shape == (FEATURES,)
    assert (c_major[24:] == a_minor[24:]).all()
    assert (c_major[:24] != a_minor[:24]).sum() == 2
    assert key_row((11, "major"))[24:].sum() == 7
