"""`toccata measure` on folders of files, with small things in the networks' place."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.cli.conftest import RATE_HZ, Result, tone
from toccata.audio.files import write
from toccata.audio.transforms import Samples
from toccata.audio.waveform import Waveform
from toccata.evaluation import embedders

Run = Callable[..., Result]


class Levels:
    """Hears how loud each tenth of a second is and how much it changes; words have a level too."""

    def __init__(self) -> None:
        self.calls = 0
        self.sources: list[embedders.Source] = []

    def load(self, source: embedders.Source) -> Levels:
        self.sources.append(source)
        return self

    def embed(self, samples: Samples, sample_rate_hz: int) -> Tensor:
        self.calls += 1
        audio = torch.from_numpy(samples[0])
        parts = torch.stack(torch.split(audio, sample_rate_hz // 10)[:-1])
        return torch.stack([parts.abs().mean(1), parts.std(1)], dim=1)

    def embed_words(self, texts: Sequence[str]) -> Tensor:
        return torch.tensor([[1.0, 1.0] if text == "loud" else [1.0, -1.0] for text in texts])

    def label(self, samples: Samples, sample_rate_hz: int) -> Tensor:
        level = float(abs(samples).mean())
        return torch.tensor([[level, 1 - level]])


@pytest.fixture
def levels(monkeypatch: pytest.MonkeyPatch) -> Levels:
    levels = Levels()
    for table in (embedders.EMBEDDERS, embedders.WORD_EMBEDDERS, embedders.LABELLERS):
        for name in table:
            monkeypatch.setitem(table, name, levels.load)
    return levels


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """made/ and songs/ with a.wav and b.*, the made ones softer."""
    monkeypatch.chdir(tmp_path)
    for folder, gain in (("made", 0.5), ("songs", 1.0)):
        Path(folder).mkdir()
        for name, pitch_hz in (("a", 440.0), ("b", 660.0)):
            sound = tone(2.0, pitch_hz)
            fades = np.linspace(0.1, gain, sound.samples.shape[1], dtype=np.float32)
            suffix = "flac" if name == "b" and folder == "songs" else "wav"
            write(f"{folder}/{name}.{suffix}", Waveform(sound.samples * fades, RATE_HZ))
    return tmp_path


BOTH = ("measure", "--made", "made", "--against", "songs")


def test_all_measures_at_once(run: Run, folders: Path, levels: Levels) -> None:
    for name in ("a", "b"):
        Path(f"made/{name}.txt").write_text("loud")
    metrics = "agreement,fad-clap,fad-vggish,kl-passt,clap"
    done = run(*BOTH, "--with", metrics, "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert list(found) == ["clips", *metrics.split(",")]
    assert found["clips"] == {"made": 2, "against": 2}
    assert found["agreement"]["pairs"] == found["kl-passt"]["pairs"] == 2
    assert found["agreement"]["chroma"] == 1
    assert found["fad-vggish"]["distance"] > 0.01
    assert found["fad-vggish"]["warning"] is None
    assert found["kl-passt"]["kl"] > 0
    assert found["clap"]["score"] > 0.9


def test_a_clip_is_embedded_once_for_two_measures(run: Run, folders: Path, levels: Levels) -> None:
    for name in ("a", "b"):
        Path(f"made/{name}.txt").write_text("loud")
    run(*BOTH, "--with", "clap,fad-clap")
    assert levels.calls == 4


def test_weights_come_from_where_they_are_said_to_be(
    run: Run, folders: Path, levels: Levels
) -> None:
    run(*BOTH, "--with", "fad-clap,fad-vggish", "--weights", "vggish=own.pth", "--offline")
    assert [source.place for source in levels.sources] == [None, "own.pth"]
    assert all(source.offline for source in levels.sources)


def test_what_is_missing_is_said_before_anything_is_loaded(
    run: Run, folders: Path, levels: Levels
) -> None:
    assert run(*BOTH, "--with", "fad-vggish,clap").code == 2
    for file in Path("songs").iterdir():
        file.rename(file.with_stem(f"other-{file.stem}"))
    assert run(*BOTH, "--with", "fad-vggish,kl-passt").code == 2
    assert levels.sources == []
    assert run(*BOTH, "--with", "fad-vggish").code == 0


def test_a_folder_is_no_distance_from_itself(run: Run, folders: Path, levels: Levels) -> None:
    done = run("measure", "--made", "made", "--against", "made", "--with", "fad-vggish", "--json")
    assert json.loads(done.out)["fad-vggish"]["distance"] == pytest.approx(0, abs=1e-9)


def test_agreement_is_what_is_measured_if_nothing_is_named(run: Run, folders: Path) -> None:
    done = run(*BOTH)
    assert done.code == 0
    assert "agreement" in done.out
    assert "loudness_difference_db: " in done.out


def test_clips_cut_to_their_pair_are_labelled_alike(
    run: Run, folders: Path, levels: Levels
) -> None:
    twice = tone(1.0)
    write("made/a.wav", twice)
    write("songs/a.wav", Waveform(np.concatenate([twice.samples, 0 * twice.samples], 1), RATE_HZ))
    write("made/b.wav", twice)
    write("songs/b.flac", twice)
    done = run(*BOTH, "--with", "kl-passt", "--json")
    assert json.loads(done.out)["kl-passt"]["kl"] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((*BOTH, "--with", "fid"), 2, "--with: 'fid' is not valid; use agreement, fad-clap"),
        (("measure", "--made", "made"), 2, "agreement compares: give a folder of references"),
        (("measure", "--made", "made", "--with", "clap"), 2, "it has no caption"),
        (("measure", "--made", "nowhere", "--against", "songs"), 2, "--made: 'nowhere'"),
        ((*BOTH, "--weights", "clap"), 2, "write NAME=PLACE"),
        ((*BOTH, "--weights", "vgg=x"), 2, "--weights: 'vgg' is not valid; use clap, vggish"),
        ((*BOTH, "--with", "fad-vggish", "--weights", "vggish=x.pth"), 4, "x.pth: cannot be read"),
    ],
)
def test_what_cannot_be_measured_is_said(
    run: Run, folders: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = run(*arguments, "--offline")
    assert done.code == code
    assert words in done.err
