from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from recipes.mini.composer.compose import compose
from recipes.mini.composer.composition import HOP, LEAD, Composition, Facts, Note
from recipes.mini.composer.examples import VALIDATION_SEED, examples
from recipes.mini.composer.render import Renderer
from tests.mini.composer import fake_synth
from toccata.errors import InputError, MissingExtraError


@pytest.fixture
def soundfont(tmp_path: Path) -> Path:
    place = tmp_path / "tiny.sf2"
    place.write_bytes(b"RIFF")
    return place


@pytest.fixture
def renderer(soundfont: Path, monkeypatch: pytest.MonkeyPatch) -> Renderer:
    monkeypatch.setitem(sys.modules, "tinysoundfont", fake_synth)
    return Renderer(soundfont)


def _song(*notes: Note) -> Composition:
    facts = Facts("folk", 100, "C major", "warm", ("piano",), drums=False, meter="4/4")
    return Composition(facts, notes, {LEAD: 0}, frames=100)


@pytest.mark.parametrize("seed", range(5))
def test_loud_enough_and_never_clipped(renderer: Renderer, seed: int) -> None:
    song = compose(seed, 4.0)
    audio = renderer.render(song)
    assert audio.shape == (song.frames * HOP,)
    assert audio.dtype == np.float32
    assert 0.2 < np.abs(audio).max() < 0.95
    assert -24 < 20 * np.log10(audio.std()) < -13


def test_a_note_sounds_from_the_first_sample_of_its_frame(renderer: Renderer) -> None:
    audio = renderer.render(_song(Note(30, 10, LEAD, 69, 100)))
    assert np.abs(audio[: 30 * HOP]).max() < 1e-6
    assert abs(audio[30 * HOP]) > 1e-3


def test_nothing_is_left_over_from_the_song_before(renderer: Renderer) -> None:
    first = renderer.render(compose(1, 2.0))
    renderer.render(compose(2, 2.0))
    assert np.array_equal(renderer.render(compose(1, 2.0)), first)


def test_stream_counts_up_from_its_seed(renderer: Renderer) -> None:
    made = list(islice(examples(VALIDATION_SEED, 1.0, renderer), 2))
    assert [e.seed for e in made] == [VALIDATION_SEED, VALIDATION_SEED + 1]
    assert all(e.caption and e.audio.shape == (50 * HOP,) for e in made)
    assert made[0].song == compose(VALIDATION_SEED, 1.0)


def test_missing_soundfont_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fluid-soundfont-gm"):
        Renderer(tmp_path / "none.sf2")


def test_a_missing_synthesizer_is_named_with_what_installs_it(
    soundfont: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tinysoundfont", None)
    with pytest.raises(MissingExtraError, match="-m pip install --no-deps tinysoundfont"):
        Renderer(soundfont)
