"""`python -m recipes.mini`, with a synthesizer that needs no soundfont."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recipes.mini.captions import caption
from recipes.mini.composer.compose import compose
from recipes.mini.composer.examples import caption_rng
from tests.cli.conftest import Result, repeated_defaults
from tests.mini.composer import fake_synth
from toccata.audio.files import read
from toccata.audio.tags import read_tags

Run = Callable[..., Result]


@pytest.fixture
def soundfont(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(sys.modules, "tinysoundfont", fake_synth)
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "tiny.sf2"
    place.write_bytes(b"RIFF")
    return str(place)


def test_a_song_is_written_and_described(run: Run, soundfont: str) -> None:
    result = run("song", "--seed=7", "--duration=2", "-os.wav", "--soundfont", soundfont)
    assert (result.code, result.out) == (0, "s.wav\n")
    assert result.err.strip() == caption(compose(7, 2.0).facts, caption_rng(7))
    heard = read(Path("s.wav"))
    assert (heard.channels, heard.sample_rate_hz, heard.duration_s) == (1, 32_000, 2.0)
    assert np.abs(heard.samples).max() > 0.2


def test_a_song_is_named_after_its_seed(run: Run, soundfont: str) -> None:
    result = run("song", "--seed=3", "--duration=1", "--soundfont", soundfont)
    assert result.out == "corpus-3.wav\n"
    assert Path("corpus-3.wav").is_file()


@pytest.mark.parametrize(
    ("option", "said"),
    [("--output=none/s.wav", "no folder none"), ("--output=s.mid", ".wav"), ("--seed=-1", "seed")],
)
def test_a_wrong_value_is_named(run: Run, soundfont: str, option: str, said: str) -> None:
    result = run("song", option, "--soundfont", soundfont)
    assert result.code == 2
    assert said in result.err


def test_a_missing_soundfont_names_the_package(run: Run, soundfont: str) -> None:
    result = run("song", "--soundfont", "none.sf2")
    assert result.code == 2
    assert "fluid-soundfont-gm" in result.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("out: /proc/run\n", "--config: '/proc' is not valid"),
        ("out: [\n", "is no YAML"),
        ("out: \xff\n", "is no UTF-8"),
    ],
)
@pytest.mark.parametrize("run_name", ["corpus", "codec", "lm", "pack", "tagger"])
def test_a_run_checks_its_folder_first(
    run: Run, tmp_path: Path, run_name: str, text: str, said: str
) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(text, encoding="latin-1")
    result = run(run_name, "--config", str(config))
    assert result.code == 2
    assert said in result.err


def test_a_song_is_tagged_and_never_overwritten(run: Run, soundfont: str) -> None:
    options = ("--duration=1", "-os.flac", "--soundfont", soundfont)
    assert run("song", *options).code == 0
    assert read_tags(Path("s.flac"))["model"] == "corpus"
    assert "--output names s.flac, which exists already" in run("song", *options).err
    assert run("song", *options, "--overwrite").code == 0


@pytest.mark.parametrize("command", ["song", "corpus", "codec", "lm", "tagger", "evaluate"])
def test_no_option_has_two_defaults(run: Run, command: str) -> None:
    assert repeated_defaults(run(command, "--help").out) == []


def test_a_song_of_no_number_of_seconds_is_refused(run: Run) -> None:
    result = run("song", "--duration=nan", "-os.wav")
    assert (result.code, result.out) == (2, "")
    assert "Invalid value for '--duration'" in result.err
