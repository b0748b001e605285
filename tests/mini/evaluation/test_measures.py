"""The rulers measure what they say, on sounds whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recipes.mini.evaluation.degenerate import find_defects
from recipes.mini.evaluation.drum_detection import has_drums
from tests.mini.evaluation.sounds import RATE_HZ, chord
from toccata.analysis.key import estimate_key, parse_key, same_scale
from toccata.errors import InputError
from toccata.evaluation.chroma import SILENT, chroma_agreement, loudest_classes


def test_a_chord_is_no_drum_kit() -> None:
    assert not has_drums(chord(60, 64, 67), RATE_HZ)
    assert not has_drums(np.zeros(RATE_HZ, np.float32), RATE_HZ)


def test_the_key_of_a_cadence_is_heard() -> None:
    cadence = np.concatenate(
        [chord(60, 64, 67), chord(65, 69, 72), chord(67, 71, 74), chord(60, 64, 67)]
    )
    assert same_scale(estimate_key(cadence, RATE_HZ), (0, "major"))


def test_the_likeliest_key_is_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = torch.zeros(1, 24)
    heard[0, 21] = 1.0  # the minor keys stand behind the twelve major ones
    monkeypatch.setattr("toccata.analysis.key.key_classifier", lambda: lambda _: heard)
    assert estimate_key(chord(60, 64, 67), RATE_HZ) == (9, "minor")


def test_keys_have_names() -> None:
    assert parse_key("F# minor") == (6, "minor")
    assert parse_key("Eb major") == (3, "major")
    assert same_scale((9, "minor"), (0, "major"))
    assert not same_scale((9, "minor"), (0, "minor"))


@pytest.mark.parametrize("name", ["", "H major", "C", "C dorian"])
def test_what_is_no_key_is_named(name: str) -> None:
    with pytest.raises(InputError, match="key"):
        parse_key(name)


def test_music_agrees_with_its_own_melody_and_not_with_another() -> None:
    own = loudest_classes(chord(60, duration_s=4), RATE_HZ)
    other = loudest_classes(chord(66, duration_s=4), RATE_HZ)
    assert chroma_agreement(own, own) == 1.0
    assert chroma_agreement(own, other) < 0.1


def test_silent_frames_of_a_melody_do_not_count() -> None:
    melody = torch.tensor([0, SILENT, 4, SILENT])
    assert chroma_agreement(torch.tensor([0, 1, 4, 2]), melody) == 1.0
    assert chroma_agreement(torch.tensor([0, 1]), torch.tensor([SILENT, SILENT])) == 0.0


def test_what_is_no_music_is_told_apart() -> None:
    music = np.concatenate([chord(p, p + 4, p + 7, duration_s=0.5) for p in (60, 65, 67, 62)])
    assert not find_defects(music, RATE_HZ).any
    assert find_defects(np.zeros(2 * RATE_HZ, np.float32), RATE_HZ).silent
    assert find_defects(np.sign(music), RATE_HZ).clipped
    assert find_defects(chord(60, duration_s=4), RATE_HZ).looping


def test_a_clip_that_stays_where_it_began_is_stuck() -> None:
    begins = np.concatenate([chord(60, duration_s=0.5), chord(67, duration_s=0.5)])
    assert find_defects(np.concatenate([begins, chord(64, 67, duration_s=7.0)]), RATE_HZ).looping


def test_one_note_struck_again_and_again_is_stuck() -> None:
    fall = np.exp(-4 * np.linspace(0, 1, RATE_HZ // 2))
    again = np.tile(chord(69, duration_s=0.5) * fall, 16).astype(np.float32)
    assert find_defects(again, RATE_HZ).looping
