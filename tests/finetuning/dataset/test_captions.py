"""Captions beside songs and in tables, and what is said of wrong ones."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from tests.finetuning.dataset.music import OPTIONS, caption, prepared, song
from toccata.errors import InputErrors
from toccata.finetuning.dataset.caption_json import caption_of
from toccata.finetuning.dataset.caption_tags import add_key, add_tempo

NO_TAGS = replace(OPTIONS, auto_tags=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    return folder


def captions(data: Path, table: Path | None = None) -> dict[str, str]:
    items = prepared(data, replace(NO_TAGS, captions=table))
    return {item.name: item.caption for item in items}


def test_words_are_read_from_files_beside_the_songs(data: Path) -> None:
    for name in ("one.wav", "two.flac", "deep/three.ogg"):
        song(data, name)
    caption(data, "one.txt", "\ufeffslow piano,\n  in the rain\n")
    caption(data, "two.JSON", {"caption": "fast drums"})
    caption(data, "deep/three.json", {"prompt": "surf rock", "title": "Waves"})
    assert captions(data) == {
        "deep/three.ogg": "surf rock",
        "one.wav": "slow piano, in the rain",
        "two.flac": "fast drums",
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"description": "Soft piano."}, "Soft piano."),
        (
            {"description": "Soft jazz piano", "genre": "jazz", "moods": ["calm", "warm"],
             "keywords": "rhodes, calm", "bpm": "84", "key": "Eb major", "artist": "Nobody"},
            "Soft jazz piano, calm, warm, rhodes, 84 bpm, Eb major",
        ),
        ({"description": "a jam at 90 bpm in Am", "bpm": 120, "key": "C major"},
         "a jam at 90 bpm in Am"),
        ({"description": "", "genre": None, "moods": [], "keywords": "", "bpm": ""}, ""),
        ({"caption": "one", "description": "two"}, "one"),
    ],
)  # fmt: skip
def test_metadata_becomes_one_caption(fields: dict[str, object], expected: str) -> None:
    import json

    assert caption_of("a.wav", json.dumps(fields)) == expected


def test_a_table_takes_the_place_of_files(data: Path, tmp_path: Path) -> None:
    for name in ("one.wav", "deep/two.wav", "caf\u00e9.wav"):
        song(data, name)
    caption(data, "one.txt", "not used")
    table = tmp_path / "captions.csv"
    table.write_text(
        'caption,file\n"slow, soft",one.wav\nfast,deep\\two.wav\nloud,cafe\u0301.wav\n'
    )
    assert captions(data, table) == {
        "caf\u00e9.wav": "loud", "deep/two.wav": "fast", "one.wav": "slow, soft",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,caption,artist\none.wav,a,b\n", ["file,caption,artist", "must be file,caption"]),
        ("", ["must be file,caption"]),
        ("file;caption\none.wav;a\n", ["must be file,caption"]),
        ("file,caption\none.wav,a\none.wav,b\n", ["one.wav", "two rows"]),
        ("file,caption\nnone.wav,a\n", ["none.wav", "no audio of that name"]),
        ("file,caption\none.wav,slow, soft\n", ["line 2", "3 cells", "quotes"]),
        ('file,caption\none.wav,"slow', ["no CSV"]),
        ("file,caption\none.wav,\n", ["one.wav", "empty"]),
    ],
)
def test_wrong_tables_are_explained(data: Path, tmp_path: Path, text: str, said: list[str]) -> None:
    song(data, "one.wav")
    table = tmp_path / "captions.csv"
    table.write_text(text)
    with pytest.raises(InputErrors) as caught:
        captions(data, table)
    assert all(words in str(caught.value) for words in said)


def test_a_table_that_is_not_there_is_named(data: Path, tmp_path: Path) -> None:
    song(data, "one.wav")
    with pytest.raises(InputErrors, match=r"captions: .*nowhere\.csv"):
        captions(data, tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("suffix", "content", "said"),
    [
        (".json", b"[1, 2]", "like"),
        (".json", b"{", "no JSON"),
        (".json", b"[" * 60_000, "no JSON"),
        (".json", b'{"caption": 3}', "caption: 3"),
        (".json", b'{"bpm": "quick"}', "bpm: 'quick'"),
        (".json", b'{"bpm": NaN}', "bpm: nan"),
        (".json", b"{}", "empty"),
        (".txt", b"  \n", "empty"),
        (".txt", b"\xff\xfe\x00", "UTF-8"),
        (".txt", b"long " * 1000, "at most 4000"),
        (".txt", b"x" * 2**20, "too long"),
    ],
)
def test_wrong_captions_are_explained(data: Path, suffix: str, content: bytes, said: str) -> None:
    song(data, "one.wav")
    (data / f"one{suffix}").write_bytes(content)
    with pytest.raises(InputErrors, match="one") as caught:
        captions(data)
    assert said in str(caught.value)
    assert len(caught.value.problems) == 1


def test_two_captions_of_one_song_are_one_too_many(data: Path) -> None:
    song(data, "one.wav")
    caption(data, "one.txt", "slow")
    caption(data, "one.json", {"caption": "fast"})
    with pytest.raises(InputErrors, match=r"one\.json and one\.txt"):
        captions(data)


def test_a_caption_without_a_song_is_said(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    song(data, "one.wav")
    caption(data, "one.txt", "slow")
    caption(data, "won.txt", "fast")
    with caplog.at_level(logging.WARNING):
        captions(data)
    assert "won.txt" in caplog.text
    assert "one.txt" not in caplog.text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("slow piano.", "slow piano, 92 bpm, A minor"),
        ("", "92 bpm, A minor"),
        ("piano, 80bpm", "piano, 80bpm, A minor"),
        ("piano in F# major", "piano in F# major, 92 bpm"),
        ("house at 120 BPM in Bbm", "house at 120 BPM in Bbm"),
        ("tempo: 70, key of d", "tempo: 70, key of d"),
        ("in A-flat major", "in A-flat major, 92 bpm"),
        ("a big band", "a big band, 92 bpm, A minor"),
    ],
)
def test_tempo_and_key_are_added_where_none_is_named(words: str, expected: str) -> None:
    assert add_key(add_tempo(words, 91.7), "A minor") == expected
