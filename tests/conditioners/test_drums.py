"""What a prompt says of drums."""

from __future__ import annotations

import pytest

from toccata.conditioners.drums import FEATURES, drum_row, named_drums


@pytest.mark.parametrize(
    "prompt", ["no drums", "Solo piano WITHOUT DRUMS", "drumless jazz", "no percussion, calm",
               "without any drums", "drum-less", "beatless", "no beat", "zero drums",
               "leave out the drums",               "drums off", "soft drums? no drums"],
)  # fmt: skip
def test_no_drums_are_asked_for(prompt: str) -> None:
    assert named_drums(prompt) is False


@pytest.mark.parametrize("prompt", ["rock drums", "a steady drumbeat", "Latin percussion"])
def test_drums_are_asked_for(prompt: str) -> None:
    assert named_drums(prompt) is True


@pytest.mark.parametrize(
    "prompt",
    [
        None,
        "",
        "80 bpm, mellow piano",
        "conundrum",
        "no piano",
        "drum and bass",
        "drum'n'bass, 170 bpm",
    ],
)
def test_nothing_is_said_of_drums(prompt: str | None) -> None:
    assert named_drums(prompt) is None


def test_drums_and_none_are_told_apart() -> None:
    assert drum_row(True).shape == drum_row(False).shape == (FEATURES,)
    assert (drum_row(True) != drum_row(False)).any()
