"""`toccata train song`, with a synthesizer that needs no soundfont."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Result
from tests.training.corpus import fake_synth
from toccata.audio.files import read
from toccata.training.corpus.captions import caption
from toccata.training.corpus.compose import compose
from toccata.training.corpus.stream import caption_rng

Run = Callable[..., Result]


@pytest.fixture
def soundfont(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(sys.modules, "tinysoundfont", fake_synth)
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "tiny.sf2"
    place.write_bytes(b"RIFF")
    return str(place)


def test_a_song_is_written_and_described(run: Run, soundfont: str) -> None:
    result = run("train", "song", "--seed=7", "--duration=2", "-os.wav", "--soundfont", soundfont)
    assert (result.code, result.out) == (0, "s.wav\n")
    assert result.err.strip() == caption(compose(7, 2.0).facts, caption_rng(7))
    heard = read(Path("s.wav"))
    assert (heard.channels, heard.sample_rate_hz, heard.duration_s) == (1, 32_000, 2.0)
    assert np.abs(heard.samples).max() > 0.2


def test_a_song_is_named_after_its_seed(run: Run, soundfont: str) -> None:
    result = run("train", "song", "--seed=3", "--duration=1", "--soundfont", soundfont)
    assert result.out == "corpus-3.wav\n"
    assert Path("corpus-3.wav").is_file()


@pytest.mark.parametrize(
    ("option", "said"),
    [("--output=none/s.wav", "no folder none"), ("--output=s.mid", ".wav"), ("--seed=-1", "seed")],
)
def test_a_wrong_value_is_named(run: Run, soundfont: str, option: str, said: str) -> None:
    result = run("train", "song", option, "--soundfont", soundfont)
    assert result.code == 2
    assert said in result.err


def test_a_missing_soundfont_names_the_package(run: Run, soundfont: str) -> None:
    result = run("train", "song", "--soundfont", "none.sf2")
    assert result.code == 2
    assert "fluid-soundfont-gm" in result.err
