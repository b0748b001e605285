import io
import struct
from contextlib import suppress

import mutagen
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audio.sounds import file_bytes, foreign_bytes, libsndfile_bytes, noise, sine
from toccata.audio.files import read
from toccata.audio.riff import pack_chunk, pack_info, unpack_info
from toccata.audio.tags import read_tags
from toccata.errors import AudioError

FORMATS = ["wav", "mp3", "flac", "ogg"]
TAGS = {"prompt": "lo-fi ビート, café 🎹", "seed": "7", "model": "mini", "top_k": "250"}


TAGGED = {format: file_bytes(sine(0.1), format, tags=TAGS) for format in FORMATS}


@pytest.mark.parametrize("format", FORMATS)
def test_tags_come_back_and_the_audio_stays(format: str) -> None:
    tone = noise(0.5, 0.1, 2)
    plain, tagged = file_bytes(tone, format), file_bytes(tone, format, tags=TAGS)
    assert read_tags(tagged) == TAGS
    assert (read(tagged).samples == read(plain).samples).all()


@settings(max_examples=40, deadline=None)
@given(
    format=st.sampled_from(FORMATS),
    tags=st.dictionaries(st.text(max_size=20), st.text(max_size=200), min_size=1, max_size=5),
)
def test_any_text_survives(format: str, tags: dict[str, str]) -> None:
    assert read_tags(file_bytes(sine(0.05), format, tags=tags)) == tags


@pytest.mark.parametrize("format", FORMATS)
def test_odd_texts_survive(format: str) -> None:
    tags = {"prompt": 'half \ud83c, zero \0, line\nbreak, {"json": 1}', "": "", "a=b": "é" * 9999}
    assert read_tags(file_bytes(sine(0.05), format, tags=tags)) == tags


@pytest.mark.parametrize("format", ["wav", "flac", "ogg"])
def test_players_see_prompt_and_software(format: str) -> None:
    with soundfile.SoundFile(io.BytesIO(file_bytes(sine(), format, tags=TAGS))) as file:
        assert file.title == TAGS["prompt"]
        assert file.frames == 16000


def test_id3_readers_see_the_prompt_as_title() -> None:
    found = mutagen.File(io.BytesIO(file_bytes(sine(), "mp3", tags=TAGS)))
    assert str(found["TIT2"]) == TAGS["prompt"]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_tagged_wav_is_well_formed(channels: int) -> None:
    """24 bits in one channel make an odd number of bytes, which needs a pad byte."""
    tone = sine(3 / 32000, channels=channels)
    data = file_bytes(tone, "wav", bit_depth=24, tags={"prompt": "odd"})
    assert struct.unpack_from("<I", data, 4) == (len(data) - 8,)
    assert unpack_info(data)["INAM"] == "odd"


def test_no_tags_are_no_error() -> None:
    for format in FORMATS:
        found = read_tags(file_bytes(sine(), format))
        assert "prompt" not in found
    assert read_tags(foreign_bytes("m4a")) == {}


def test_fields_of_foreign_files() -> None:
    wav = file_bytes(sine(), "wav") + pack_info({"INAM": "Für Elise", "IART": "Ludwig"})
    assert read_tags(wav) == {"title": "Für Elise", "artist": "Ludwig"}
    opus = mutagen.File(target := io.BytesIO(libsndfile_bytes(sine(rate_hz=48000), "OGG", "OPUS")))
    opus["comment"] = "[1, 2]"
    target.seek(0)
    opus.save(target)
    assert read_tags(target.getvalue())["comment"] == "[1, 2]"


def test_a_comment_by_another_program_beside_ours() -> None:
    from mutagen import id3

    target = io.BytesIO(file_bytes(sine(), "mp3", tags=TAGS))
    tag = id3.ID3(target)
    for description in ("iTunNORM", "Songs-DB_Custom1"):
        tag.add(id3.COMM(encoding=3, lang="eng", desc=description, text="0000"))
    target.seek(0)
    tag.save(target)
    assert read_tags(target.getvalue()) == TAGS


@given(content=st.binary(max_size=200))
def test_any_info_chunk_is_read_without_harm(content: bytes) -> None:
    riff = b"RIFF\0\0\0\0WAVE" + pack_chunk(b"LIST", b"INFO" + content)
    assert all(isinstance(text, str) for text in unpack_info(riff).values())


def test_damaged_tags_are_an_audio_error() -> None:
    data = file_bytes(sine(), "flac", tags=TAGS)
    with pytest.raises(AudioError, match="tags are damaged"):
        read_tags(data[:200])


@settings(max_examples=60, deadline=None)
@given(
    format=st.sampled_from(FORMATS),
    at=st.integers(0, 900),
    garbage=st.binary(min_size=1, max_size=9),
)
def test_damaged_files_give_texts_or_an_audio_error(format: str, at: int, garbage: bytes) -> None:
    data = TAGGED[format]
    with suppress(AudioError):
        found = read_tags(data[:at] + garbage + data[at + len(garbage) :])
        assert all(isinstance(text, str) for text in found.values())
