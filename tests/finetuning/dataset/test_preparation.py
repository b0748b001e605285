"""A folder becomes items: cut, heard, encoded once, split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.fakes import SAMPLE_RATE_HZ, SineCodec, fake_model
from tests.finetuning.dataset.music import (
    OPTIONS,
    Singer,
    caption,
    chord,
    clicks,
    counting_model,
    prepared,
    song,
)
from toccata.audio.files import write
from toccata.audio.waveform import Waveform
from toccata.errors import InputError, InputErrors, MissingExtraError
from toccata.finetuning.dataset import FolderOptions, prepare


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    return folder


def silence(duration_s: float) -> Waveform:
    quiet = chord(duration_s)
    return replace(quiet, samples=0 * quiet.samples)


def joined(*parts: Waveform) -> Waveform:
    return replace(parts[0], samples=np.concatenate([part.samples for part in parts], axis=1))


def starts(data: Path, **changes: object) -> list[tuple[float, int]]:
    options = replace(OPTIONS, **changes)  # type: ignore[arg-type]
    return [(item.start_s, item.codes.shape[1]) for item in prepared(data, options)]


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_every_kind_of_file_becomes_codes(data: Path, name: str) -> None:
    song(data, name)
    (item,) = prepared(data)
    assert (item.name, item.codes.shape[0]) == (name, 4)
    assert item.codes.dtype == np.uint16
    assert 50 <= item.codes.shape[1] <= 56  # mp3 adds padding
    assert item.codes.max() < 16
    assert item.melody is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [(0.0, 50), (1.0, 50), (2.0, 25)]),
        ({"shortest_s": 0.6}, [(0.0, 50), (1.0, 50)]),
        ({"hop_s": 0.5}, [(0.0, 50), (0.5, 50), (1.0, 50), (1.5, 50)]),
        ({"hop_s": 0.8}, [(0.0, 50), (0.8, 50), (1.6, 45)]),
        ({"hop_s": 2.0}, [(0.0, 50), (2.0, 25)]),
        ({"segment_s": 0.5}, [(0.5 * i, 25) for i in range(5)]),
    ],
)
def test_songs_are_cut_into_chunks(
    data: Path, changes: dict[str, float], expected: list[tuple[float, int]]
) -> None:
    song(data, "a.wav", 2.5)
    assert starts(data, **changes) == expected


def test_chunks_are_what_the_codec_makes_of_the_song(data: Path) -> None:
    ramp = np.linspace(0.01, 0.9, 3 * SAMPLE_RATE_HZ, dtype=np.float32)[None]
    write(data / "a.wav", Waveform(ramp, SAMPLE_RATE_HZ), bit_depth=32)
    import torch

    whole = SineCodec().encode(torch.from_numpy(ramp)[None])[0].numpy()
    found = np.concatenate([item.codes for item in prepared(data)], axis=1)
    np.testing.assert_array_equal(found, whole)


def test_silent_chunks_are_left_out(data: Path) -> None:
    write(data / "a.wav", joined(chord(1), silence(3), chord(1)))
    found = [start for start, _ in starts(data)]
    assert {0.0, 4.0} <= set(found)
    assert 2.0 not in found


def test_tempo_key_and_loudness_are_heard(data: Path) -> None:
    write(data / "a.wav", clicks(10, bpm=100))
    caption(data, "a.txt", "a rhodes")
    (item,) = prepared(data, FolderOptions(segment_s=10), fake_model(segment_s=10))
    assert item.tags.bpm == pytest.approx(100, rel=0.02)
    assert item.tags.key == "A minor"
    assert -40 < item.tags.loudness_lufs < 0
    assert item.caption == "a rhodes, 100 bpm, A minor"


def test_a_tempo_that_changes_is_not_told(data: Path) -> None:
    write(data / "a.wav", joined(clicks(8, bpm=100), clicks(8, bpm=133)))
    caption(data, "a.txt", "a rhodes")
    (item,) = prepared(data, FolderOptions(segment_s=16), fake_model(segment_s=16))
    assert item.caption == "a rhodes, A minor"


def test_without_a_caption_the_tags_are_it(data: Path) -> None:
    song(data, "a.wav")
    assert prepared(data)[0].caption == "A minor"


def test_nothing_is_added_where_nobody_listens(data: Path) -> None:
    song(data, "a.wav")
    caption(data, "a.txt", "held chord")
    (item,) = prepared(data, replace(OPTIONS, auto_tags=False))
    assert item.caption == "held chord"
    assert (item.tags.bpm, item.tags.key) == (None, None)


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_encoded(data: Path) -> None:
    song(data, "good.wav")
    song(data, "short.wav", 0.1)
    whole = song(data, "cut.wav").read_bytes()
    (data / "cut.wav").write_bytes(whole[: len(whole) // 2])
    write(data / "silent.wav", silence(1))
    (data / "page.mp3").write_text("<html>not found")
    (data / "old.mid").write_bytes(b"MThd\0\0\0\x06")
    caption(data, "good.txt", "")
    model, codec = counting_model()
    with pytest.raises(InputErrors) as caught:
        prepared(data, replace(OPTIONS, auto_tags=False), model)
    said = [str(problem) for problem in caught.value.problems]
    for name, words in (
        ("good.wav", "empty"), ("short.wav", "0.10 s"), ("cut.wav", "cut short"),
        ("silent.wav", "silent"), ("page.mp3", "web page"), ("old.mid", "MIDI"),
        ("silent.wav", "no caption"),
    ):  # fmt: skip
        assert any(name in line and words in line for line in said), (name, said)
    assert codec.encoded == 0


def test_a_folder_without_music_is_refused(data: Path) -> None:
    (data / "notes.md").write_text("none")
    song(data, ".hidden.wav")
    with pytest.raises(InputError, match="no audio"):
        prepared(data)
    with pytest.raises(InputError, match="folder"):
        prepared(data / "nowhere")


def test_wrong_options_are_said_at_once(data: Path) -> None:
    song(data, "a.wav")
    wrong = FolderOptions(segment_s=9, hop_s=0, shortest_s=10, held_out_share=0.9)
    with pytest.raises(InputErrors) as caught:
        prepared(data, wrong)
    fields = [problem.field for problem in caught.value.problems]
    assert fields == ["segment_s", "hop_s", "shortest_s", "held_out_share"]


def test_some_songs_are_held_out_always_the_same(data: Path) -> None:
    for number in range(6):
        song(data, f"{number}.wav", 2.0)
    share = replace(OPTIONS, held_out_share=0.3)
    items = prepared(data, share)
    held = {item.name for item in items if item.held_out}
    assert 1 <= len(held) < 6
    assert not held & {item.name for item in items if not item.held_out}
    song(data, "more.wav")
    assert held == {item.name for item in prepared(data, share) if item.held_out} - {"more.wav"}
    seeds = [{i.name for i in prepared(data, replace(share, seed=s)) if i.held_out} for s in (1, 2)]
    assert seeds != [held, held]


@pytest.mark.parametrize(("songs", "share", "expected"), [(5, 0.001, 1), (4, 0.5, 0), (6, 0.0, 0)])
def test_of_five_songs_one_is_held_out(data: Path, songs: int, share: float, expected: int) -> None:
    for number in range(songs):
        song(data, f"{number}.wav")
    items = prepared(data, replace(OPTIONS, held_out_share=share))
    assert sum(item.held_out for item in items) == expected


def test_stereo_models_get_both_sides(data: Path) -> None:
    song(data, "two.wav", channels=2)
    song(data, "one.wav", channels=1)
    one, two = prepared(data, model=fake_model(channels=2))
    assert one.codes.shape == two.codes.shape == (8, 50)


def test_models_that_follow_a_melody_get_one(data: Path) -> None:
    song(data, "a.wav", pitches_hz=(330.0,))
    model = fake_model(melody=True)
    (item,) = prepared(data, model=model)
    assert model.chroma is not None
    assert item.melody is not None
    assert item.melody.shape == (model.chroma.frames, 12)
    assert item.melody.dtype == np.float32
    assert item.melody.argmax(1).tolist() == [4] * model.chroma.frames


def test_vocals_are_taken_out(data: Path, tmp_path: Path) -> None:
    song(data, "a.wav", 1.5, channels=2)
    separator, options = Singer(), replace(OPTIONS, devocalise=True)
    mixed = prepared(data)
    items = prepare(data, fake_model(), options, tmp_path / "cache", separator=separator)
    assert [item.start_s for item in items] == [0.0, 1.0]
    assert [mix.shape for mix in separator.mixes] == [(2, 4000), (2, 2000)]
    for item, mix in zip(items, mixed, strict=True):
        assert item.codes.shape == mix.codes.shape
        assert item.tags.loudness_lufs == pytest.approx(mix.tags.loudness_lufs - 6, abs=0.3)


def test_without_the_extra_nothing_is_taken_out_in_silence(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "demucs", None)
    song(data, "a.wav")
    with pytest.raises(MissingExtraError, match="extra stems"):
        prepared(data, replace(OPTIONS, devocalise=True))


def test_progress_is_told_song_by_song(data: Path, tmp_path: Path) -> None:
    song(data, "a.wav", 1.0)
    song(data, "b.wav", 1.2)
    told: list[tuple[int, int, str]] = []
    prepare(data, fake_model(), OPTIONS, tmp_path / "c", lambda *args: told.append(args))
    assert told == [
        (1, 2, "checked a.wav"), (2, 2, "checked b.wav"),
        (1, 2, "encoded a.wav"), (2, 2, "encoded b.wav"),
    ]  # fmt: skip
    prepare(data, fake_model(), OPTIONS, tmp_path / "c", lambda *args: told.append(args))
    assert told[-1] == (2, 2, "found b.wav")
