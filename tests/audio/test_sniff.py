from contextlib import suppress
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audio.sounds import FOREIGN, file_bytes, foreign_bytes, libsndfile_bytes, sine
from toccata.audio.sniff import Kind, sniff
from toccata.errors import AudioError


@pytest.mark.parametrize(
    ("format", "subtype", "kind"),
    [
        ("WAV", "PCM_16", "wav"),
        ("WAVEX", "PCM_24", "wav"),
        ("RF64", "FLOAT", "wav"),
        ("FLAC", "PCM_16", "flac"),
        ("OGG", "VORBIS", "vorbis"),
        ("AIFF", "PCM_16", "aiff"),
        ("MP3", None, "mp3"),
    ],
)
def test_kinds_that_libsndfile_writes(format: str, subtype: str | None, kind: str) -> None:
    assert sniff(libsndfile_bytes(sine(), format, subtype)) == kind


@pytest.mark.parametrize("kind", FOREIGN)
def test_kinds_of_other_programs(kind: str) -> None:
    assert sniff(foreign_bytes(kind)) == kind


def test_mp3_and_aac_behind_id3_tags() -> None:
    tag = b"ID3\x04\0\0\0\0\x01\x05" + bytes(128 + 5)
    assert sniff(tag + file_bytes(sine(), "mp3")) == "mp3"
    assert sniff(tag + foreign_bytes("aac")) == "aac"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "PNG picture"),
        (b"RIFF\0\0\0\0AVI LIST", "AVI film"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"not a song", "is text"),
        (bytes(4096), "zero bytes"),
        (b"\x80\x81\x82" * 9, "80 81 82"),
        (b"OggS" + bytes(60), "Ogg without"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
    ],
)
def test_what_is_no_audio_is_named(data: bytes, words: str) -> None:
    with pytest.raises(AudioError, match=words) as caught:
        sniff(data, "song.wav")
    assert str(caught.value).startswith("song.wav: ")
    assert "give wav, flac" in str(caught.value)


@given(data=st.binary(max_size=64), head=st.sampled_from([b"", b"ID3", b"OggS", b"\xff", b"RIFF"]))
def test_any_bytes_have_a_kind_or_an_audio_error(data: bytes, head: bytes) -> None:
    with suppress(AudioError):
        assert sniff(head + data) in get_args(Kind)


def test_noise_is_seldom_taken_for_mpeg() -> None:
    rng = np.random.default_rng(0)
    taken = 0
    for _ in range(2000):
        try:
            taken += bool(sniff(rng.bytes(16)))
        except AudioError:
            continue
    assert taken < 10
